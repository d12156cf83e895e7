//! What a host does with the drives: it mounts them, copies prompts and reads responses.

use std::path::Path;
use std::time::Duration;

use super::{ANSWER_LIMIT, response_name};
use crate::error::ensure;
use crate::lun::Lun;
use crate::mount::{How, Mount};
use crate::scenario::Lab;
use crate::stick::{self, FatType};
use crate::{Failure, Result, files, report, wait};

/// Before each mount of a user who looks whether there is a response yet.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The volume, as soon as the drive is there and has its medium.
///
/// # Errors
/// It never has.
pub fn mounted(how: How) -> Result<Mount> {
    let (mount, took) = mounted_within(ANSWER_LIMIT, how)?;
    report::measured("mounted", took);
    Ok(mount)
}

/// As [`mounted`], with the time that it took.
///
/// # Errors
/// It is not mounted in time.
pub fn mounted_within(limit: Duration, how: How) -> Result<(Mount, Duration)> {
    wait::until("LUN 0 to be mounted", limit, || {
        let Some(lun) = Lun::present(0) else {
            return Ok(None);
        };
        // What has only just come, or is about to go, fails in many ways; the next look tells.
        let mount = lun.block().and_then(|block| Mount::new(&block, how));
        Ok(mount.ok())
    })
}

/// Waits until a new mount of the volume shows `name`, which must not be empty. Each mount is
/// read-only, and makes the host look at the drive: nobody has to poll.
///
/// # Errors
/// It never does.
pub fn remounted_with(name: &str) -> Result<()> {
    let (response, took) = wait::until(name, ANSWER_LIMIT, || {
        wait::pass(LOOK_AGAIN);
        let mount = mounted(How::ReadOnly)?;
        let response = mount.get(name)?;
        mount.unmount()?;
        Ok(response)
    })?;
    report::measured("response_on_remount", took);
    ensure(!response.is_empty(), || format!("{name} is empty"))
}

/// Copies a prompt onto a volume that is mounted with `flush`, which is the host's promise that it
/// stays: it must be there at the end, with one answer.
///
/// # Errors
/// The kernel refuses.
pub fn ask(mount: &Mount, name: &str, content: &[u8]) -> Result<()> {
    mount.put(name, content)?;
    report::flushed(name, content);
    report::asked(name);
    Ok(())
}

/// Writes enough to give the drive a share of what may be dirty, without which Linux writes early.
///
/// # Errors
/// The kernel refuses.
pub fn make_history(mount: &Mount, lab: &Lab) -> Result<()> {
    const HISTORY_BYTES: usize = 8_000_000;
    mount.put_synced("history.bin", &files::random(lab.seed(), HISTORY_BYTES))
}

/// The response to `prompt` on a volume: it must be there and say something.
///
/// # Errors
/// It is not, or does not.
pub fn response_on(mount: &Mount, prompt: &str) -> Result<Vec<u8>> {
    let name = response_name(prompt);
    let response = mount.get(&name)?;
    let response = response.ok_or_else(|| {
        let names = mount.list().join(", ");
        Failure::Wrong(format!("there is no {name} among {names}"))
    })?;
    report::step(format!("{name}: {}", String::from_utf8_lossy(&response)));
    ensure(!response.trim_ascii().is_empty(), || {
        format!("{name} is empty")
    })?;
    Ok(response)
}

/// Waits until a medium is in a drive for answers, and mounts it.
///
/// # Errors
/// There is none in time.
pub fn answers(number: u8) -> Result<Mount> {
    let what = format!("answers in LUN {number}");
    let (mount, _) = wait::until(&what, ANSWER_LIMIT, || {
        if !Lun::sees_medium(number) {
            return Ok(None);
        }
        // The host learns that a medium has left when it looks, which may be now.
        Ok(Mount::new(&Lun::wait(number)?.block()?, How::ReadOnly).ok())
    })?;
    Ok(mount)
}

/// Makes an image on which a prompt lies that nobody has answered yet: it must be there at the end,
/// with one answer.
///
/// # Errors
/// There is no room.
pub fn format_with_prompt(image: &Path, name: &str, content: &[u8]) -> Result<()> {
    let files = [(name, content)];
    let (size, kind) = (stick::USUAL_MEBIBYTES, FatType::Fat16);
    stick::format(image, size, kind, stick::LABEL, &files)?;
    report::flushed(name, content);
    report::asked(name);
    Ok(())
}
