//! The service on the board, from the kernel's start: Debian's systemd is the first process, and
//! nobody starts the daemon by hand. The controller is there before systemd, as `dwc2` is where it
//! is built into the kernel (Debian's); what a gadget needs beside it is loaded by the unit. The
//! host is the scenario, on the same processor.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::unit::{
    SERVICE, ensure_confined, ensure_modest, group, journal, pids, property, reached,
};
use super::{READY, install};
use crate::debian::{self, MOUNT_LIMIT as BOOT_LIMIT, ROOT, System};
use crate::error::{Doing, ensure};
use crate::gadget::UDC;
use crate::lun::Lun;
use crate::memory::Machine;
use crate::modules::{self, Modules};
use crate::mount::How;
use crate::protocol::Line;
use crate::scenario::Lab;
use crate::scenario::daemon::led::{LEDS, shows};
use crate::scenario::steps::{
    ANSWER_LIMIT, GADGET_NAME, QUESTIONS, ask, ensure_answered_once, ensure_expected,
    format_with_prompt, log, mounted, on_stick, response_name, response_on,
};
use crate::{Failure, Result, clock, report, stick, sysfs, wait};

/// The prompt that lies on the volume when the board starts, and the one that a host brings.
const FOUND: &str = "found.txt";
/// See [`FOUND`].
const BROUGHT: &str = "brought.txt";

/// configfs, as systemd mounts it.
const GADGETS: &str = "sys/kernel/config/usb_gadget";

/// The board's light, which the shipped configuration names.
const LED: &str = "ACT";

/// The parameter that wants all of the journal: what waits for what.
const JOURNAL_PARAMETER: &str = "lab.journal";

/// Between looks that are work for the processor.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What is left of the board's memory at the end, although this Debian's files lie in it too.
const LEAST_AVAILABLE_KIB: u64 = 250 << 10;

/// The board starts, the drive appears, the prompt that it found is answered, and so is another.
pub fn boots(lab: &Lab) -> Result<()> {
    set_up()?;
    plug()?;
    let result = start().and_then(|()| served());
    tell_journal(lab, &result);
    result
}

/// The same on a board whose controller comes when the system is up: the service is not there
/// before, which is no failure, and the controller starts it.
pub fn boots_without_controller(lab: &Lab) -> Result<()> {
    set_up()?;
    let result = start().and_then(|()| {
        wait::until_true("the system to be up", BOOT_LIMIT, is_up)?;
        let (state, result) = (
            property(SERVICE, "ActiveState")?,
            property(SERVICE, "Result")?,
        );
        ensure((&*state, &*result) == ("inactive", "success"), || {
            format!("without a controller the service is {state}: {result}")
        })?;
        plug()?;
        clock::reached("controller")?;
        served()
    });
    tell_journal(lab, &result);
    result
}

fn start() -> Result<()> {
    debian::start(System::Stick)
}

/// The service does all that it is for, and leaves nothing behind.
fn served() -> Result<()> {
    watch()?;
    found_is_answered()?;
    ensure_confined()?;
    let led = Path::new(LEDS).join(LED);
    shows(&led, "ready", &READY)?;
    brought_is_answered()?;
    tell_times()?;
    ensure_healthy()?;
    debian::run(&["systemctl", "stop", SERVICE])?;
    let left = sysfs::names(in_debian(GADGETS));
    ensure(left.is_empty(), || format!("the service leaves {left:?}"))?;
    let response = on_stick(&response_name(FOUND)).unwrap_or_default();
    ensure_expected(FOUND, QUESTIONS[0], &response)
}

/// The service's part of the journal; all of it after a failure, or where somebody wants to know.
fn tell_journal(lab: &Lab, result: &Result<()>) {
    let words = ["journalctl", "--output=short-monotonic", "--no-pager"];
    let journal = match lab.parameter(JOURNAL_PARAMETER).is_some() || result.is_err() {
        true => debian::told_by(&words),
        false => journal("short-monotonic"),
    };
    for line in journal.unwrap_or_default().lines() {
        report::tell(&Line::Log(line.to_owned()));
    }
}

