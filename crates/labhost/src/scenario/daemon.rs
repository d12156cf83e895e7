//! The daemon with its drive, and a Linux host that behaves in one way or another. In all of them:
//! what the host has flushed stays, and each prompt has one response.

use std::time::Duration;

use super::Lab;
use crate::daemon::{self, Daemon};
use crate::error::ensure;
use crate::lun::Lun;
use crate::mount::{How, Mount};
use crate::{Result, desktop, files, report, stick, wait};

/// From a prompt to its response under emulation, with all waiting times of the protocol.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// A question that the model in the guest knows.
const QUESTION: &[u8] = b"How do I use this stick?";

/// The daemon with a fresh stick, and its drive on the bus.
fn serve(more: &[&str]) -> Result<Daemon> {
    std::fs::create_dir_all(stick::FOLDER)
        .map_err(|error| crate::Failure::Wrong(error.to_string()))?;
    let image = stick::image();
    let image = image.to_string_lossy();
    let mut arguments = vec!["serve", "--image", &image, "--image-size", "64M"];
    arguments.extend([
        "--model",
        daemon::MODEL,
        "--gadget",
        "configfs",
        "--log-prompts",
    ]);
    arguments.extend(more);
    Daemon::start(&arguments)
}

/// The host copies a prompt, unmounts, and finds the response when it mounts again.
pub fn unmounted(_: &Lab) -> Result<()> {
    desktop::start()?;
    let daemon = serve(&[])?;
    let lun = Lun::wait(0)?;
    lun.wait_medium(ANSWER_LIMIT)?;
    let mount = Mount::new(&lun.block()?, How::Flush)?;
    mount.put("prompt.txt", QUESTION)?;
    mount.unmount()?;
    report::flushed("prompt.txt", QUESTION);
    let (response, took) = wait::until("the response", ANSWER_LIMIT, || {
        let Ok(mount) = Mount::new(&lun.block()?, How::ReadOnly) else {
            return Ok(None);
        };
        let response = mount.get("prompt.response.txt")?;
        mount.unmount()?;
        std::thread::sleep(Duration::from_secs(1));
        Ok(response)
    })?;
    report::measured("response", took);
    report::step(String::from_utf8_lossy(&response));
    ensure(!response.is_empty(), || "the response is empty".into())?;
    files::ensure_same(
        "prompt.txt",
        &stick::read_file(&stick::image(), "prompt.txt")?.unwrap_or_default(),
        QUESTION,
    )?;
    daemon.stop()
}
