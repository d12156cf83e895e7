//! `cargo xtask try PROMPT`: the whole job of the stick once, on a volume in a temporary folder.
//!
//! The volume is made by our program, the prompt is put on it and the response is read back by
//! mtools, which we did not write, and the daemon that answers is the one that ships. [`stick`] is
//! the host's side, [`daemon`] the device's; with `--usb` both are in a guest, and [`usb`] shows
//! what they say; with `--pi` each is a machine of its own ([`pi`]). The response goes to standard
//! output, all else to standard error.

mod daemon;
mod pi;
mod report;
mod stick;
mod usb;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::args::{Place, TryOptions};
use crate::cargo;
use crate::process;
use crate::progress::{Heartbeat, Steps, Took};
use crate::setup::{self, Needed};
use daemon::Daemon;
use stick::Stick;

/// The model that comes with the repository.
const DEMO_MODEL: &str = "image/model/promptstick-demo-q8_0.gguf";

/// How many headings [`in_a_file`] prints.
const STEPS: usize = 6;

/// The files of one run.
struct Bench {
    folder: PathBuf,
    program: PathBuf,
    model: PathBuf,
}

impl Bench {
    fn new(folder: &Path, options: &TryOptions) -> anyhow::Result<Self> {
        Ok(Self {
            folder: folder.to_path_buf(),
            program: cargo::output_folder()?.join("promptstick"),
            model: model(options.model.as_deref())?,
        })
    }
}

/// Does it.
///
/// # Errors
/// The first thing that went wrong; where the daemon was running, its log has been printed.
pub fn run(options: &TryOptions) -> anyhow::Result<()> {
    match options.place {
        Place::File => in_a_file(options),
        Place::Usb => usb::run(options),
        Place::Pi => pi::run(options),
    }
}

/// Without a cable.
fn in_a_file(options: &TryOptions) -> anyhow::Result<()> {
    let mut steps = Steps::new(STEPS);
    steps.begin("tools");
    setup::ensure(&[Needed::Build, Needed::Volume])?;
    in_a_folder(options, |bench| {
        steps.begin("building promptstick");
        build("promptstick")?;
        once_around(bench, &options.prompt, &mut steps)
    })
}

/// Does `job` with files in a temporary folder, which stays where somebody wants to look at it.
fn in_a_folder(
    options: &TryOptions,
    job: impl FnOnce(&Bench) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let temporary = TempDir::with_prefix("promptstick-").context("no temporary folder")?;
    let bench = Bench::new(temporary.path(), options)?;
    let result = job(&bench);
    if options.keep {
        report::how_to_look(&temporary.keep(), &bench);
    }
    result
}

fn build(package: &str) -> anyhow::Result<()> {
    if let Some(note) = cargo::build_note()? {
        eprintln!("{note}");
    }
    let start = Instant::now();
    let alive = Heartbeat::telling(cargo::build_state);
    process::run(&mut cargo::command(&["build", "--package", package])?)?;
    drop(alive);
    eprintln!("      built in {}", Took(start.elapsed()));
    Ok(())
}

fn model(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let file = match given {
        Some(file) => file.to_path_buf(),
        None => cargo::repository()?.join(DEMO_MODEL),
    };
    if !file.is_file() {
        bail!(
            "there is no model at {}: give the path of a GGUF file with --model",
            file.display()
        );
    }
    file.canonicalize()
        .with_context(|| format!("cannot look at {}", file.display()))
}

/// A volume, a prompt, an answer, and everything left as it should be.
fn once_around(bench: &Bench, prompt: &str, steps: &mut Steps) -> anyhow::Result<()> {
    steps.begin("making a volume of 64 MB");
    let stick = Stick::format(&bench.program, &bench.folder)?;
    steps.begin("starting the daemon");
    let start = Instant::now();
    let mut daemon = Daemon::start(bench, stick.image())?;
    let result = answered(&mut daemon, &stick, prompt, start, steps);
    if result.is_err() {
        report::log(&daemon);
    }
    result
}

fn answered(
    daemon: &mut Daemon,
    stick: &Stick,
    prompt: &str,
    start: Instant,
    steps: &mut Steps,
) -> anyhow::Result<()> {
    daemon.wait_until_ready()?;
    eprintln!("      ready after {}", Took(start.elapsed()));
    steps.begin("dropping prompt.txt on the volume with mcopy, as a host would");
    stick.drop_prompt(prompt)?;
    let dropped = Instant::now();
    let response = stick.wait_for_response(daemon)?;
    let waited = dropped.elapsed();
    steps.begin("reading the response back with mtype");
    report::response(&response);
    report::speed(&daemon.log()?, waited);
    report::fsck(stick.image())?;
    report::ending(daemon.stop()?)
}
