//! Hosts that vanish in the middle of their work, and hosts that put another volume in the place of
//! ours.

use std::fs::{self, File};
use std::io::Write;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Lab;
use super::daemon::disk;
use super::steps::{
    self, ANSWER_LIMIT, QUESTION, QUESTIONS, answers, ask, ensure_answered_once, log,
    remounted_with, response_name,
};
use crate::daemon::Daemon;
use crate::error::{Doing, ensure};
use crate::lun::Lun;
use crate::mount::{How, Mount, format_whole_disk};
use crate::usbip::{self, Cable};
use crate::{Result, desktop, files, report, stick, wait};

/// From a session that failed, or a start, to a drive with a medium in it.
const BACK_LIMIT: Duration = Duration::from_secs(120);

/// A file that the host had flushed before it vanished.
const KEPT_BYTES: usize = 300_000;

/// A file that the host was writing when it vanished.
const TORN_BYTES: usize = 24 << 20;

/// The daemon ends (as it does when the power goes) while the host writes; the volume stays dirty.
/// The next daemon repairs it before the host gets it, and answers.
pub fn host_vanished(lab: &Lab) -> Result<()> {
    desktop::start()?;
    let daemon = steps::serve()?;
    let mount = steps::mounted(How::Sync)?;
    write_prompt(&mount, lab)?;
    let (torn, writer) = start_torn(&mount, lab)?;
    wait::pass(HALF_WAY);
    daemon.stop()?;
    let result = writer.join();
    report::step(format!("the host's program ended with {result:?}"));
    mount.abandon()?;
    ensure(stick::has_boot_mark(&stick::image())?, || {
        "the volume is not dirty: this proves nothing".into()
    })?;

    let mut daemon = steps::serve()?;
    daemon.wait_logged(log::READY, ANSWER_LIMIT)?;
    ensure(daemon.times_logged(log::REPAIRED) == 1, || {
        "the volume was not repaired before the host got it".into()
    })?;
    published_and_whole(&mut daemon, &torn)?;
    daemon.stop()
}

/// The cable is pulled while the volume is dirty and a prompt waits; the answer is published
/// meanwhile, and the host finds it when the cable is back.
pub fn cable_pulled(lab: &Lab) -> Result<()> {
    let mut daemon = serve_over_usbip()?;
    let cable = Cable::plug()?;
    let mount = steps::mounted(How::Sync)?;
    write_prompt(&mount, lab)?;
    let (torn, writer) = start_torn(&mount, lab)?;
    wait::pass(HALF_WAY);
    cable.pull()?;
    let result = writer.join();
    report::step(format!("the host's program ended with {result:?}"));
    mount.abandon()?;

    let took = daemon.wait_logged(log::PUBLISHED, ANSWER_LIMIT)?;
    report::measured("pull_to_published", took);
    ensure(daemon.times_logged(log::REPAIRED) == 1, || {
        "the volume was not repaired".into()
    })?;
    // The kernel's USB/IP ends the old connection in the background when the drive is unbound, and
    // takes a new one along if it comes in that moment.
    wait::pass(HAND);
    let cable = Cable::plug()?;
    published_and_whole(&mut daemon, &torn)?;
    cable.pull()?;
    daemon.stop()
}

