//! The daemon with hosts other than Linux, or rather with models of them (docs/LAB.md): the
//! response reaches the user without unplugging anything.

use std::time::{Duration, Instant};

use fatfs::FatType;

use super::Lab;
use super::steps::{self, ANSWER_LIMIT, QUESTIONS, ensure_answered_once, inserted, log};
use crate::daemon::Daemon;
use crate::error::ensure;
use crate::model::{Host, MacOs, Windows};
use crate::{Result, files, report, stick};

/// Longer than a model takes for anything by itself.
const LIMIT: Duration = Duration::from_secs(60);

/// A Windows-like host has the response on the volume it wrote to within so much of its being
/// ready: the host's clean-volume timer, the absence, the host's poll, and the work.
const SAME_VOLUME_LIMIT: Duration = Duration::from_secs(8);

/// On LUN 1, within so much of its being ready, beyond the daemon's back-off.
const SECOND_DRIVE_LIMIT: Duration = Duration::from_secs(3);

/// How long the daemon tries for the volume before another drive appears (`Timing::show_ms`).
const BACK_OFF: Duration = Duration::from_millis(3_000);

/// A drive that has stayed empty for so long is left empty: longer than any deadline of the
/// daemon's machines.
const LEFT_EMPTY: Duration = Duration::from_secs(10);

/// Content that no prompt has.
const HISTORY_BYTES: usize = 300_000;

/// Windows-like host, FAT16 as the daemon makes it.
pub fn windows(lab: &Lab) -> Result<()> {
    windows_host(lab)
}

/// Windows-like host, FAT32.
pub fn windows_fat32(lab: &Lab) -> Result<()> {
    stick::make(stick::USUAL_MEBIBYTES, FatType::Fat32)?;
    windows_host(lab)
}

/// Two prompts one after the other, a file of the host's between them, one changed prompt.
fn windows_host(lab: &Lab) -> Result<()> {
    let daemon = steps::serve()?;
    let mut host = Windows::plug_in(LIMIT)?;
    host.put("prompt.txt", QUESTIONS[0])?;
    same_volume(&mut host, &daemon, 1, "prompt.response.txt")?;
    let photos = files::random(lab.seed(), HISTORY_BYTES);
    host.put("photos.bin", &photos)?;
    host.put("second question.txt", QUESTIONS[1])?;
    same_volume(&mut host, &daemon, 2, "second question.response.txt")?;
    host.put("prompt.txt", QUESTIONS[2])?;
    same_volume(&mut host, &daemon, 3, "prompt.response-2.txt")?;
    let kept = host.get("photos.bin")?.unwrap_or_default();
    files::ensure_same("photos.bin as the host sees it", &kept, &photos)?;
    ensure_answered_once("second question.txt")?;
    daemon.stop()
}

/// Waits until the `nth` answer is ready, then until the host can read it; that takes no longer
/// than [`SAME_VOLUME_LIMIT`].
fn same_volume(host: &mut Windows, daemon: &Daemon, nth: usize, name: &str) -> Result<()> {
    is_ready(host, daemon, nth)?;
    let (response, took) = host.until(name, LIMIT, |host| host.get(name))?;
    judge(name, &response, took, SAME_VOLUME_LIMIT)
}

fn is_ready(host: &mut impl Host, daemon: &Daemon, nth: usize) -> Result<()> {
    let what = format!("answer {nth} to be ready");
    let ready = |_: &mut _| Ok((daemon.times_logged(log::ANSWERED) >= nth).then_some(()));
    host.until(&what, ANSWER_LIMIT, ready)?;
    report::step(format!("answer {nth} is ready"));
    Ok(())
}

fn judge(name: &str, response: &[u8], took: Duration, limit: Duration) -> Result<()> {
    report::measured("ready_to_read", took);
    report::step(format!(
        "{name}: {:?}, readable {} ms after it was ready",
        String::from_utf8_lossy(response),
        took.as_millis()
    ));
    ensure(!response.is_empty(), || format!("{name} is empty"))?;
    ensure(took <= limit, || {
        let (took, limit) = (took.as_millis(), limit.as_millis());
        format!("{name} took {took} ms to reach the host instead of {limit} ms at most")
    })
}

/// A macOS-like host keeps LUN 0 locked: answers come through LUN 1. The user ejects LUN 0, which
/// comes back with the response; ejects LUN 1, which stays empty until there is news.
pub fn macos(lab: &Lab) -> Result<()> {
    let daemon = steps::serve()?;
    let mut host = MacOs::plug_in(LIMIT)?;
    host.put("photos.bin", &files::random(lab.seed(), HISTORY_BYTES))?;
    host.put("prompt.txt", QUESTIONS[0])?;
    second_drive(&mut host, &daemon, 1, "prompt.response.txt")?;
    ensure(host.is_mounted(0), || "LUN 0 was disturbed".into())?;

    let ejected = Instant::now();
    host.eject(0)?;
    let back = |host: &mut MacOs| host.get(0, "prompt.response.txt");
    host.until("LUN 0 to come back with the response", LIMIT, back)?;
    report::measured("eject_to_response", ejected.elapsed());

    host.eject(1)?;
    stays_empty(&mut host, 1)?;
    host.put("second question.txt", QUESTIONS[1])?;
    second_drive(&mut host, &daemon, 2, "second question.response.txt")?;
    host.eject(1)?;
    host.eject(0)?;
    let back = |host: &mut MacOs| host.get(0, "second question.response.txt");
    host.until("LUN 0 to come back with the second response", LIMIT, back)?;
    // With nothing to show, what the user ejected stays away.
    host.eject(0)?;
    stays_empty(&mut host, 0)?;
    stays_empty(&mut host, 1)?;
    ensure_answered_once("prompt.txt")?;
    ensure_answered_once("second question.txt")?;
    daemon.stop()
}

/// Waits until the `nth` answer is ready, then until the host can read it on LUN 1. Asserted: it
/// takes the back-off and [`SECOND_DRIVE_LIMIT`] at most.
fn second_drive(host: &mut MacOs, daemon: &Daemon, nth: usize, name: &str) -> Result<()> {
    is_ready(host, daemon, nth)?;
    let (response, took) = host.until(name, LIMIT, |host| host.get(1, name))?;
    judge(name, &response, took, BACK_OFF + SECOND_DRIVE_LIMIT)
}

fn stays_empty(host: &mut MacOs, lun: u8) -> Result<()> {
    let end = Instant::now() + LEFT_EMPTY;
    let over = |_: &mut MacOs| {
        ensure(inserted(lun)?.is_empty(), || {
            format!("LUN {lun} came back although there is nothing new")
        })?;
        Ok((Instant::now() >= end).then_some(()))
    };
    host.until("the time to pass", LEFT_EMPTY + LIMIT, over)?;
    report::step(format!("LUN {lun} stayed empty"));
    Ok(())
}
