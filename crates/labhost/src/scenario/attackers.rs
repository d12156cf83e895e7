//! Hosts that keep the stick busy on purpose: they write, lock, eject or reset without a pause. The
//! daemon takes little of its machine meanwhile, and answers as usual afterwards.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use super::Lab;
use super::steps::{
    ANSWER_LIMIT, Plugged, QUESTION, QUESTIONS, ask, ensure_answered_once, log, mounted,
    response_name, serve,
};
use crate::error::Doing;
use crate::load::{Limits, Load};
use crate::lun::Lun;
use crate::mount::{How, Mount};
use crate::usb::UsbDevice;
use crate::{Result, files, report};

/// How long a host attacks, in seconds: a parameter for those who want more, and without it.
const SECONDS_PARAMETER: &str = "lab.seconds";
const WRITE_SECONDS: u64 = 120;
const OTHER_SECONDS: u64 = 30;

/// What the daemon may take. It shares one emulated processor with the host and its kernel, which
/// do all the work; it reads the volume after 500 ms of silence only. Its own memory does not
/// depend on what a host does.
const LIMITS: Limits = Limits {
    cpu_percent: 12,
    anonymous_kib: 16 << 10,
    read_bytes_per_s: 2 << 20,
    log_lines_per_min: 30,
};

fn end(lab: &Lab, usual: u64) -> Instant {
    let seconds = lab.parameter(SECONDS_PARAMETER);
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(usual);
    Instant::now() + Duration::from_secs(seconds)
}

/// A prompt is dropped as by any host, and its answer is on the volume.
fn served(stick: &mut Plugged, name: &str, content: &[u8]) -> Result<()> {
    let start = Instant::now();
    stick.ask_and_unmount(name, content)?;
    let mount = stick.mount_showing(&response_name(name))?;
    report::measured("served", start.elapsed());
    mount.unmount()?;
    ensure_answered_once(name)
}

/// Writes at line speed: a large file on the mounted volume, over and over, then the medium's last
/// sectors, past the cache.
pub fn writes(lab: &Lab) -> Result<()> {
    let mut stick = Plugged::on_bare_host("")?;
    served(&mut stick, "prompt.txt", QUESTION)?;
    let before = Load::read(&stick.daemon)?;
    let half = (end(lab, WRITE_SECONDS) - Instant::now()) / 2;
    let mount = stick.mount(How::Flush)?;
    ask(&mount, "second.txt", QUESTIONS[1])?;
    rewrite(&mount, lab.seed(), half)?;
    mount.unmount()?;
    write_past_cache(&stick.lun, lab.seed(), half)?;
    before.ensure_below(&LIMITS, &stick.daemon)?;
    stick.wait_published(2)?;
    ensure_answered_once("second.txt")?;
    served(&mut stick, "third.txt", QUESTIONS[2])?;
    stick.daemon.stop()
}

fn rewrite(mount: &Mount, seed: u64, time: Duration) -> Result<()> {
    const BYTES: usize = 4 << 20;
    const NAME: &str = "large.bin";
    let content = files::random(seed, BYTES);
    let end = Instant::now() + time;
    let mut rounds = 0_u64;
    while Instant::now() < end {
        files::write_synced(&mount.path(NAME), &content)?;
        rounds += 1;
    }
    report::flushed(NAME, &content);
    let bytes = rounds * BYTES as u64;
    report::step(format!("the host has written {bytes} bytes to a file"));
    Ok(())
}

