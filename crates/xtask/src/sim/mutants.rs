//! Known ways to break the program, each of which the simulation must notice. They are changes of
//! the sources, made in a copy; a place that is not there any more is an error, not a pass.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::{cargo, process};

/// Where the copy lies, in cargo's own folder: the settings of the repository apply to it.
const COPY: &str = "mutants";
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

/// One way to break it.
struct Mutant {
    name: &'static str,
    changes: &'static [Change],
}

/// One place.
struct Change {
    file: &'static str,
    was: &'static str,
    becomes: &'static str,
}

const MUTANTS: [Mutant; 10] = [
    Mutant {
        name: "skip the journal",
        changes: &[Change {
            file: "crates/volume/src/journal/publish.rs",
            was: "    write_journal(journal, changes)?;\n",
            becomes: "    let _ = write_journal::<J>;\n",
        }],
    },
    Mutant {
        // The simulated kernel's answer, which the program cannot overlook.
        name: "ignore EBUSY",
        changes: &[Change {
            file: "tests/sim/usb/mod.rs",
            was: "if self.inner().luns[lun].is_prevented {",
            becomes: "if lun > 0 && self.inner().luns[lun].is_prevented {",
        }],
    },
    Mutant {
        name: "trust the lock alone",
        changes: &[Change {
            file: "crates/volume/src/volume.rs",
            was: "        self == Self::default()\n",
            becomes: "        true\n",
        }],
    },
    Mutant {
        name: "accept on first sight",
        changes: &[Change {
            file: "crates/medium/src/settle.rs",
            was: "        self.is_confirmed(now_ms, timing) && steady && consistent\n",
            becomes: "        let _ = (steady, now_ms, timing);\n        consistent\n",
        }],
    },
    Mutant {
        // Any one of them suffices: what was read last, whether it was written since, and what is read
        // when the medium is ours.
        name: "publish without verifying",
        changes: &[
            Change {
                file: "crates/medium/src/machine/mod.rs",
                was: "        if self.written_ms.is_some() {\n            return None;\n        }\n        let wants",
                becomes: "        let wants",
            },
            Change {
                file: "crates/promptstick/src/daemon/session/take.rs",
                was: "        if is_asked(how) && self.is_modified() {\n",
                becomes: "        if false {\n",
            },
            Change {
                file: "crates/promptstick/src/daemon/session/believe.rs",
                was: "    pub(super) async fn believe(&mut self, scan: &Scan, view: &View) -> anyhow::Result<()> {\n",
                becomes: "    pub(super) async fn believe(&mut self, scan: &Scan, view: &View) -> anyhow::Result<()> {\n        if self.machine.is_ours() { return Ok(()); }\n",
            },
        ],
    },
    Mutant {
        name: "reuse a name",
        changes: &[Change {
            file: "crates/mailbox/src/mailbox/publish.rs",
            was: "            if ordinal > highest && is_free(&name) {",
            becomes: "            if is_free(&name) {",
        }],
    },
    Mutant {
        name: "trust the marks after a power cut",
        changes: &[Change {
            file: "crates/promptstick/src/stick.rs",
            was: "    // The device has no clock (see `build`).\n    let (limits, time)",
            becomes: "    if Volume::open(&*device)?.dirty_marks()?.is_clean() { return Ok(false); }\n    \
                          let (limits, time)",
        }],
    },
    Mutant {
        name: "do not sync the ledger",
        changes: &[Change {
            file: "crates/mailbox/src/ledger/file.rs",
            was: "    disk.sync(LEDGER_NAME)\n",
            becomes: "    Ok(())\n",
        }],
    },
    Mutant {
        name: "put the medium back at once",
        changes: &[Change {
            file: "crates/medium/src/machine/mod.rs",
            was: "(now_ms + self.timing.retry_ms).max(since_ms + self.timing.absent_ms)",
            becomes: "now_ms + self.timing.retry_ms + 0 * since_ms",
        }],
    },
    Mutant {
        name: "a reset ends the absence",
        changes: &[Change {
            file: "crates/medium/src/machine/mod.rs",
            was: "Some(insert_ms.max(self.bus_since_ms + self.timing.detached_ms))",
            becomes: "Some(self.bus_since_ms.min(insert_ms))",
        }],
    },
];

/// Runs the simulation on each; how many it did not notice.
///
/// # Errors
/// The copy cannot be made, or a place to change is not there.
pub fn run(seconds: u32) -> anyhow::Result<usize> {
    let copy = cargo::target_folder()?.join(COPY);
    copy_sources(&cargo::repository()?, &copy)?;
    // Otherwise whatever is wrong with the program, or with the tools here, would count.
    let is_right = !is_caught(&copy, seconds).context("the program as it is")?;
    ensure!(is_right, "the simulation fails on the program as it is");
    let mut survivors = 0;
    for mutant in &MUTANTS {
        let start = Instant::now();
        let is_caught = mutant.tried(&copy, || is_caught(&copy, seconds));
        let is_caught = is_caught.with_context(|| format!("mutation {:?}", mutant.name))?;
        let word = if is_caught { "caught" } else { "NOT NOTICED" };
        let seconds = start.elapsed().as_secs();
        println!(
            "mutation: {}: {word}, {seconds} s with its build",
            mutant.name
        );
        survivors += usize::from(!is_caught);
    }
    Ok(survivors)
}

impl Mutant {
    /// Does something while the files are changed. Both versions are written anew: cargo goes by
    /// the time of a file.
    fn tried<T>(&self, copy: &Path, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut originals = Vec::new();
        for Change { file, was, becomes } in self.changes {
            let path = copy.join(file);
            let text = fs::read_to_string(&path).with_context(|| (*file).to_owned())?;
            ensure!(
                text.matches(was).count() == 1,
                "{file} does not hold the text to change once; adapt it"
            );
            fs::write(&path, text.replacen(was, becomes, 1))?;
            originals.push((path, text));
        }
        let result = work();
        for (path, text) in originals {
            fs::write(path, text)?;
        }
        result
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
    Ok(())
}

/// Whether a history goes wrong with it. One that does not compile is an error.
fn is_caught(copy: &Path, seconds: u32) -> anyhow::Result<bool> {
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
    run.env("RUST_BACKTRACE", "0");
    let output = run.output().context("cannot run cargo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let is_caught = said
        .lines()
        .chain(String::from_utf8_lossy(&output.stderr).lines())
        .any(is_seed);
    ensure!(
        is_caught != output.status.success(),
        "the simulation did not run: {said}"
    );
    Ok(is_caught)
}

/// Whether a line names the seed of a history that went wrong.
fn is_seed(line: &str) -> bool {
    line.trim_start().starts_with("seed ")
}
