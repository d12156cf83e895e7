//! The lab itself, proved with a gadget made by hand; and the program under test without a gadget.

use std::time::Duration;

use fatfs::FatType;

use super::Lab;
use super::steps::{self, QUESTION, log, make_history, on_stick};
use crate::daemon::{self, Daemon};
use crate::error::ensure;
use crate::gadget::{self, PlainGadget};
use crate::lun::Lun;
use crate::mount::{How, Mount};
use crate::usb::UsbDevice;
use crate::{Result, desktop, files, report, stick, wait};

/// Longer than a medium takes to be noticed.
const NOTICED_LIMIT: Duration = Duration::from_secs(30);

/// Longer than probes hold a lock after an unmount.
const GRANTED_LIMIT: Duration = Duration::from_secs(10);

/// Longer than an answer of the demo model takes in an emulated machine.
const DAEMON_LIMIT: Duration = Duration::from_secs(120);

/// As long as a usual prompt.
const SMALL_BYTES: usize = 2_000;

/// Time for the device's side to notice what happened to the cable.
const SEEN_AFTER: Duration = Duration::from_secs(2);

/// Longer than Linux keeps what it was not asked to write (twice 30 s and some seconds).
const LATE_LIMIT: Duration = Duration::from_secs(120);

/// A gadget with a formatted medium in LUN 0, bound, and its unit as the host sees it.
fn plugged_in() -> Result<(PlainGadget, Lun)> {
    stick::make(stick::USUAL_MEBIBYTES, FatType::Fat16)?;
    let gadget = PlainGadget::with_stick(&stick::image())?;
    let lun = Lun::wait(0)?;
    lun.touch()?;
    lun.wait_medium(NOTICED_LIMIT)?;
    Ok((gadget, lun))
}

/// Three units; a file is written, the lock holds until the unmount, the file is still there when
/// the medium comes back.
pub fn gadget(lab: &Lab) -> Result<()> {
    let (gadget, lun) = plugged_in()?;
    for number in 0..gadget::LUNS {
        Lun::wait(number)?.block()?;
    }
    let content = files::random(lab.seed(), 100_000);
    let mount = Mount::new(&lun.block()?, How::Default)?;
    mount.put_synced("hello.bin", &content)?;
    ensure(!gadget.eject(0)?, || {
        "a polite eject was granted although the volume is mounted".into()
    })?;
    mount.unmount()?;
    let took = wait::until("the polite eject", GRANTED_LIMIT, || {
        Ok(gadget.eject(0)?.then_some(()))
    })?;
    report::measured("eject_after_unmount", took.1);
    ensure(!lun.touch()?, || "the host still sees a medium".into())?;
    gadget.insert(0, &stick::image())?;
    let again = Mount::new(&lun.block()?, How::ReadOnly)?;
    let seen = again.get("hello.bin")?.unwrap_or_default();
    files::ensure_same("hello.bin", &seen, &content)?;
    again.unmount()?;
    gadget.unbind()
}

/// The host ejects; a USB reset drops the lock under a mounted volume; the cable is pulled.
pub fn cable(lab: &Lab) -> Result<()> {
    let (gadget, lun) = plugged_in()?;
    lun.eject()?;
    ensure(gadget.file(0)?.is_empty(), || {
        "a host's eject left the medium in place".into()
    })?;
    gadget.insert(0, &stick::image())?;
    lun.touch()?;
    lun.wait_medium(NOTICED_LIMIT)?;

    let mount = Mount::new(&lun.block()?, How::Flush)?;
    mount.put_synced("kept.bin", &files::random(lab.seed(), 10_000))?;
    let device = UsbDevice::wait()?;
    device.reset()?;
    let granted = gadget.eject(0)?;
    report::step(format!(
        "after a reset, with the volume mounted: granted is {granted}"
    ));
    ensure(granted, || {
        "the kernel no longer drops the lock at a reset: update the facts".into()
    })?;
    gadget.insert(0, &stick::image())?;
    mount.abandon()?;

    device.pull()?;
    // The controller of `dummy_hcd` tells no state of its own for a lost connection (the board's
    // does), so what it says is shown and not judged.
    wait::pass(SEEN_AFTER);
    report::step(format!("bus after the pull: {}", gadget::bus_state()?));
    device.plug()?;
    let lun = Lun::wait(0)?;
    lun.touch()?;
    lun.wait_medium(NOTICED_LIMIT)?;
    report::step(format!("bus after the plug: {}", gadget::bus_state()?));
    ensure(gadget::bus_state()? == "configured", || {
        "the device was not configured again".into()
    })
    .and_then(|()| repaired())
}

/// A volume that was abandoned keeps its dirty mark, which is no fault of the device: take it
/// away, as a repair would.
fn repaired() -> Result<()> {
    stick::clear_boot_mark(&stick::image())
}

