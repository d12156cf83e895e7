//! Hosts that vanish in the middle of their work, and hosts that put another volume in the place of
//! ours.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Lab;
use super::daemon::disk;
use super::served::{self, ANSWERED, PUBLISHED, QUESTIONS, THINKING, response_name};
use crate::daemon::Daemon;
use crate::error::{Doing, ensure};
use crate::lun::Lun;
use crate::mount::{How, Mount};
use crate::usbip::{self, Cable};
use crate::{Result, desktop, files, report, stick, wait};

/// What the log says when a host's volume was repaired.
const REPAIRED: &str = "a host left the volume in the middle of its work; repaired it";

/// What the log says when a drive is ready.
const READY: &str = "ready for prompts";

/// From a session that failed, or a start, to a drive with a medium in it.
const BACK_LIMIT: Duration = Duration::from_secs(120);

/// Where the harness puts the host's formatting program (dosfstools).
const MKFS: &str = "/sbin/mkfs.fat";

/// A file that the host had flushed before it vanished.
const KEPT_BYTES: usize = 300_000;

/// A file that the host was writing when it vanished.
const TORN_BYTES: usize = 24 << 20;

/// The daemon ends (as it does when the power goes) while the host writes; the volume stays dirty.
/// The next daemon repairs it before the host gets it, and answers.
pub fn host_vanished(lab: &Lab) -> Result<()> {
    desktop::start()?;
    let daemon = served::serve()?;
    let mount = served::mounted(How::Sync)?;
    write_prompt(&mount, lab)?;
    let (torn, writer) = start_torn(&mount, lab)?;
    wait::pass(HALF_WAY);
    daemon.stop()?;
    let result = writer.join();
    report::step(format!("the host's program ended with {result:?}"));
    mount.abandon()?;
    ensure(is_marked(&stick::image())?, || {
        "the volume is not dirty: this proves nothing".into()
    })?;

    let daemon = served::serve()?;
    served::wait_logged(&daemon, READY, 1)?;
    ensure(served::logged(&daemon, REPAIRED) == 1, || {
        "the volume was not repaired before the host got it".into()
    })?;
    published_and_whole(&daemon, &torn)?;
    daemon.stop()
}

/// The cable is pulled while the volume is dirty and a prompt waits; the answer is published
/// meanwhile, and the host finds it when the cable is back.
pub fn cable_pulled(lab: &Lab) -> Result<()> {
    let daemon = serve_over_usbip()?;
    let cable = Cable::plug()?;
    let mount = served::mounted(How::Sync)?;
    write_prompt(&mount, lab)?;
    let (torn, writer) = start_torn(&mount, lab)?;
    wait::pass(HALF_WAY);
    cable.pull()?;
    let result = writer.join();
    report::step(format!("the host's program ended with {result:?}"));
    mount.abandon()?;

    let took = served::wait_logged(&daemon, PUBLISHED, 1)?;
    report::measured("pull_to_published", took);
    ensure(served::logged(&daemon, REPAIRED) == 1, || {
        "the volume was not repaired".into()
    })?;
    // The kernel's USB/IP ends the old connection in the background when the drive is unbound, and
    // takes a new one along if it comes in that moment.
    wait::pass(HAND);
    let cable = Cable::plug()?;
    published_and_whole(&daemon, &torn)?;
    cable.pull()?;
    daemon.stop()
}

