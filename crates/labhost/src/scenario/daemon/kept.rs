//! A host that keeps the volume mounted and goes on writing.

use std::time::Duration;

use crate::error::ensure;
use crate::mount::How;
use crate::scenario::Lab;
use crate::scenario::steps::{
    ANSWER_LIMIT, Plugged, QUESTION, QUIET_WATCH, SlowBoard, Writer, answers, ask, ensure_expected,
    inserted, log, make_history, on_stick, polite_eject, response_name, response_on,
};
use crate::usb::UsbDevice;
use crate::{Result, files, report, wait};

/// Bytes of the long prompt: more than a cluster of the stick (2 KiB).
const LONG_PROMPT_BYTES: usize = 5_000;

/// Longer than Linux keeps what it was not asked to write, and the daemon doubts what it then sees.
const LATE_LIMIT: Duration = Duration::from_secs(300);

/// Between the pieces of the large file: the volume lasts for more than a minute.
const PIECE_PAUSE: Duration = Duration::from_millis(100);

/// The volume stays mounted: the response is on the second drive within seconds, and the first is
/// left alone until the user unmounts it.
pub fn kept(lab: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    let mount = stick.mount(How::Flush)?;
    let medium = stick.lun.medium_number()?;
    ask(&mount, "prompt.txt", QUESTION)?;
    let ready = stick.wait_answered(1)?;
    let second = answers(1)?;
    let shown = response_on(&second, "prompt.txt")?;
    report::measured("lun1_readable", ready.elapsed());

    let more = files::random(lab.seed(), 300_000);
    mount.put_synced("more.bin", &more)?;
    wait::pass(QUIET_WATCH);
    ensure(stick.published() == 0, || {
        "the daemon wrote a volume that is mounted".into()
    })?;
    ensure(mount.get(&response_name("prompt.txt"))?.is_none(), || {
        "the response is on a volume that was never released".into()
    })?;
    let now = stick.lun.medium_number()?;
    ensure(now == medium, || {
        format!("LUN 0 had medium {medium}, now {now}")
    })?;
    second.unmount()?;
    mount.unmount()?;
    let response = stick.response_after_swap("prompt.txt")?;
    files::ensure_same("the response on LUN 0", &response, &shown)?;
    stick.daemon.stop()
}

/// The volume is mounted read-only, so no dirty mark is set and the host's lock alone says that it
/// is in use: the daemon asks, is refused, and shows the response on the second drive.
pub fn read_only(_: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    stick.ask_and_unmount("prompt.txt", QUESTION)?;
    let mount = stick.mount(How::ReadOnly)?;
    let medium = stick.lun.medium_number()?;
    let ready = stick.wait_answered(1)?;
    let second = answers(1)?;
    let shown = response_on(&second, "prompt.txt")?;
    report::measured("lun1_readable", ready.elapsed());
    watch_medium(&stick, QUIET_WATCH)?;
    let now = stick.lun.medium_number()?;
    ensure(now == medium, || {
        format!("LUN 0 had medium {medium}, now {now}")
    })?;
    second.unmount()?;
    mount.unmount()?;
    let response = stick.response_after_swap("prompt.txt")?;
    files::ensure_same("the response on LUN 0", &response, &shown)?;
    stick.daemon.stop()
}

/// The host writes a large file all the while the answer is made and shown, until it unmounts.
pub fn large_file(lab: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    let mount = stick.mount(How::Flush)?;
    let board = SlowBoard::start();
    ask(&mount, "prompt.txt", QUESTION)?;
    stick.daemon.wait_logged(log::THINKING, ANSWER_LIMIT)?;
    let bulk = Writer::start(&mount.path("bulk.bin"), lab.seed(), PIECE_PAUSE)?;
    drop(board);
    let ready = stick.wait_answered(1)?;
    let second = answers(1)?;
    let shown = response_on(&second, "prompt.txt")?;
    report::measured("lun1_readable", ready.elapsed());
    second.unmount()?;
    let content = bulk.finish()?;
    ensure(stick.published() == 0, || {
        "the daemon wrote a volume that is being written".into()
    })?;
    mount.unmount()?;
    report::flushed("bulk.bin", &content);
    stick.wait_swapped()?;
    let mount = stick.mount(How::Flush)?;
    let response = response_on(&mount, "prompt.txt")?;
    files::ensure_same("the response on LUN 0", &response, &shown)?;
    let seen = mount.get("bulk.bin")?.unwrap_or_default();
    files::ensure_same("bulk.bin", &seen, &content)?;
    mount.unmount()?;
    stick.daemon.stop()
}

