//! The newcomer's main job, for `cargo xtask try --usb`: a desktop copies a prompt to the drive,
//! unmounts it, and finds the response when the drive comes back. Everything that both ends say
//! goes over the protocol's line, in the order of time, for a person to watch. The host's half is
//! also that of [`two_machines`](super::two_machines).

use std::path::Path;
use std::time::Duration;

use super::Lab;
use super::steps::{QUESTION, mounted, serve_watched_with};
use crate::error::Doing;
use crate::lun::Lun;
use crate::mount::How;
use crate::{Failure, Result, desktop, files, report, stick, wait};

/// Where the harness puts the prompt; without it the host asks [`QUESTION`].
pub const PROMPT_FILE: &str = "/lab/prompt.txt";

/// The response as the host read it, among the exported files.
pub const RESPONSE_FILE: &str = "prompt.response.txt";

/// The prompt and the two files that may follow it on the volume (docs/SPEC.md, names).
pub const PROMPT: &str = "prompt.txt";
const RESPONSE: &str = "prompt.response.txt";
const ERROR: &str = "prompt.error.txt";

/// From the bind to a medium that the host sees, on an emulated processor.
const ENUMERATION_LIMIT: Duration = Duration::from_secs(120);

/// How long an answer may take: an emulated processor computes a small real model at a few tokens
/// per second.
const ANSWER_LIMIT: Duration = Duration::from_secs(25 * 60);

/// How long a person waits for the drive to go and come back before looking at it all the same: a
/// busy host may have missed the gap.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does it.
///
/// # Errors
/// No answer came, or one that says what was wrong with the prompt.
pub fn run(_: &Lab) -> Result<()> {
    let prompt = wanted_prompt()?;
    desktop::start()?;
    let daemon = serve_watched_with("")?;
    keep_response(&ask_and_read(&prompt)?)?;
    daemon.stop()
}

/// What the person wants to know.
///
/// # Errors
/// The file cannot be read.
pub fn wanted_prompt() -> Result<Vec<u8>> {
    let prompt = files::read_if_there(Path::new(PROMPT_FILE))?;
    Ok(prompt.unwrap_or_else(|| QUESTION.to_vec()))
}

/// Leaves the response among the exported files.
///
/// # Errors
/// There is no room.
pub fn keep_response(response: &[u8]) -> Result<()> {
    let path = stick::file(RESPONSE_FILE);
    std::fs::write(&path, response).doing("keeping the response")
}

/// Copies the prompt to the drive, which is there or about to be, and waits for the response.
///
/// # Errors
/// No answer came, or one that says what was wrong with the prompt.
pub fn ask_and_read(prompt: &[u8]) -> Result<Vec<u8>> {
    let lun = Lun::wait(0)?;
    lun.wait_medium(ENUMERATION_LIMIT)?;
    let mount = mounted(How::Flush)?;
    mount.put(PROMPT, prompt)?;
    mount.unmount()?;
    report::flushed(PROMPT, prompt);
    let (response, took) = wait::until("the response", ANSWER_LIMIT, || look(&lun))?;
    report::measured("response", took);
    Ok(response)
}

/// Waits for the drive to go and come back, and looks for the response.
fn look(lun: &Lun) -> Result<Option<Vec<u8>>> {
    // A gap that was missed is no failure: the look itself decides.
    let gone = wait::until("the drive to go", PATIENCE, || {
        Ok((lun.medium_bytes()? == 0).then_some(()))
    });
    if gone.is_ok() {
        report::step("the drive is empty: the stick has the medium");
    }
    lun.wait_medium(PATIENCE)?;
    let mount = mounted(How::Flush)?;
    let response = mount.get(RESPONSE)?;
    let error = mount.get(ERROR)?;
    if let Some(response) = &response {
        report::step(format!("read {RESPONSE}, {} bytes", response.len()));
    }
    mount.unmount()?;
    match error {
        Some(text) => Err(Failure::Wrong(format!(
            "the prompt was answered by {ERROR}: {}",
            String::from_utf8_lossy(&text)
        ))),
        None => Ok(response),
    }
}