fn in_debian(path: &str) -> PathBuf {
    Path::new(ROOT).join(path)
}

/// What is on the card of a board whose packages were installed long ago, and a prompt.
fn set_up() -> Result<()> {
    clock::reached("installing")?;
    install::files(str::to_owned)?;
    let release = sysfs::read("/proc/sys/kernel/osrelease")?;
    let folder = in_debian("usr/lib/modules").join(&release);
    fs::create_dir_all(&folder).doing("making a folder for modules")?;
    Modules::from_list()?.link_into(&folder)?;
    debian::run(&["depmod", &release])?;
    debian::run(&["systemd-sysusers"])?;
    debian::run(&["systemctl", "enable", SERVICE])?;
    // Newer than all of /usr: nothing is left to do for systemd's units that update something.
    install::write("etc/.updated", b"", 0o644)?;
    install::write("var/.updated", b"", 0o644)?;
    put_prompt()
}

/// A prompt that was copied onto the drive and not answered before the board lost its power.
fn put_prompt() -> Result<()> {
    format_with_prompt(&install::image(), FOUND, QUESTIONS[0])?;
    symlink(install::image(), stick::image()).doing("linking the image")
}

/// The host's drivers, and the controller.
fn plug() -> Result<()> {
    let mut modules = Modules::from_list()?;
    modules.load_all(&modules::HOST)?;
    modules.load(modules::DISK)?;
    modules.load("dummy_hcd")?;
    let udc = Path::new("/sys/class/udc").join(UDC);
    ensure(udc.exists(), || format!("the kernel has no {UDC}"))
}

/// Whether all that a start consists of has been started. Takes its time, to leave some to it.
fn is_up() -> bool {
    wait::pass(LOOK_AGAIN);
    debian::told_by(&["systemctl", "is-active", "multi-user.target"]).is_ok()
}

