//! Calls of `cargo test`: what is run, what is kept of what it prints. Used by `test`.

use std::io::{self, BufRead, BufReader, Write};
use std::process::Stdio;

use anyhow::{Context, bail};

use crate::cargo;
use crate::pi;
use crate::process;
use crate::progress::Heartbeat;

/// How the test runner begins its summary of one binary.
const SUMMARY: &str = "test result:";

/// How the test runner ends the line of a test that failed.
const FAILURE: &str = "... FAILED";

/// What the summary says of a binary in which no test was run.
const NOTHING_RUN: &str = " 0 passed; 0 failed;";

/// What follows the number of tests that were not to be run.
const LEFT_OUT: &str = " filtered out";

/// One call of `cargo test`.
#[derive(Debug, PartialEq, Eq)]
pub struct TestRun {
    arguments: Vec<&'static str>,
    how: How,
}

/// How the tests are built and run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// As everything is.
    Here,
    /// Built for the board, and run on an emulated core.
    OnCore,
    /// Our own crates watched by `AddressSanitizer`.
    Sanitized,
}

/// The compiler of [`How::Sanitized`].
const SANITIZED: &str = ".cargo/sanitized-rustc";

impl TestRun {
    fn here(arguments: Vec<&'static str>) -> Self {
        Self {
            arguments,
            how: How::Here,
        }
    }

    /// The unit tests of one crate, built for the board, one after the other on an emulated core.
    pub fn on_core(name: &'static str) -> Self {
        let (how, target) = (["--release", "--lib"], pi::STATIC_TRIPLE);
        let mut arguments = vec!["test", "--package", name, "--target", target];
        arguments.extend(how);
        Self {
            arguments,
            how: How::OnCore,
        }
    }

    /// The tests of one crate with `AddressSanitizer`.
    pub fn sanitized(name: &'static str) -> Self {
        Self {
            how: How::Sanitized,
            ..Self::here(vec!["test", "--tests", "--package", name])
        }
    }

    /// All unit, documentation and cross-crate tests.
    pub fn workspace() -> Self {
        Self::here(vec!["test", "--workspace", "--no-fail-fast"])
    }

    /// Leaves out modules of the tests across crates.
    pub fn without(mut self, modules: &[&'static str]) -> Self {
        self.arguments.push("--");
        for module in modules {
            self.arguments.extend(["--skip", module]);
        }
        self
    }

    /// The unit and documentation tests of one crate.
    pub fn package(name: &'static str) -> Self {
        Self::here(vec!["test", "--no-fail-fast", "--package", name])
    }

    /// The unit tests of the program, without the tests across crates that its manifest holds.
    pub fn program() -> Self {
        Self::here(vec!["test", "--package", "promptstick", "--lib"])
    }

    /// The simulation.
    pub fn simulation() -> Self {
        Self::here(vec!["test", "--package", "promptstick", "--test", "sim"])
    }

    /// One module of the tests across crates; `module` ends with `::`, so that it matches no part
    /// of a test's own name.
    pub fn across(module: &'static str) -> Self {
        Self::here(vec![
            "test",
            "--package",
            "promptstick",
            "--test",
            "it",
            module,
        ])
    }

    /// The module that [`TestRun::across`] was given.
    #[cfg(test)]
    pub fn module(&self) -> Option<&'static str> {
        let at = self.arguments.iter().position(|word| *word == "it")?;
        self.arguments.get(at + 1).copied()
    }

    /// What a person would type.
    pub fn title(&self) -> String {
        format!("cargo {}", self.arguments.join(" "))
    }

    /// Runs it, passing on what it prints. Gives the lines worth repeating at the end, and
    /// whether the tests passed.
    ///
    /// # Errors
    /// Cargo could not be started.
    pub fn run(&self) -> anyhow::Result<(Vec<String>, anyhow::Result<()>)> {
        let mut command = cargo::command(&self.arguments)?;
        match self.how {
            How::Here => {}
            How::OnCore => _ = command.envs(pi::test_variables()?),
            How::Sanitized => {
                let compiler = cargo::repository()?.join(SANITIZED);
                command.env("RUSTC_WORKSPACE_WRAPPER", compiler);
            }
        }
        let shown = process::shown(&command);
        let _alive = Heartbeat::telling(cargo::build_state);
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start: {shown}"))?;
        let lines = match child.stdout.take() {
            Some(stdout) => repeat(BufReader::new(stdout), &mut io::stdout())?,
            None => Vec::new(),
        };
        let status = child
            .wait()
            .with_context(|| format!("lost sight of: {shown}"))?;
        let result = verdict(status.success(), &lines);
        Ok((lines, result))
    }
}

/// How many tests were left out, by the summaries of all binaries: `…; 7 filtered out; …`.
pub fn left_out(summaries: &[String]) -> u64 {
    let parts = summaries.iter().flat_map(|line| line.split(';'));
    let counts = parts.filter_map(|part| part.trim().strip_suffix(LEFT_OUT)?.parse::<u64>().ok());
    counts.sum()
}

/// Nothing run is nothing shown: a filter that matches no test is a failure too.
fn verdict(success: bool, lines: &[String]) -> anyhow::Result<()> {
    if !success {
        bail!("tests failed, or did not compile: see above");
    }
    if lines.iter().all(|line| line.contains(NOTHING_RUN)) {
        bail!("there was no test to run");
    }
    Ok(())
}

/// Copies lines as they come and keeps those that say how a binary or a failed test ended.
fn repeat(mut from: impl BufRead, to: &mut impl Write) -> anyhow::Result<Vec<String>> {
    let mut kept = Vec::new();
    let mut line = Vec::new();
    while from
        .read_until(b'\n', &mut line)
        .context("reading what the tests print")?
        != 0
    {
        to.write_all(&line)
            .context("passing on what the tests print")?;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.starts_with(SUMMARY) || text.ends_with(FAILURE) {
            kept.push(text.to_owned());
        }
        line.clear();
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_tests_is_no_success() {
        let lines = |counts: &[&str]| -> Vec<String> {
            counts
                .iter()
                .map(|text| format!("test result: ok. {text} 0 ignored"))
                .collect()
        };
        let nothing = "0 passed; 0 failed;";
        assert!(verdict(true, &lines(&["10 passed; 0 failed;", nothing])).is_ok());
        assert!(verdict(true, &lines(&[nothing, nothing])).is_err());
        assert!(verdict(true, &[]).is_err());
        assert!(verdict(false, &lines(&["10 passed; 0 failed;"])).is_err());
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let line = |count: u32| {
            format!(
                "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; {count} filtered \
                 out; finished in 0.01s"
            )
        };
        assert_eq!(left_out(&[line(0), line(31), line(2)]), 33);
        assert_eq!(left_out(&["test a ... FAILED".to_owned()]), 0);
    }

    #[test]
    fn summaries_and_failures_are_kept_and_everything_is_passed_on() {
        let printed = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\n\
                       test result: FAILED. 1 passed; 1 failed\n";
        let mut copy = Vec::new();
        let kept = repeat(printed.as_bytes(), &mut copy).expect("reading from memory");
        assert_eq!(
            kept,
            [
                "test b ... FAILED",
                "test result: FAILED. 1 passed; 1 failed"
            ]
        );
        assert_eq!(copy, printed.as_bytes());
    }
}
