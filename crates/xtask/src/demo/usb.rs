//! `cargo xtask try --usb PROMPT`: the same job through a real USB stack. A Debian kernel in QEMU
//! is both the stick (the real daemon, its drive on `dummy_hcd`) and its host, which does what a
//! desktop does; what both say is shown as it comes. The scenario is `labhost::scenario`'s
//! `try_usb`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use lab::guest::{self, Boot, Report};
use lab::programs::Programs;
use lab::{LabError, Series};
use labhost::protocol::Line;
use labhost::scenario::{TRY_PROMPT, TRY_RESPONSE};

use super::{Bench, build, in_a_folder, report};
use crate::args::TryOptions;
use crate::progress::{Heartbeat, Steps};
use crate::setup::{self, Needed};

/// The scenario in the guest.
const SCENARIO: &str = "try_usb";

/// How many headings [`run`] prints.
const STEPS: usize = 6;

/// Longer than the scenario waits for an answer.
pub const LIMIT: Duration = Duration::from_secs(30 * 60);

/// The image of the drive among the exported files.
const STICK: &str = "stick.img";

/// Does it.
///
/// # Errors
/// The first thing that went wrong; where the guest was running, what it said has been printed.
pub fn run(options: &TryOptions) -> anyhow::Result<()> {
    let mut steps = Steps::new(STEPS);
    steps.begin("tools");
    setup::ensure(&[Needed::Build, Needed::Volume, Needed::Lab])?;
    in_a_folder(options, |bench| {
        steps.begin("building promptstick, and the host's side");
        build("promptstick")?;
        build("labhost")?;
        once_around(bench, &options.prompt, &mut steps)
    })
}

fn once_around(bench: &Bench, prompt: &str, steps: &mut Steps) -> anyhow::Result<()> {
    let programs = guest::programs(&bench.program, &bench.model)?;
    let files = [(TRY_PROMPT.to_owned(), format!("{prompt}\n").into_bytes())];
    steps.begin("getting a kernel from Debian, and making what it boots from");
    let mut boot = Boot::new(SCENARIO, fetch(&programs)?);
    boot.files = &files;
    boot.limit = LIMIT;
    boot.show = show;
    steps.begin(&format!(
        "starting a guest with Linux {}: the stick and its host on one cable",
        boot.series.name()
    ));
    let seen = boot.run(&programs)?;
    keep(bench, &seen)?;
    if let Err(why) = seen.verdict() {
        eprintln!("---- what the guest left behind\n{seen}----");
        bail!("{why}");
    }
    told(bench, &seen, &seen, steps)
}

/// The newest series that can be had.
fn fetch(programs: &Programs) -> Result<Series, LabError> {
    let _alive = Heartbeat::start("at work");
    let newest = Boot::new(SCENARIO, Series::V6_12).fetch(programs);
    match newest {
        Ok(()) => Ok(Series::V6_12),
        // Nor would another kernel help.
        Err(error @ (LabError::Missing { .. } | LabError::NoMirror)) => Err(error),
        Err(error) => {
            eprintln!("      Linux 6.12 is not to be had ({error}); trying 6.1.");
            Boot::new(SCENARIO, Series::V6_1).fetch(programs)?;
            Ok(Series::V6_1)
        }
    }
}

/// Shows what a person wants to see: what either side did.
fn show(time: Duration, line: &str) {
    if let Some(text) = Line::parse(line).as_ref().and_then(shown) {
        eprintln!("{:7.1} s  {text}", time.as_secs_f64());
    }
}

fn shown(line: &Line) -> Option<String> {
    match line {
        Line::Step(text) => Some(format!("host  | {text}")),
        Line::Log(text) => Some(format!("stick | {}", without_time(text))),
        _ => None,
    }
}

/// The daemon's lines begin with the guest's clock, which says nothing here.
pub fn without_time(line: &str) -> &str {
    match line.split_once(' ') {
        Some((first, rest)) if first.starts_with(|digit: char| digit.is_ascii_digit()) => {
            rest.trim_start()
        }
        _ => line,
    }
}

/// Leaves the drive and the log where `--keep` finds them, and where fsck.fat looks.
///
/// # Errors
/// There is no room.
pub fn keep(bench: &Bench, seen: &Report) -> anyhow::Result<()> {
    if let Some(image) = seen.files.get(STICK) {
        fs::write(bench.folder.join(STICK), image).context("no room for the drive's image")?;
    }
    fs::write(bench.folder.join("daemon.log"), seen.daemon_log())
        .context("no room for the daemon's log")
}

/// Prints what came of it; `host` and `stick` are one report where one guest was both.
///
/// # Errors
/// There is no response, or the drive is not as it should be.
pub fn told(bench: &Bench, host: &Report, stick: &Report, steps: &mut Steps) -> anyhow::Result<()> {
    let response = host.files.get(TRY_RESPONSE);
    let response = response.context("the host left no response behind")?;
    steps.begin("the response, as the host read it");
    report::response(&String::from_utf8_lossy(response));
    let waited_ms = host.measured_ms("response");
    let waited = Duration::from_millis(waited_ms.context("the host did not tell the time")?);
    report::speed(&stick.daemon_log(), waited);
    steps.begin("the drive afterwards");
    unharmed(host, &bench.folder.join(STICK))
}

/// The prompt is as the host wrote it, and the volume is clean.
fn unharmed(host: &Report, image: &Path) -> anyhow::Result<()> {
    report::fsck(image)?;
    for (path, sha256) in host.flushed() {
        let content = report::read(image, &path)?;
        if labhost::files::sha256(&content) != sha256 {
            bail!("{path} on the drive is not as the host wrote it");
        }
        eprintln!("      {path} is as the host wrote it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_its_prefix() {
        let step = Line::Step("unmounted".into());
        assert_eq!(shown(&step).as_deref(), Some("host  | unmounted"));
        let log = Line::Log("1970-01-01T00:00:01.5Z  INFO published".into());
        assert_eq!(shown(&log).as_deref(), Some("stick | INFO published"));
        let plain = Line::Log("thread panicked".into());
        assert_eq!(shown(&plain).as_deref(), Some("stick | thread panicked"));
        assert_eq!(shown(&Line::Pass), None);
    }

    #[test]
    fn the_scenario_is_there() {
        assert!(labhost::scenario::find(SCENARIO).is_ok());
    }
}