/// A mount without options, whose data comes 30 to 60 s late: the prompt that is answered is the
/// whole prompt.
pub fn late_writes(lab: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    let mount = stick.mount(How::Default)?;
    make_history(&mount, lab)?;
    let prompt = long_prompt();
    mount.put("prompt.txt", &prompt)?;
    report::asked("prompt.txt");
    ensure(on_stick("prompt.txt").as_ref() != Some(&prompt), || {
        "the host wrote at once".into()
    })?;
    let (_, took) = wait::until("the late writes", LATE_LIMIT, || {
        Ok(on_stick("prompt.txt").filter(|seen| *seen == prompt))
    })?;
    report::measured("late_write", took);
    ensure(stick.daemon.times_logged(log::ANSWERED) == 0, || {
        "something was answered before the prompt was complete".into()
    })?;
    let ready = stick.wait_answered(1)?;
    let second = answers(1)?;
    let shown = response_on(&second, "prompt.txt")?;
    report::measured("lun1_readable", ready.elapsed());
    ensure(
        !second.list().iter().any(|name| name.contains("error")),
        || "part of the prompt was answered with an error".into(),
    )?;
    second.unmount()?;
    mount.unmount()?;
    report::flushed("prompt.txt", &prompt);
    let response = stick.response_after_swap("prompt.txt")?;
    files::ensure_same("the response on LUN 0", &response, &shown)?;
    stick.daemon.stop()?;
    ensure_expected("prompt.txt", &prompt, &response)
}

/// A prompt of several clusters, of which each part but the whole is answered otherwise: its
/// settings end, and its question is, in the last one.
fn long_prompt() -> Vec<u8> {
    let mut prompt = b"+++\n".to_vec();
    while prompt.len() < LONG_PROMPT_BYTES {
        let line = format!("# Line {} of the settings says nothing.\n", prompt.len());
        prompt.extend(line.as_bytes());
    }
    prompt.extend(b"+++\nI have a stick here. It looks like a drive. ");
    prompt.extend(QUESTION);
    prompt.push(b'\n');
    prompt
}

/// A medium that is mounted is refused; after a USB reset, which drops the lock, the dirty mark
/// alone keeps the daemon from taking it.
pub fn reset(lab: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    let mount = stick.mount(How::Flush)?;
    mount.put_synced("before.bin", &files::random(lab.seed(), 200_000))?;
    ensure(!polite_eject(0)?, || {
        "a polite eject was granted although the volume is mounted".into()
    })?;
    ask(&mount, "prompt.txt", QUESTION)?;
    UsbDevice::wait()?.reset()?;
    stick.wait_answered(1)?;
    watch_medium(&stick, QUIET_WATCH)?;
    mount.put_synced("after.bin", &files::random(lab.seed() + 1, 200_000))?;
    UsbDevice::wait()?.reset()?;
    watch_medium(&stick, QUIET_WATCH)?;
    mount.put_synced("again.bin", &files::random(lab.seed() + 2, 200_000))?;
    mount.unmount()?;
    stick.response_after_swap("prompt.txt")?;
    stick.daemon.stop()
}

/// The medium of LUN 0 must stay in the drive all the time.
fn watch_medium(stick: &Plugged, time: Duration) -> Result<()> {
    wait::watch(time, || {
        ensure(!inserted(0)?.is_empty() && stick.published() == 0, || {
            "the daemon took a medium that is mounted".into()
        })
    })?;
    report::step("the medium stayed in the drive");
    Ok(())
}