/// The cable is pulled with the volume dirty while the device's own disk is full, so that nothing
/// can be repaired or published. The next host gets the volume as it was left.
pub fn cable_pulled_disk_full(_: &Lab) -> Result<()> {
    disk::small()?;
    let mut daemon = serve_over_usbip()?;
    let cable = Cable::plug()?;
    let mount = steps::mounted(How::Sync)?;
    ask(&mount, "prompt.txt", QUESTION)?;
    daemon.wait_logged(log::ANSWERED, ANSWER_LIMIT)?;
    let filler = disk::fill()?;
    cable.pull()?;
    mount.abandon()?;
    ensure(stick::has_boot_mark(&stick::image())?, || {
        "the volume is not dirty: this proves nothing".into()
    })?;
    daemon.wait_logged(log::NO_JOURNAL, ANSWER_LIMIT)?;
    // Past the second attempt, which comes after 2 s; the third comes after 4 s more.
    wait::pass(2 * HAND);
    let cable = Cable::plug()?;
    let mount = steps::mounted(How::ReadOnly)?;
    let kept = mount.get("prompt.txt")?.unwrap_or_default();
    files::ensure_same("prompt.txt", &kept, QUESTION)?;
    mount.unmount()?;
    let done = daemon.times_logged(log::PUBLISHED) + daemon.times_logged(log::REPAIRED);
    ensure(done == 0, || {
        "the volume was written without a journal".into()
    })?;

    fs::remove_file(&filler).doing("removing the filler")?;
    cable.pull()?;
    daemon.wait_logged(log::PUBLISHED, ANSWER_LIMIT)?;
    ensure(daemon.times_logged(log::REPAIRED) == 1, || {
        "the volume was not repaired".into()
    })?;
    wait::pass(HAND);
    let _cable = Cable::plug()?;
    remounted_with(&response_name("prompt.txt"))?;
    daemon.stop()
}

/// A person does not plug in sooner after the daemon has written.
const HAND: Duration = Duration::from_secs(2);

/// The daemon, with a drive whose cable can be pulled.
fn serve_over_usbip() -> Result<Daemon> {
    usbip::load()?;
    desktop::start()?;
    let mut daemon = steps::serve_with(&format!("udc = {:?}", usbip::UDC))?;
    daemon.wait_logged(log::READY, ANSWER_LIMIT)?;
    Ok(daemon)
}

/// The cable is pulled with the volume dirty and plugged in again at once, too soon for a repair.
/// Linux leaves the mark of a volume that was dirty when it was mounted, so the response to the
/// next prompt comes through LUN 1; LUN 0 has both when the host was gone for longer.
pub fn cable_wiggled(lab: &Lab) -> Result<()> {
    let mut daemon = serve_over_usbip()?;
    let cable = Cable::plug()?;
    let mount = steps::mounted(How::Flush)?;
    write_prompt(&mount, lab)?;
    cable.pull()?;
    let cable = Cable::plug()?;
    mount.abandon()?;

    let mount = steps::mounted(How::Flush)?;
    mount.put_synced("second.txt", QUESTIONS[1])?;
    let own = files::random(lab.seed() + 2, KEPT_BYTES);
    mount.put_synced("own.bin", &own)?;
    mount.unmount()?;
    daemon.wait_logged_times(log::ANSWERED, 2, ANSWER_LIMIT)?;
    let names = [response_name("prompt.txt"), response_name("second.txt")];
    let (_, took) = wait::until("both responses on LUN 1", ANSWER_LIMIT, || {
        let mount = answers(1)?;
        let seen = mount.list();
        mount.unmount()?;
        Ok(names.iter().all(|name| seen.contains(name)).then_some(()))
    })?;
    report::measured("both_on_lun_1", took);
    ensure(daemon.times_logged(log::PUBLISHED) == 0, || {
        "a volume that is marked as in use was written".into()
    })?;

    cable.pull()?;
    daemon.wait_logged_times(log::PUBLISHED, 2, ANSWER_LIMIT)?;
    wait::pass(HAND);
    let _cable = Cable::plug()?;
    for name in &names {
        remounted_with(name)?;
    }
    ensure_answered_once("prompt.txt")?;
    ensure_answered_once("second.txt")?;
    steps::ensure_on_stick("own.bin", &own)?;
    daemon.stop()
}

/// Long enough for the host to have written some of [`TORN_BYTES`], and not all of it.
const HALF_WAY: Duration = Duration::from_millis(300);

/// A flushed file, and the prompt.
fn write_prompt(mount: &Mount, lab: &Lab) -> Result<()> {
    mount.put_synced("kept.bin", &files::random(lab.seed(), KEPT_BYTES))?;
    mount.put_synced("prompt.txt", QUESTION)
}

/// What a program writes until its disk is gone.
type Torn = JoinHandle<std::io::Result<()>>;