/// Something that a scenario can see come: its name, and whether it is there.
type Sight = (&'static str, fn() -> bool);

/// What comes after the start, in the order in which it is looked at.
const SIGHTS: [Sight; 3] = [
    ("bound", is_bound),
    ("medium", || Lun::sees_medium(0)),
    ("model_mapped", model_is_mapped),
];

/// Waits for all [`SIGHTS`]. The drive must be there before the model is.
fn watch() -> Result<()> {
    let mut seen = [None; SIGHTS.len()];
    wait::until("the drive and the model", BOOT_LIMIT, || {
        for ((name, is_there), at) in SIGHTS.iter().zip(&mut seen) {
            if at.is_none() && is_there() {
                *at = Some(clock::reached(name)?);
            }
        }
        Ok(seen.iter().all(Option::is_some).then_some(()))
    })?;
    ensure(seen.is_sorted_by(|one, next| one < next), || {
        "the model was loaded before the drive was there".into()
    })
}

/// Whether the gadget is connected to the controller.
fn is_bound() -> bool {
    let gadget = in_debian(GADGETS).join(GADGET_NAME);
    sysfs::read(gadget.join("UDC")).is_ok_and(|udc| udc == UDC)
}

/// Whether a process of the service has the model in its memory.
fn model_is_mapped() -> bool {
    pids().unwrap_or_default().iter().any(|pid| {
        let maps = sysfs::read(Path::new("/proc").join(pid).join("maps"));
        maps.is_ok_and(|maps| maps.contains(".gguf"))
    })
}

/// The response to the prompt that the board found is there for a host.
fn found_is_answered() -> Result<()> {
    wait_on_stick(FOUND)?;
    read(FOUND)?;
    clock::reached("first_response").map(drop)
}

/// A host brings a prompt, and finds the response.
fn brought_is_answered() -> Result<()> {
    let mount = mounted(How::Flush)?;
    ask(&mount, BROUGHT, QUESTIONS[1])?;
    mount.unmount()?;
    wait_on_stick(BROUGHT)?;
    read(BROUGHT)?;
    clock::reached("second_response").map(drop)
}

fn wait_on_stick(prompt: &str) -> Result<()> {
    let name = response_name(prompt);
    wait::until(&name, ANSWER_LIMIT, || {
        wait::pass(LOOK_AGAIN);
        Ok(on_stick(&name).map(drop))
    })?;
    ensure_answered_once(prompt)
}

/// The host mounts the drive, which has come back, and reads the response.
fn read(prompt: &str) -> Result<()> {
    wait::until("the drive to come back", ANSWER_LIMIT, || {
        let mount = mounted(How::ReadOnly)?;
        let is_there = mount.get(&response_name(prompt))?.is_some();
        let response = is_there.then(|| response_on(&mount, prompt)).transpose()?;
        mount.unmount()?;
        Ok(response.map(drop))
    })
    .map(drop)
}

/// When what happened, in milliseconds after the kernel's start.
fn tell_times() -> Result<()> {
    let told = [
        ("systemd", "", "Userspace"),
        (
            "udev_triggers",
            "systemd-udev-trigger.service",
            "InactiveExit",
        ),
        ("service_begun", SERVICE, "InactiveExit"),
        ("daemon_begun", SERVICE, "ExecMainStart"),
        ("ready", SERVICE, "ActiveEnter"),
        ("sysinit", "sysinit.target", "ActiveEnter"),
        ("multi_user", "multi-user.target", "ActiveEnter"),
    ];
    for (name, unit, property) in told {
        report::measured(name, reached(unit, property)?);
    }
    let journal = journal("short-monotonic")?;
    for (name, words) in [
        ("thinking", log::THINKING),
        ("model_loaded", log::LOADED),
        ("first_answer", log::ANSWERED),
        ("first_published", log::PUBLISHED),
    ] {
        let at = logged_at(&journal, words)
            .ok_or_else(|| Failure::Wrong(format!("the journal does not say {words:?}")))?;
        report::measured(name, at);
    }
    Ok(())
}

/// When the journal first holds these words: its lines begin with `[  12.345678]`.
fn logged_at(journal: &str, words: &str) -> Option<Duration> {
    let line = journal.lines().find(|line| line.contains(words))?;
    let (seconds, _) = line.strip_prefix('[')?.split_once(']')?;
    Some(Duration::from_secs_f64(seconds.trim().parse().ok()?))
}

/// Nothing failed, nothing was killed, and there is memory left.
fn ensure_healthy() -> Result<()> {
    let (state, _) = wait::until("the system's start to be over", BOOT_LIMIT, || {
        wait::pass(LOOK_AGAIN);
        let state = property("", "SystemState")?;
        Ok((state != "starting").then_some(state))
    })?;
    ensure(state == "running", || {
        let failed = debian::told_by(&["systemctl", "--failed", "--no-legend"]);
        format!("the system is {state}: {}", failed.unwrap_or_default())
    })?;
    let restarts = property(SERVICE, "NRestarts")?;
    ensure(restarts == "0", || format!("{restarts} restarts"))?;
    ensure_modest()?;
    let memory = Machine::read()?;
    ensure(memory.killed == 0, || {
        format!("{} processes were killed for memory", memory.killed)
    })?;
    let peak = sysfs::read(group("memory.peak"))?;
    let peak_bytes: u64 = peak
        .parse()
        .map_err(|_| Failure::Wrong(format!("memory.peak is {peak:?}")))?;
    report::memory("total", memory.total_kib);
    report::memory("available", memory.available_kib);
    report::memory("service_peak", peak_bytes >> 10);
    ensure(memory.available_kib >= LEAST_AVAILABLE_KIB, || {
        format!("only {} KiB are available", memory.available_kib)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_tells_when() {
        let journal = "[    9.500000] stick systemd[1]: Starting\n[   12.345678] stick x: ready\n";
        assert_eq!(
            logged_at(journal, "ready"),
            Some(Duration::from_micros(12_345_678))
        );
        assert_eq!(logged_at(journal, "answered"), None);
    }
}
