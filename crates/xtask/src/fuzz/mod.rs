//! `cargo xtask fuzz`: runs the fuzz targets of `tests/fuzz` with clang's fuzzing engine, each for
//! a time, and says what came of it. What it found stays in `target/fuzz`; `cargo test -p fuzz`
//! replays the corpora that are committed, and needs none of this.

mod stats;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::cargo;
use crate::process;
use crate::progress::Heartbeat;
use stats::{Stats, finding};

/// How long each target runs, unless asked otherwise.
const SECONDS: u32 = 600;
/// Longest input; the notations of the targets say much in few bytes.
const INPUT_BYTES: u32 = 1024;
/// Longest run of one input before it counts as a hang.
const HANG_SECONDS: u32 = 20;
/// The targets, one program each.
const TARGETS: &str = "tests/fuzz/fuzz_targets";

/// What to run.
#[derive(Debug, PartialEq, Eq)]
pub struct Fuzz {
    /// One target; `None` is all.
    pub target: Option<String>,
    /// For how long each.
    pub seconds: u32,
    /// Instead of fuzzing, make the committed corpora of what was found: the fewest inputs that
    /// reach all that any reached.
    pub minimise: bool,
}

impl Fuzz {
    /// Reads the arguments after `fuzz`.
    ///
    /// # Errors
    /// A sentence that says which argument was wrong and what would be right.
    pub fn parse(mut rest: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut fuzz = Self {
            target: None,
            seconds: SECONDS,
            minimise: false,
        };
        while let Some(argument) = rest.next() {
            match argument.to_str() {
                Some("--seconds") => {
                    let seconds = rest.next().and_then(|text| text.to_str()?.parse().ok());
                    fuzz.seconds = seconds.ok_or("--seconds needs a number after it.")?;
                }
                Some("--minimise") => fuzz.minimise = true,
                Some(name) if !name.starts_with("--") && fuzz.target.is_none() => {
                    fuzz.target = Some(name.to_owned());
                }
                _ => {
                    return Err(format!(
                        "fuzz takes one target, --seconds and --minimise, not {}.",
                        argument.display()
                    ));
                }
            }
        }
        Ok(fuzz)
    }

    /// Runs it; one line for each target comes last.
    ///
    /// # Errors
    /// A tool is missing, there is no such target, or something was found.
    pub fn run(&self) -> anyhow::Result<()> {
        ensure_tools()?;
        let known = targets(&cargo::repository()?.join(TARGETS))?;
        let wanted = match &self.target {
            Some(name) if known.contains(name) => std::slice::from_ref(name),
            Some(name) => bail!("there is no target {name}; there are {}", known.join(", ")),
            None => &known,
        };
        let mut lines = Vec::new();
        let mut is_clean = true;
        for name in wanted {
            let places = Places::of(name)?;
            if self.minimise {
                lines.push(places.minimise()?);
                continue;
            }
            let (line, found) = places.fuzz(self.seconds)?;
            is_clean &= !found;
            lines.push(line);
        }
        lines.iter().for_each(|line| println!("{line}"));
        if !is_clean {
            bail!(
                "inputs were found that a target does not hold for: put each, under a name that \
                 says what it is, into tests/fuzz/corpus/TARGET/ and mend what \
                 cargo test -p fuzz shows"
            );
        }
        Ok(())
    }
}

/// The engine wants a compiler that instruments, and cargo's subcommand that knows its options.
fn ensure_tools() -> anyhow::Result<()> {
    let mut version = nightly(&["fuzz", "--version"])?;
    let found = version.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    bail!(
        "fuzzing needs Rust's nightly compiler and cargo-fuzz (crates.io), which nothing else here \
         does:\n  rustup toolchain install nightly --profile minimal\n  cargo install --locked \
         cargo-fuzz"
    )
}

/// Cargo of the nightly toolchain.
fn nightly(arguments: &[&str]) -> anyhow::Result<Command> {
    // Only for its folder and for what it takes out of the environment.
    let here = cargo::command(&[])?;
    let mut command = process::command("rustup");
    command.args(["run", "nightly", "cargo"]).args(arguments);
    for (name, value) in here.get_envs() {
        if value.is_none() {
            command.env_remove(name);
        }
    }
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command.current_dir(cargo::repository()?);
    Ok(command)
}

/// The names of the programs.
fn targets(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {folder:?}"))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let stems = paths.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    let mut names: Vec<String> = stems.collect();
    names.sort();
    Ok(names)
}

/// Where a target's files are.
struct Places {
    name: String,
    /// What is committed.
    corpus: PathBuf,
    /// What was found so far.
    grown: PathBuf,
    /// Inputs that something does not hold for; with a `/` at the end they go into it.
    findings: PathBuf,
    log: PathBuf,
    build: PathBuf,
}