/// A program begins to write torn.bin, in one call: its chain grows while its entry says that it is
/// empty.
fn start_torn(mount: &Mount, lab: &Lab) -> Result<(Vec<u8>, Torn)> {
    let content = files::random(lab.seed() + 1, TORN_BYTES);
    let mut file = File::create(mount.path("torn.bin")).doing("creating torn.bin")?;
    let writer = thread::spawn({
        let content = content.clone();
        move || file.write_all(&content)
    });
    Ok((content, writer))
}

/// The host mounts and finds the response; of the torn file there is nothing but what was written.
fn published_and_whole(daemon: &mut Daemon, torn: &[u8]) -> Result<()> {
    remounted_with(&response_name("prompt.txt"))?;
    daemon.wait_logged(log::ANSWERED, ANSWER_LIMIT)?;
    ensure_answered_once("prompt.txt")?;
    let seen = stick::read_file(&stick::image(), "torn.bin")?.unwrap_or_default();
    report::step(format!("torn.bin: {} of {} bytes", seen.len(), torn.len()));
    report::step(format!(
        "on the stick: {:?}",
        stick::names(&stick::image())?
    ));
    ensure(torn.starts_with(&seen), || {
        "torn.bin holds what nobody wrote".into()
    })
}

/// The host formats the drive while a prompt is in work: its answer belongs to the volume that is
/// gone; the daemon goes on with the new one.
pub fn formatted(lab: &Lab) -> Result<()> {
    desktop::start()?;
    let mut daemon = steps::serve()?;
    let mount = steps::mounted(How::Flush)?;
    mount.put("kept.bin", &files::random(lab.seed(), KEPT_BYTES))?;
    mount.put("lost question.txt", QUESTION)?;
    mount.unmount()?;
    daemon.wait_logged(log::THINKING, ANSWER_LIMIT)?;
    format_whole_disk(&Lun::wait(0)?.block()?)?;

    let mount = steps::mounted(How::Flush)?;
    let names = mount.list();
    ensure(names.iter().all(|name| !name.contains("lost")), || {
        format!("the new volume holds {names:?}")
    })?;
    let kept = files::random(lab.seed() + 1, KEPT_BYTES);
    mount.put("new.bin", &kept)?;
    report::flushed("new.bin", &kept);
    ask(&mount, "prompt.txt", QUESTIONS[1])?;
    mount.unmount()?;
    remounted_with(&response_name("prompt.txt"))?;
    ensure_answered_once("prompt.txt")?;
    let names = stick::names(&stick::image())?;
    let foreign = names.iter().find(|name| name.contains("lost"));
    ensure(foreign.is_none(), || {
        format!("{foreign:?} belongs to the volume that is gone")
    })?;
    daemon.stop()
}

/// The host wipes the drive and ejects it. No volume is left, but the drive comes back, also after
/// a power cycle, so that it can be formatted; then it serves the new volume.
pub fn wiped(_: &Lab) -> Result<()> {
    const WIPED_BYTES: usize = 1 << 20;
    desktop::start()?;
    let mut daemon = steps::serve()?;
    let lun = Lun::wait(0)?;
    lun.wait_medium(BACK_LIMIT)?;
    lun.touch()?;
    files::write_synced(&lun.block()?, &vec![0; WIPED_BYTES])?;
    lun.eject()?;
    daemon.wait_logged(log::UNUSABLE, ANSWER_LIMIT)?;
    Lun::wait(0)?.wait_medium(BACK_LIMIT)?;
    daemon.stop()?;

    let daemon = steps::serve()?;
    let lun = Lun::wait(0)?;
    lun.wait_medium(BACK_LIMIT)?;
    lun.touch()?;
    format_whole_disk(&lun.block()?)?;
    let mount = steps::mounted(How::Flush)?;
    ask(&mount, "prompt.txt", QUESTIONS[1])?;
    mount.unmount()?;
    remounted_with(&response_name("prompt.txt"))?;
    ensure_answered_once("prompt.txt")?;
    daemon.stop()
}