/// Reads the last sectors once and writes the same again and again: to the device they are writes
/// like others, and no file changes.
fn write_past_cache(lun: &Lun, seed: u64, time: Duration) -> Result<()> {
    const BYTES: usize = 64 << 10;
    /// What `O_DIRECT` wants of memory and places.
    const ALIGNED: usize = 4096;
    let end = Instant::now() + time;
    let (path, what) = (lun.block()?, "writing to the medium past the cache");
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_DIRECT);
    let mut buffer = vec![0; BYTES + ALIGNED];
    let start = buffer.as_ptr().align_offset(ALIGNED);
    let piece = &mut buffer[start..start + BYTES];
    let place = lun.medium_bytes()? - (1 + seed % 4) * BYTES as u64;
    let mut written = 0_u64;
    let mut read = false;
    while Instant::now() < end {
        // The medium may be away for a moment: the device has something to publish.
        let Ok(mut device) = options.open(&path) else {
            continue;
        };
        while Instant::now() < end {
            if !read {
                device.seek(SeekFrom::Start(place)).doing(what)?;
                read = device.read_exact(piece).is_ok();
            }
            let sought = device.seek(SeekFrom::Start(place));
            if sought.and_then(|_| device.write_all(piece)).is_err() {
                break;
            }
            written += BYTES as u64;
        }
    }
    report::step(format!(
        "the host has written {written} bytes past the cache"
    ));
    Ok(())
}

/// Locks the medium and lets go of it, without a pause.
pub fn locks(lab: &Lab) -> Result<()> {
    let mut stick = Plugged::on_bare_host("")?;
    stick.ask_and_unmount("prompt.txt", QUESTION)?;
    let before = Load::read(&stick.daemon)?;
    let (unit, end) = (stick.lun.scsi()?, end(lab, OTHER_SECONDS));
    let mut toggles = 0_u64;
    while Instant::now() < end {
        for locked in [true, false] {
            // An empty drive refuses.
            toggles += u64::from(unit.prevent(locked).is_ok());
        }
    }
    report::step(format!("the lock was turned {toggles} times"));
    before.ensure_below(&LIMITS, &stick.daemon)?;
    stick.wait_published(1)?;
    ensure_answered_once("prompt.txt")?;
    served(&mut stick, "second.txt", QUESTIONS[1])?;
    stick.daemon.stop()
}

/// Ejects the medium and wants it back, without a pause. Who has ejected a stick pulls it, which
/// ends the daemon, and plugs it in again.
pub fn ejects(lab: &Lab) -> Result<()> {
    let mut stick = Plugged::on_bare_host("")?;
    stick.ask_and_unmount("prompt.txt", QUESTION)?;
    let before = Load::read(&stick.daemon)?;
    let (unit, end) = (stick.lun.scsi()?, end(lab, OTHER_SECONDS));
    let mut ejects = 0_u64;
    while Instant::now() < end {
        // One with a new medium says so first, and an empty one refuses to be loaded.
        ejects += u64::from(unit.load_eject().is_ok());
        let _ = unit.start();
    }
    report::step(format!("{ejects} ejects"));
    before.ensure_below(&LIMITS, &stick.daemon)?;
    stick.wait_published(1)?;
    ensure_answered_once("prompt.txt")?;
    stick.daemon.kill()?;
    stick.daemon = serve()?;
    mounted(How::ReadOnly)?.unmount()?;
    stick.lun = Lun::wait(0)?;
    served(&mut stick, "second.txt", QUESTIONS[1])?;
    stick.daemon.stop()
}

/// Resets the device without a pause.
pub fn resets(lab: &Lab) -> Result<()> {
    let mut stick = Plugged::on_bare_host("")?;
    stick.ask_and_unmount("prompt.txt", QUESTION)?;
    stick.daemon.wait_logged(log::THINKING, ANSWER_LIMIT)?;
    let before = Load::read(&stick.daemon)?;
    let (device, end) = (UsbDevice::wait()?, end(lab, OTHER_SECONDS));
    let mut resets = 0_u64;
    while Instant::now() < end {
        // One that comes while the device is enumerated anew is refused.
        resets += u64::from(device.reset().is_ok());
    }
    report::step(format!("{resets} resets"));
    before.ensure_below(&LIMITS, &stick.daemon)?;
    stick.wait_published(1)?;
    stick.lun = Lun::wait(0)?;
    ensure_answered_once("prompt.txt")?;
    served(&mut stick, "second.txt", QUESTIONS[1])?;
    stick.daemon.stop()
}