/// The cable is pulled with the volume dirty while the device's own disk is full, so that nothing
/// can be repaired or published. The next host gets the volume as it was left.
pub fn cable_pulled_disk_full(_: &Lab) -> Result<()> {
    disk::small()?;
    let daemon = serve_over_usbip()?;
    let cable = Cable::plug()?;
    let mount = served::mounted(How::Sync)?;
    mount.put_synced("prompt.txt", QUESTIONS[0])?;
    served::wait_logged(&daemon, ANSWERED, 1)?;
    let filler = disk::fill()?;
    cable.pull()?;
    mount.abandon()?;
    served::wait_logged(&daemon, disk::PUT_OFF, 1)?;
    wait::pass(HAND);
    let cable = Cable::plug()?;
    let mount = served::mounted(How::ReadOnly)?;
    let kept = mount.get("prompt.txt")?.unwrap_or_default();
    files::ensure_same("prompt.txt", &kept, QUESTIONS[0])?;
    mount.unmount()?;
    ensure(served::logged(&daemon, PUBLISHED) == 0, || {
        "published without room for a journal".into()
    })?;

    std::fs::remove_file(&filler).doing("removing the filler")?;
    cable.pull()?;
    served::wait_logged(&daemon, PUBLISHED, 1)?;
    wait::pass(HAND);
    let _cable = Cable::plug()?;
    served::remounted_with(&response_name("prompt"))?;
    served::ensure_answered_once("prompt")?;
    daemon.stop()
}

/// A person does not plug in sooner after the daemon has written.
const HAND: Duration = Duration::from_secs(2);

/// The daemon, with a drive whose cable can be pulled.
fn serve_over_usbip() -> Result<Daemon> {
    usbip::load()?;
    desktop::start()?;
    let mut arguments = served::arguments(&stick::image());
    arguments.extend(["--udc".to_owned(), usbip::UDC.to_owned()]);
    std::fs::create_dir_all(stick::FOLDER).doing("making the stick's folder")?;
    let daemon = Daemon::start(&served::as_words(&arguments))?;
    served::wait_logged(&daemon, READY, 1)?;
    Ok(daemon)
}

/// The cable is pulled with the volume dirty and plugged in again at once, too soon for a repair.
/// Linux leaves the mark of a volume that was dirty when it was mounted, so the response to the
/// next prompt comes through LUN 1; LUN 0 has both when the host was gone for longer.
pub fn cable_wiggled(lab: &Lab) -> Result<()> {
    let daemon = serve_over_usbip()?;
    let cable = Cable::plug()?;
    let mount = served::mounted(How::Flush)?;
    write_prompt(&mount, lab)?;
    cable.pull()?;
    let cable = Cable::plug()?;
    mount.abandon()?;

    let mount = served::mounted(How::Flush)?;
    mount.put_synced("second.txt", QUESTIONS[1])?;
    let own = files::random(lab.seed() + 2, KEPT_BYTES);
    mount.put_synced("own.bin", &own)?;
    mount.unmount()?;
    served::wait_logged(&daemon, ANSWERED, 2)?;
    let answers = Lun::wait(1)?;
    let names = [response_name("prompt"), response_name("second")];
    let (_, took) = wait::until("both responses on LUN 1", served::ANSWER_LIMIT, || {
        let Ok(mount) = Mount::new(&answers.block()?, How::ReadOnly) else {
            return Ok(None);
        };
        let seen = mount.list();
        mount.unmount()?;
        Ok(names.iter().all(|name| seen.contains(name)).then_some(()))
    })?;
    report::measured("both_on_lun_1", took);
    ensure(served::logged(&daemon, PUBLISHED) == 0, || {
        "a volume that is marked as in use was written".into()
    })?;

    cable.pull()?;
    served::wait_logged(&daemon, PUBLISHED, 2)?;
    wait::pass(HAND);
    let _cable = Cable::plug()?;
    for name in &names {
        served::remounted_with(name)?;
    }
    served::ensure_answered_once("prompt")?;
    served::ensure_answered_once("second")?;
    served::ensure_on_stick("own.bin", &own)?;
    daemon.stop()
}

/// Long enough for the host to have written some of [`TORN_BYTES`], and not all of it.
const HALF_WAY: Duration = Duration::from_millis(300);

