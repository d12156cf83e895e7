//! Known ways to break the program ([`list`]), each of which the simulation must notice. They are
//! changes of the sources, made in a copy; a place that is not there any more is an error, not a
//! pass. The copy is built into the same folder as everything else, so that llama.cpp is not
//! compiled again; its packages have another version, so that cargo takes none of them for ours.

mod list;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use self::list::{Change, MUTANTS, Mutant};
use crate::{cargo, process};

/// Where the copy lies, in cargo's own folder: the settings of the repository apply to it.
const COPY: &str = "mutants";
/// The version of the copy's packages.
const VERSION: &str = "\nversion = \"0.0.0-mutant\"\n";
/// What is copied: everything that the simulation is built from.
const SOURCES: [&str; 8] = [
    "configfs",
    "systemd",
    "Cargo.toml",
    "Cargo.lock",
    "clippy.toml",
    "crates",
    "tests",
    "image",
];

/// So much of what a history went wrong with is told.
const FIRST_CHARS: usize = 160;

/// Runs the simulation on each; how many it did not notice.
///
/// # Errors
/// The copy cannot be made, or a place to change is not there.
pub fn run(seconds: u32) -> anyhow::Result<usize> {
    let copy = cargo::target_folder()?.join(COPY);
    copy_sources(&cargo::repository()?, &copy)?;
    // Otherwise whatever is wrong with the program, or with the tools here, would count.
    if let Some(how) = noticed(&copy, seconds).context("the program as it is")? {
        bail!("the simulation fails on the program as it is: {how}");
    }
    let mut survivors = 0;
    for mutant in &MUTANTS {
        let how = mutant.tried(&copy, || noticed(&copy, seconds));
        let how = how.with_context(|| format!("mutation {:?}", mutant.name))?;
        survivors += usize::from(how.is_none());
        let how = how.as_deref().unwrap_or("NOT NOTICED");
        println!("mutation: {}: {how}", mutant.name);
    }
    Ok(survivors)
}

impl Mutant {
    /// Does something while the files are changed. Both versions are written anew: cargo goes by
    /// the time of a file.
    fn tried<T>(&self, copy: &Path, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut originals = Vec::new();
        for change in self.changes {
            let (path, text) = change.found(copy)?;
            fs::write(&path, text.replacen(change.was, change.becomes, 1))?;
            originals.push((path, text));
        }
        let result = work();
        for (path, text) in originals {
            fs::write(path, text)?;
        }
        result
    }
}

impl Change {
    /// The file, with its text, which holds what is to be changed once.
    fn found(&self, top: &Path) -> anyhow::Result<(PathBuf, String)> {
        let Self { file, was, .. } = self;
        let path = top.join(file);
        let text = fs::read_to_string(&path).with_context(|| (*file).to_owned())?;
        ensure!(
            text.matches(was).count() == 1,
            "{file} does not hold the text to change once; adapt it"
        );
        Ok((path, text))
    }
}

/// The sources as they are, in the place of an older copy.
fn copy_sources(top: &Path, copy: &Path) -> anyhow::Result<()> {
    if copy.exists() {
        fs::remove_dir_all(copy)?;
    }
    fs::create_dir_all(copy)?;
    for source in SOURCES {
        let mut copying = process::command("cp");
        copying.arg("--recursive").arg(top.join(source)).arg(copy);
        process::run(&mut copying)?;
    }
    let manifest = copy.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)?;
    let version = format!("\nversion = \"{}\"\n", env!("CARGO_PKG_VERSION"));
    ensure!(
        text.matches(&version).count() == 1,
        "Cargo.toml does not say the version once"
    );
    Ok(fs::write(manifest, text.replace(&version, VERSION))?)
}

/// How a history goes wrong with it: after how long, and what was seen first. One that does not
/// compile is an error.
fn noticed(copy: &Path, seconds: u32) -> anyhow::Result<Option<String>> {
    let build = [
        "test",
        "-p",
        "promptstick",
        "--test",
        "sim",
        "--no-run",
        "--quiet",
    ];
    let within = |arguments: &[&str]| -> anyhow::Result<_> {
        let mut command = cargo::command(arguments)?;
        command.current_dir(copy);
        command.env("CARGO_TARGET_DIR", cargo::target_folder()?);
        Ok(command)
    };
    process::run(&mut within(&build)?)?;
    let run = [
        "test",
        "-p",
        "promptstick",
        "--test",
        "sim",
        "--quiet",
        "--",
    ];
    let mut run = within(&run)?;
    run.args(["--ignored", "--exact", "explore::explored"]);
    run.env("PROMPTSTICK_SIM_START", "0");
    run.env("PROMPTSTICK_SIM_SECONDS", seconds.to_string());
    run.env("PROMPTSTICK_SIM_FAILURES", "1");
    run.env("RUST_BACKTRACE", "0");
    let output = run.output().context("cannot run cargo")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let mut lines = said.lines().skip_while(|line| !is_report(line));
    let how = lines.next().zip(lines.next());
    ensure!(
        how.is_some() != output.status.success(),
        "the simulation did not run: {said}"
    );
    Ok(how.map(|(after, first)| {
        let first: String = first.chars().take(FIRST_CHARS).collect();
        format!("{after}: {first}")
    }))
}

/// Whether a line says after how much a history went wrong; the next one says which, and why.
fn is_report(line: &str) -> bool {
    line.starts_with("noticed after ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_changed_is_there() {
        let top = cargo::repository().expect("it is in one");
        for mutant in &MUTANTS {
            for change in mutant.changes {
                change.found(&top).expect(mutant.name);
            }
        }
    }
}
