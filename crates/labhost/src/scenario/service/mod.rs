//! The daemon as a service of Debian's systemd, with the files of `systemd/` as they are shipped:
//! as its own user, in its sandbox, started again when it dies or hangs, and gone when it is
//! stopped.
//!
//! | Module | What |
//! |---|---|
//! | this one | installed into a desktop that is up |
//! | [`board`] | installed on the board before it starts |
//! | [`install`] | what a package would install |
//! | [`sandbox`] | what the service's sandbox refuses |
//! | [`unit`] | the service as systemd and the kernel show it |

pub mod board;
mod install;
mod sandbox;
mod unit;

use std::fs;
use std::path::Path;

use super::Lab;
use super::daemon::led::{caps_lock, shows};
use super::steps::{ANSWER_LIMIT, QUESTION, ask, log};
use crate::debian::{self, MOUNT_LIMIT, ROOT};
use crate::error::{Doing, ensure};
use crate::gadget::GADGETS;
use crate::lun::Lun;
use crate::mount::Mount;
use crate::stick::LABEL;
use crate::{Failure, Result, report, stick, sysfs, wait};
use install::PROGRAM;
use unit::{SERVICE, ensure_confined, ensure_modest, journal, property};

/// A daemon that may only change the delays of the kernel's timer.
const READY: [(&str, &str); 3] = [
    ("trigger", "[timer]"),
    ("delay_on", "1000"),
    ("delay_off", "0"),
];

/// Where the libraries are that the program was built with.
const LIBRARIES: &str = "/lib/x86_64-linux-gnu";

/// As docs/SERVICE.md says. The least exposed that systemd knows is 0, the most 10.
const MOST_EXPOSED: f64 = 0.5;

/// A watchdog that does not take a scenario's time.
const HURRIED: (&str, &str) = (
    "etc/systemd/system/promptstick.service.d/watchdog.conf",
    "[Service]\nWatchdogSec=20\nTimeoutAbortSec=5\n",
);

/// From the first start to the end.
pub fn service(_: &Lab) -> Result<()> {
    let led = caps_lock()?;
    set_up(&led)?;
    let (mount, took) = debian::wait_mounted(LABEL, MOUNT_LIMIT)?;
    report::measured("mounted", took);
    shows(&led, "ready", &READY)?;
    ask(&mount, "prompt.txt", QUESTION)?;
    let mount = answered("prompt.response.txt")?;
    ensure_confined()?;
    ensure_modest()?;
    ensure_little_exposed()?;
    sandbox::ensure_refuses(&led)?;

    // The daemon after the next reads it.
    install::write(HURRIED.0, HURRIED.1.as_bytes(), 0o644)?;
    debian::run(&["systemctl", "daemon-reload"])?;
    taken_over("KILL", 1)?;
    ask(&mount, "second.txt", QUESTION)?;
    answered("second.response.txt")?;
    // A daemon that hangs: the watchdog kills it.
    taken_over("STOP", 2)?;
    unmount()?;

    debian::run(&["systemctl", "stop", SERVICE])?;
    let left = sysfs::names(GADGETS);
    ensure(left.is_empty(), || format!("the service leaves {left:?}"))?;
    fs::copy(install::image(), stick::image())
        .doing("keeping the image")
        .map(drop)
}

/// The daemon gets a signal, and the next one takes over its drive, which stays in the host's
/// hands. `deaths` counts this one too.
fn taken_over(signal: &str, deaths: usize) -> Result<()> {
    let lun = Lun::wait(0)?;
    let medium = lun.medium_number()?;
    let signal_word = format!("--signal={signal}");
    debian::run(&[
        "systemctl",
        "kill",
        "--kill-whom=main",
        &signal_word,
        SERVICE,
    ])?;
    let (_, took) = wait::until("the drive to be taken over", ANSWER_LIMIT, || {
        let times = journal("cat")?.matches(log::ADOPTED).count();
        Ok((times == deaths).then_some(()))
    })?;
    report::measured(&format!("taken_over_after_{signal}"), took);
    let restarts = property(SERVICE, "NRestarts")?;
    ensure(restarts == deaths.to_string(), || {
        format!("{restarts} restarts")
    })?;
    ensure(lun.medium_number()? == medium, || {
        "the host saw the daemon die".into()
    })
}

/// Does what a package does, and what an operator whose board has another LED does, and starts the
/// service.
fn set_up(led: &Path) -> Result<()> {
    wait::until_true("systemd", MOUNT_LIMIT, || {
        debian::run(&["systemctl", "is-active", "dbus.service"]).is_ok()
    })?;
    let led = led.file_name().unwrap_or_default().to_string_lossy();
    install::files(|content| {
        content
            .replace("leds/ACT", &format!("leds/{led}"))
            .replace("led = \"ACT\"", &format!("led = \"{led}\""))
    })?;
    if debian::run(&[&format!("/{PROGRAM}"), "--version"]).is_err() {
        update_libraries()?;
        debian::run(&[&format!("/{PROGRAM}"), "--version"])?;
    }
    debian::run(&["systemd-sysusers"])?;
    debian::run(&["systemd-tmpfiles", "--create", "promptstick.conf"])?;
    debian::run(&["systemctl", "daemon-reload"])?;
    debian::run(&["systemctl", "enable", "--now", "--no-block", SERVICE]).map(drop)
}

/// The program was built on a newer system than this Debian: its libraries, with which Debian's
/// programs run as well, take the place of Debian's.
fn update_libraries() -> Result<()> {
    let mut libraries = sysfs::paths(LIBRARIES);
    libraries.extend(sysfs::paths("/lib64"));
    for library in libraries {
        let content = fs::read(&library).doing("reading a library")?;
        let path = library.to_string_lossy().into_owned();
        let path = path.trim_start_matches('/');
        let new = format!("{path}.new");
        install::write(&new, &content, 0o755)?;
        let at = |path: &str| Path::new(ROOT).join(path);
        // Whoever has the old one open goes on with it.
        fs::rename(at(&new), at(path)).doing("replacing a library")?;
        report::step(format!("replaced {path}"));
    }
    Ok(())
}

/// The user unmounts, and the drive comes back with the response: mounted again by the desktop.
fn answered(response: &str) -> Result<Mount> {
    unmount()?;
    let (mount, took) = wait::until(response, ANSWER_LIMIT, || {
        let (mount, _) = debian::wait_mounted(LABEL, ANSWER_LIMIT)?;
        Ok(mount.get(response)?.is_some().then_some(mount))
    })?;
    report::measured(response, took);
    let bytes = mount.get(response)?.unwrap_or_default();
    ensure(!bytes.is_empty(), || format!("{response} is empty"))?;
    Ok(mount)
}

fn unmount() -> Result<()> {
    let device = Lun::wait(0)?.block()?.to_string_lossy().into_owned();
    debian::run(&["udisksctl", "unmount", "-b", &device]).map(drop)
}

/// systemd's own measure says that little is exposed.
fn ensure_little_exposed() -> Result<()> {
    let said = debian::run(&["systemd-analyze", "security", "--no-pager", SERVICE])?;
    let overall = said
        .lines()
        .find(|line| line.contains("Overall exposure level"));
    let level = overall.and_then(|line| {
        let words = line.split_whitespace();
        words
            .filter_map(|word| word.parse::<f64>().ok())
            .next_back()
    });
    let level = level.ok_or_else(|| Failure::Wrong("systemd-analyze gives no level".into()))?;
    report::step(format!("exposure: {level}"));
    ensure(level <= MOST_EXPOSED, || format!("exposed: {level}"))
}