/// What the device's controller says while the host suspends and resumes it.
pub fn bus_states(_: &Lab) -> Result<()> {
    let (gadget, _) = plugged_in()?;
    let device = UsbDevice::wait()?;
    device.suspend()?;
    report::step(format!("bus while suspended: {}", gadget::bus_state()?));
    wait::until("the device to know of it", NOTICED_LIMIT, || {
        Ok(gadget::is_suspended()?.then_some(()))
    })?;
    device.resume()?;
    wait::until("the device to be awake", NOTICED_LIMIT, || {
        Ok((!gadget::is_suspended()?).then_some(()))
    })?;
    device.power_off()?;
    report::step(format!("bus after a power-off: {}", gadget::bus_state()?));
    ensure(!gadget.file(0)?.is_empty(), || {
        "a power-off took the medium away".into()
    })
}

/// A host that polls notices a medium in LUN 1 by itself, while LUN 0 is mounted.
pub fn desktop_polling(lab: &Lab) -> Result<()> {
    desktop::start()?;
    let (gadget, lun) = plugged_in()?;
    let mount = Mount::new(&lun.block()?, How::Flush)?;
    let content = files::random(lab.seed(), 300_000);
    mount.put("flushed.bin", &content)?;
    let seen = stick::read_file(&stick::image(), "flushed.bin")?.unwrap_or_default();
    files::ensure_same("flushed.bin right after its close", &seen, &content)?;
    report::flushed("flushed.bin", &content);

    gadget.insert(1, &stick::make_answers(1)?)?;
    let second = Lun::wait(1)?;
    let took = second.wait_medium(NOTICED_LIMIT)?;
    report::measured("lun1_noticed", took);
    let read_only = Mount::new(&second.block()?, How::ReadOnly)?;
    let (name, content) = stick::ANSWER;
    let seen = read_only.get(name)?.unwrap_or_default();
    files::ensure_same(name, &seen, content)?;
    ensure(!gadget.eject(1)?, || {
        "LUN 1 was given up although it is mounted".into()
    })?;
    read_only.unmount()?;
    mount.unmount()
}

/// A host that mounts without options writes late, some 30 s and more after `close`. (To a device
/// that was never written to it writes after 5 s, at the next wake-up of the kernel's flusher: such
/// a device has no share yet of what may be dirty. So something is written before.)
pub fn late_writes(lab: &Lab) -> Result<()> {
    let (_gadget, lun) = plugged_in()?;
    let mount = Mount::new(&lun.block()?, How::Default)?;
    make_history(&mount, lab)?;
    let content = files::random(lab.seed(), SMALL_BYTES);
    mount.put("late.bin", &content)?;
    ensure(on_stick("late.bin").as_ref() != Some(&content), || {
        "the host wrote at once".into()
    })?;
    let (_, took) = wait::until("the late writes", LATE_LIMIT, || {
        Ok(on_stick("late.bin").filter(|seen| *seen == content))
    })?;
    report::measured("late_write", took);
    report::flushed("late.bin", &content);
    mount.unmount()
}

/// A stick with a partition table.
pub fn partitioned(lab: &Lab) -> Result<()> {
    stick::make_partitioned()?;
    let gadget = PlainGadget::with_stick(&stick::image())?;
    let lun = Lun::wait(0)?;
    lun.touch()?;
    let mount = Mount::new(&lun.partition()?, How::Sync)?;
    mount.put_synced("hello.bin", &files::random(lab.seed(), 100_000))?;
    ensure(!gadget.eject(0)?, || {
        "the eject was granted while mounted".into()
    })?;
    mount.unmount()?;
    ensure(gadget.eject(0)?, || {
        "the eject was refused after the unmount".into()
    })
}

/// The program under test and its model work in the guest: the processor that QEMU emulates has
/// what they were compiled for.
pub fn program(_: &Lab) -> Result<()> {
    stick::make(stick::USUAL_MEBIBYTES, FatType::Fat16)?;
    stick::add_file(&stick::image(), "prompt.txt", QUESTION)?;
    report::flushed("prompt.txt", QUESTION);
    let image = stick::image();
    let start = std::time::Instant::now();
    Daemon::run(&["answer", &image.to_string_lossy(), "--model", daemon::MODEL])?;
    report::measured("answer", start.elapsed());
    let response = stick::read_file(&image, "prompt.response.txt")?.unwrap_or_default();
    report::step(String::from_utf8_lossy(&response));
    ensure(!response.is_empty(), || "there is no response".into())
}

/// The daemon is started, killed, started again and stopped, without a gadget.
pub fn daemon_killed(_: &Lab) -> Result<()> {
    stick::make(stick::USUAL_MEBIBYTES, FatType::Fat16)?;
    steps::configure("")?;
    let serve = steps::arguments(&["--gadget", "none"]);
    let mut first = Daemon::start(&serve)?;
    first.wait_logged(log::READY, DAEMON_LIMIT)?;
    first.kill()?;
    stick::add_file(&stick::image(), "prompt.txt", b"What does the LED mean?")?;
    let mut second = Daemon::start(&serve)?;
    let took = second.wait_logged(log::PUBLISHED, DAEMON_LIMIT)?;
    report::measured("published_after_restart", took);
    second.stop()
}
