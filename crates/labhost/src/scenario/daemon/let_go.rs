//! A host that lets go of the drive, in each way that there is.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::ensure;
use crate::lun::Lun;
use crate::mount::How;
use crate::scenario::Lab;
use crate::scenario::steps::{
    ANSWER_LIMIT, Plugged, QUESTION, QUIET_WATCH, SWAP_LIMIT, SlowBoard, configure,
    ensure_expected, format_with_prompt, inserted, log, response_on, serve,
};
use crate::usb::UsbDevice;
use crate::{Result, report, stick, wait};

/// How long a stick that was ejected is watched for coming back by itself.
const EJECTED_WATCH: Duration = Duration::from_secs(10);

/// The host copies a prompt, unmounts, and finds the response when the drive has come back.
pub fn unmounted(_: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    stick.ask_and_unmount("prompt.txt", QUESTION)?;
    let response = stick.response_after_swap("prompt.txt")?;
    ensure(stick.daemon.times_logged(log::REBOUND) == 0, || {
        "the drive was connected anew under a host that looks at it".into()
    })?;
    stick.daemon.stop()?;
    ensure_expected("prompt.txt", QUESTION, &response)
}

/// The same on a host that polls nothing: the response is there when somebody mounts again.
pub fn unmounted_unpolled(_: &Lab) -> Result<()> {
    let mut stick = Plugged::on_bare_host("")?;
    stick.ask_and_unmount("prompt.txt", QUESTION)?;
    stick.wait_published(1)?;
    wait::until("the medium to be back in the drive", SWAP_LIMIT, || {
        Ok((!inserted(0)?.is_empty()).then_some(()))
    })?;
    let mount = stick.mount(How::Flush)?;
    response_on(&mount, "prompt.txt")?;
    mount.unmount()?;
    stick.daemon.stop()
}

/// The host ejects at once after unmounting: the drive comes back with the answer. When there is
/// nothing to show, an ejected drive stays away.
pub fn ejected(_: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    stick.ask_and_unmount("prompt.txt", QUESTION)?;
    stick.lun.eject()?;
    stick.response_after_swap("prompt.txt")?;
    stick.lun.eject()?;
    ensure_stays_away()?;
    report::step("ejected, and stays away");
    configure("nice = 11")?;
    stick.daemon.reload()?;
    stick.daemon.wait_logged(log::RECONFIGURED, SWAP_LIMIT)?;
    ensure_stays_away()?;
    report::step("stays away with another configuration");
    stick.daemon.stop()
}

fn ensure_stays_away() -> Result<()> {
    wait::watch(EJECTED_WATCH, || {
        ensure(inserted(0)?.is_empty(), || {
            "a drive that was ejected came back with nothing to show".into()
        })
    })
}

/// The desktop powers the drive off after unmounting: it is connected anew with the answer.
pub fn powered_off(_: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    stick.ask_and_unmount("prompt.txt", QUESTION)?;
    UsbDevice::wait()?.power_off()?;
    let start = stick.wait_answered(1)?;
    stick.wait_published(1)?;
    found_anew(stick, start)
}

/// The same while the medium is away to be missed: the drive is powered off when it is empty.
pub fn powered_off_empty(_: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    let device = UsbDevice::wait()?;
    stick.ask_and_unmount("prompt.txt", QUESTION)?;
    stick.wait_published(1)?;
    device.power_off()?;
    found_anew(stick, Instant::now())
}

/// The drive is connected anew, once, with the answer on it.
fn found_anew(mut stick: Plugged, start: Instant) -> Result<()> {
    stick.daemon.wait_logged(log::REBOUND, ANSWER_LIMIT)?;
    wait::until_true("the drive", SWAP_LIMIT, || Lun::sees_medium(0))?;
    report::measured("back_after_power_off", start.elapsed());
    stick.lun = Lun::wait(0)?;
    let mount = stick.mount(How::Flush)?;
    response_on(&mount, "prompt.txt")?;
    mount.unmount()?;
    // Once is enough: the host that reads it now is not disturbed.
    wait::pass(QUIET_WATCH);
    ensure(stick.daemon.times_logged(log::REBOUND) == 1, || {
        "the drive was connected anew again".into()
    })?;
    stick.daemon.stop()
}

/// The host sleeps when the answer becomes ready: nothing is taken from it until it wakes.
pub fn asleep(_: &Lab) -> Result<()> {
    let mut stick = Plugged::on_bare_host("")?;
    let device = UsbDevice::wait()?;
    let board = SlowBoard::start();
    stick.ask_and_unmount("prompt.txt", QUESTION)?;
    stick.daemon.wait_logged(log::THINKING, ANSWER_LIMIT)?;
    device.suspend()?;
    ensure(stick.daemon.times_logged(log::ANSWERED) == 0, || {
        "the answer was too fast for this scenario".into()
    })?;
    drop(board);
    stick.wait_answered(1)?;
    wait::watch(QUIET_WATCH, || {
        ensure(!inserted(0)?.is_empty() && stick.published() == 0, || {
            "the medium was taken from a host that sleeps".into()
        })
    })?;
    device.resume()?;
    let start = Instant::now();
    stick.wait_published(1)?;
    report::measured("published_after_waking", start.elapsed());
    let mount = stick.mount_showing("prompt.response.txt")?;
    response_on(&mount, "prompt.txt")?;
    mount.unmount()?;
    stick.daemon.stop()
}

/// A host that only asks for the capacity and never mounts: what lies on the stick is answered.
pub fn never_mounted(_: &Lab) -> Result<()> {
    format_with_prompt(&stick::image(), "prompt.txt", QUESTION)?;
    let mut daemon = serve()?;
    capacity()?;
    daemon.wait_logged(log::PUBLISHED, ANSWER_LIMIT)?;
    daemon.wait_logged(log::REBOUND, SWAP_LIMIT)?;
    wait::pass(QUIET_WATCH);
    capacity()?;
    let (published, rebinds) = (
        daemon.times_logged(log::PUBLISHED),
        daemon.times_logged(log::REBOUND),
    );
    ensure((published, rebinds) == (1, 1), || {
        format!("published {published} times, connected anew {rebinds} times")
    })?;
    let response = stick::read_file(&stick::image(), "prompt.response.txt")?;
    ensure(response.is_some(), || "there is no response".into())?;
    daemon.stop()
}

/// Waits until LUN 0 tells its capacity.
fn capacity() -> Result<()> {
    let (blocks, _) = wait::until("the capacity", SWAP_LIMIT, || {
        let Some(lun) = Lun::present(0) else {
            return Ok(None);
        };
        Ok(lun.scsi().and_then(|unit| unit.blocks()).ok())
    })?;
    report::step(format!("capacity: {blocks} blocks"));
    let shown = Path::new(&inserted(0)?) == stick::image();
    ensure(shown, || "another medium is in the drive".into())
}

/// A stick that has answered sleeps, though the host goes on polling its drives.
pub fn idle(_: &Lab) -> Result<()> {
    const WATCHED: Duration = Duration::from_secs(30);
    let mut stick = Plugged::on_desktop("")?;
    stick.ask_and_unmount("prompt.txt", QUESTION)?;
    stick.response_after_swap("prompt.txt")?;
    wait::pass(QUIET_WATCH);
    let before = stick.daemon.switches()?;
    wait::pass(WATCHED);
    let after = stick.daemon.switches()?;
    ensure(before > 0 && before == after, || {
        format!(
            "{} wake-ups within {WATCHED:?}",
            after.saturating_sub(before)
        )
    })?;
    stick.daemon.stop()
}