/// A flushed file, and the prompt.
fn write_prompt(mount: &Mount, lab: &Lab) -> Result<()> {
    mount.put_synced("kept.bin", &files::random(lab.seed(), KEPT_BYTES))?;
    mount.put_synced("prompt.txt", QUESTIONS[0])
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
fn published_and_whole(daemon: &Daemon, torn: &[u8]) -> Result<()> {
    served::remounted_with(&response_name("prompt"))?;
    served::wait_logged(daemon, ANSWERED, 1)?;
    served::ensure_answered_once("prompt")?;
    let seen = stick::read_file(&stick::image(), "torn.bin")?.unwrap_or_default();
    report::step(format!("torn.bin: {} of {} bytes", seen.len(), torn.len()));
    report::step(format!(
        "on the stick: {:?}",
        served::names(&stick::image())?
    ));
    ensure(torn.starts_with(&seen), || {
        "torn.bin holds what nobody wrote".into()
    })
}

/// Whether the boot sector says that a host has the volume mounted (FAT16, `BS_Reserved1`).
fn is_marked(image: &Path) -> Result<bool> {
    use std::os::unix::fs::FileExt;
    const MARK: u64 = 0x25;
    let mut mark = [0];
    let file = File::open(image).doing("opening the image")?;
    file.read_exact_at(&mut mark, MARK)
        .doing("reading the mark")?;
    Ok(mark != [0])
}

/// Formats as desktops do: no partition table, FAT32, another serial number.
fn format_whole_disk(device: &Path) -> Result<()> {
    let mut command = Command::new(MKFS);
    command
        .args(["-I", "-F", "32", "-n", "NEW STICK"])
        .arg(device);
    let output = command.output().doing(format!("starting {MKFS}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), || format!("{command:?}: {said}"))?;
    report::step("the host has formatted the drive");
    Ok(())
}

/// The host formats the drive while a prompt is in work: its answer belongs to the volume that is
/// gone; the daemon goes on with the new one.
pub fn formatted(lab: &Lab) -> Result<()> {
    desktop::start()?;
    let daemon = served::serve()?;
    let mount = served::mounted(How::Flush)?;
    mount.put("kept.bin", &files::random(lab.seed(), KEPT_BYTES))?;
    mount.put("lost question.txt", QUESTIONS[0])?;
    mount.unmount()?;
    served::wait_logged(&daemon, THINKING, 1)?;
    format_whole_disk(&Lun::wait(0)?.block()?)?;

    let mount = served::mounted(How::Flush)?;
    let names = mount.list();
    ensure(names.iter().all(|name| !name.contains("lost")), || {
        format!("the new volume holds {names:?}")
    })?;
    let kept = files::random(lab.seed() + 1, KEPT_BYTES);
    mount.put("new.bin", &kept)?;
    mount.put("prompt.txt", QUESTIONS[1])?;
    mount.unmount()?;
    report::flushed("new.bin", &kept);
    report::flushed("prompt.txt", QUESTIONS[1]);
    served::remounted_with(&response_name("prompt"))?;
    served::ensure_answered_once("prompt")?;
    let names = served::names(&stick::image())?;
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
    let daemon = served::serve()?;
    let lun = Lun::wait(0)?;
    lun.wait_medium(BACK_LIMIT)?;
    files::write_synced(&lun.block()?, &vec![0; WIPED_BYTES])?;
    lun.eject()?;
    served::wait_logged(&daemon, "trying again until it is mended", 1)?;
    Lun::wait(0)?.wait_medium(BACK_LIMIT)?;
    daemon.stop()?;

    let daemon = served::serve()?;
    let lun = Lun::wait(0)?;
    lun.wait_medium(BACK_LIMIT)?;
    format_whole_disk(&lun.block()?)?;
    let mount = served::mounted(How::Flush)?;
    mount.put("prompt.txt", QUESTIONS[1])?;
    mount.unmount()?;
    report::flushed("prompt.txt", QUESTIONS[1]);
    served::remounted_with(&response_name("prompt"))?;
    served::ensure_answered_once("prompt")?;
    daemon.stop()
}