impl Places {
    fn of(name: &str) -> anyhow::Result<Self> {
        let target = cargo::target_folder()?;
        let build = target.join("fuzz");
        let places = Self {
            name: name.to_owned(),
            corpus: cargo::repository()?.join("tests/fuzz/corpus").join(name),
            grown: build.join("corpus").join(name),
            findings: build.join("findings").join(name),
            log: build.join(format!("{name}.log")),
            build,
        };
        for folder in [&places.grown, &places.findings] {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {folder:?}"))?;
        }
        Ok(places)
    }

    /// Builds the target and runs its program with these arguments; what it says goes into the log.
    fn engine(&self, folders: &[&Path], options: &[String]) -> anyhow::Result<bool> {
        // No sanitizer: this is safe Rust, where a wrong access is a panic, and it is twice as
        // fast.
        let mut command = nightly(&["fuzz", "run", "--sanitizer", "none"])?;
        command.args(["--fuzz-dir", "tests/fuzz", "--features", "libfuzzer"]);
        command.arg("--target-dir").arg(&self.build);
        command
            .arg(&self.name)
            .args(folders)
            .arg("--")
            .args(options);
        command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3");
        let log = fs::File::create(&self.log).with_context(|| format!("{:?}", self.log))?;
        let shown = process::shown(&command);
        eprintln!("{shown}");
        let name = self.name.clone();
        let _alive = Heartbeat::telling(move || format!("{name} runs"));
        let status = command.stdout(log.try_clone()?).stderr(log).status();
        let status = status.with_context(|| format!("cannot start: {shown}"))?;
        Ok(status.success())
    }

    fn fuzz(&self, seconds: u32) -> anyhow::Result<(String, bool)> {
        let options = [
            format!("-max_total_time={seconds}"),
            format!("-max_len={INPUT_BYTES}"),
            format!("-timeout={HANG_SECONDS}"),
            format!("-artifact_prefix={}/", self.findings.display()),
            "-print_final_stats=1".to_owned(),
        ];
        let held = self.engine(&[&self.grown, &self.corpus], &options)?;
        let log = self.said()?;
        let Some(stats) = Stats::read(&log) else {
            bail!("{} did not run: see {}", self.name, self.log.display());
        };
        let outcome = if held {
            "nothing found".to_owned()
        } else {
            format!(
                "FOUND {}",
                finding(&log).unwrap_or("something, see its log")
            )
        };
        Ok((format!("{}: {stats}; {outcome}", self.name), !held))
    }

    fn minimise(&self) -> anyhow::Result<String> {
        let least = self.build.join("least").join(&self.name);
        let _ = fs::remove_dir_all(&least);
        fs::create_dir_all(&least).with_context(|| format!("cannot make {least:?}"))?;
        // By what was reached, not by how often: a few dozen inputs.
        let options = [
            "-set_cover_merge=1".to_owned(),
            "-use_counters=0".to_owned(),
        ];
        if !self.engine(&[&least, &self.grown, &self.corpus], &options)? {
            bail!("{} did not run: see {}", self.name, self.log.display());
        }
        let mut kept = 0;
        for entry in fs::read_dir(&self.corpus)?.flatten() {
            // The engine names inputs by their hash; a name that a person gave says why it is
            // there.
            if is_hash(&entry.file_name().to_string_lossy()) {
                fs::remove_file(entry.path())?;
            }
        }
        for entry in fs::read_dir(&least)?.flatten() {
            fs::copy(entry.path(), self.corpus.join(entry.file_name()))?;
            kept += 1;
        }
        Ok(format!("{}: {kept} inputs reach everything", self.name))
    }

    fn said(&self) -> anyhow::Result<String> {
        let bytes = fs::read(&self.log).with_context(|| format!("cannot read {:?}", self.log))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Whether a name is one that the engine gives: SHA-1, in hexadecimal.
fn is_hash(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> Result<Fuzz, String> {
        Fuzz::parse(line.iter().map(OsString::from))
    }

    #[test]
    fn a_target_and_a_time() {
        let fuzz = parsed(&["ledger", "--seconds", "5"]).expect("a right line");
        assert_eq!((fuzz.target.as_deref(), fuzz.seconds), (Some("ledger"), 5));
        assert_eq!(parsed(&[]).map(|fuzz| fuzz.seconds), Ok(SECONDS));
        for line in [
            &["a", "b"][..],
            &["--seconds"],
            &["--seconds", "x"],
            &["--fast"],
        ] {
            parsed(line).expect_err("a wrong line");
        }
    }

    #[test]
    fn each_target_has_a_corpus() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let names = targets(&top.join(TARGETS)).expect("the folder is there");
        assert!(!names.is_empty());
        for name in names {
            assert!(top.join("tests/fuzz/corpus").join(&name).is_dir(), "{name}");
        }
    }
}
