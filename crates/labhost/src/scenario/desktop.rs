//! The daemon with its drive, and a real desktop: systemd, udev, udisks2, and udiskie, which mounts
//! what comes. The scenario does only what a person does: it copies, and presses buttons.

use std::time::Duration;

use super::Lab;
use super::steps::{ANSWER_LIMIT, QUESTION, QUIET_WATCH, log, serve};
use crate::daemon::Daemon;
use crate::debian::{self, MOUNT_LIMIT};
use crate::error::{Doing, ensure};
use crate::lun::Lun;
use crate::mount::Mount;
use crate::stick::LABEL;
use crate::{Result, files, report, wait};

/// The label of the drive for answers.
const ANSWERS: &str = "ANSWERS";

const PROMPT: &str = "prompt.txt";
const RESPONSE: &str = "prompt.response.txt";

/// The drive stays mounted: the response is on the second one, which the desktop mounts by itself.
pub fn kept(_: &Lab) -> Result<()> {
    let (mut daemon, mount) = plugged()?;
    daemon.wait_logged(log::ANSWERED, ANSWER_LIMIT)?;
    let (answers, took) = debian::wait_mounted(ANSWERS, ANSWER_LIMIT)?;
    report::measured("answers_mounted", took);
    let shown = read(&answers, ANSWER_LIMIT)?;
    wait::pass(QUIET_WATCH);
    ensure(debian::has_mounted(LABEL)?, || {
        format!("{LABEL} is no longer mounted")
    })?;
    ensure(daemon.times_logged(log::PUBLISHED) == 0, || {
        "the daemon wrote a volume that is mounted".into()
    })?;
    files::ensure_same(PROMPT, &mount.get(PROMPT)?.unwrap_or_default(), QUESTION)?;
    unmount()?;
    daemon.wait_logged(log::PUBLISHED, ANSWER_LIMIT)?;
    let response = back()?;
    files::ensure_same("the response on the drive itself", &response, &shown)?;
    daemon.stop()
}

/// A file manager's "unmount".
pub fn unmounted(_: &Lab) -> Result<()> {
    let (daemon, _) = plugged()?;
    unmount()?;
    back()?;
    daemon.stop()
}

/// A file manager's button "eject": udisks unmounts, then asks the drive to let go of its medium.
pub fn ejected(_: &Lab) -> Result<()> {
    let (daemon, _) = plugged()?;
    unmount()?;
    let info = debian::run(&["udisksctl", "info", "-b", &device()?])?;
    let drive = info
        .lines()
        .find_map(|line| line.trim().strip_prefix("Drive:"));
    let drive = drive.unwrap_or_default().trim().trim_matches('\'');
    debian::run(&[
        "busctl",
        "call",
        "org.freedesktop.UDisks2",
        drive,
        "org.freedesktop.UDisks2.Drive",
        "Eject",
        "a{sv}",
        "0",
    ])?;
    back()?;
    daemon.stop()
}

/// "Safely remove": the desktop switches the whole device off.
pub fn powered_off(_: &Lab) -> Result<()> {
    let (daemon, _) = plugged()?;
    unmount()?;
    debian::run(&["udisksctl", "power-off", "-b", &device()?])?;
    back()?;
    daemon.stop()
}

/// The daemon, and its drive as the desktop has mounted it, with a prompt on it.
fn plugged() -> Result<(Daemon, Mount)> {
    let daemon = serve()?;
    let (mount, took) = debian::wait_mounted(LABEL, MOUNT_LIMIT)?;
    report::measured("mounted", took);
    mount.put(PROMPT, QUESTION)?;
    report::flushed(PROMPT, QUESTION);
    Ok((daemon, mount))
}

fn unmount() -> Result<()> {
    debian::run(&["udisksctl", "unmount", "-b", &device()?]).map(drop)
}

fn device() -> Result<String> {
    Ok(Lun::wait(0)?.block()?.to_string_lossy().into_owned())
}

/// Waits until the desktop has mounted the drive again, with the response.
fn back() -> Result<Vec<u8>> {
    let ended = std::time::Instant::now();
    let (mount, _) = debian::wait_mounted(LABEL, ANSWER_LIMIT)?;
    let response = read(&mount, ANSWER_LIMIT)?;
    report::measured("response", ended.elapsed());
    // The judge wants the volume as a host leaves it.
    unmount()?;
    Ok(response)
}

/// The response on a mounted volume, in its folder or beside the prompt.
fn read(mount: &Mount, limit: Duration) -> Result<Vec<u8>> {
    let (response, _) = wait::until("the response", limit, || {
        let names = mount.list();
        let name = names.iter().find(|name| name.ends_with(RESPONSE));
        match name {
            Some(name) => mount.get(name),
            None => Ok(None),
        }
    })?;
    let text = std::str::from_utf8(&response).map_err(std::io::Error::other);
    report::step(text.doing("reading the response")?);
    ensure(!response.is_empty(), || "the response is empty".into())?;
    Ok(response)
}
