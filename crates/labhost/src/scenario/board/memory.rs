//! How much memory a prompt takes, with whatever model is on the card.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::error::{Doing, ensure};
use crate::memory::{Machine, Process, Watch};
use crate::scenario::Lab;
use crate::scenario::steps::{Plugged, ensure_answered_once, log, response_on};
use crate::{Result, report, stick};

/// A short prompt with a short response: an emulated board computes a token of a larger model for
/// seconds, and the memory is the same for each token.
const PROMPT: &[u8] = b"+++\nmax_tokens = 3\n+++\nHello";

/// Some twenty tokens of the largest model that the board can have, several times over.
const MODEL_LIMIT: Duration = Duration::from_secs(1_200);

/// The host copies a prompt; nothing is swapped, nothing is killed, no page of the model is read
/// twice for want of memory, and there is a response.
pub fn memory(_: &Lab) -> Result<()> {
    let mut plugged = Plugged::on_desktop("")?;
    let before = Machine::read()?;
    ensure(before.swap_kib == 0, || "the guest has swap".into())?;
    report::memory("total", before.total_kib);
    // The lab's disk is memory; a board's is its card.
    let image_kib = stick::image().metadata().doing("the image")?.blocks() / 2;
    report::memory("available_before", before.available_kib + image_kib);
    let daemon = plugged.daemon.id();
    let watch = Watch::start(daemon);
    plugged.ask_and_unmount("prompt.txt", PROMPT)?;
    plugged.daemon.wait_logged(log::PUBLISHED, MODEL_LIMIT)?;
    // The model stays in memory for the next prompt.
    let seen = watch.finish()?;
    let daemon = Process::read(daemon)?;
    for (name, kib) in [
        ("available_least", seen.available_kib + image_kib),
        ("beside_model_least", seen.beside_model_kib + image_kib),
        ("daemon_peak", daemon.peak_kib),
        ("daemon_anonymous", daemon.anonymous_kib),
        ("model_peak", seen.child.peak_kib),
        ("model_anonymous", seen.child.anonymous_kib),
        ("model_file", seen.child.file_kib),
    ] {
        report::memory(name, kib);
    }
    let after = Machine::read()?;
    ensure(after.killed == 0, || {
        format!("{} processes were killed for memory", after.killed)
    })?;
    ensure(after.refaults == before.refaults, || {
        format!(
            "{} pages had to be read again for want of memory",
            after.refaults.saturating_sub(before.refaults)
        )
    })?;
    ensure_answered_once("prompt.txt")?;
    let mount = plugged.mount_showing("prompt.response.txt")?;
    response_on(&mount, "prompt.txt")?;
    mount.unmount()?;
    plugged.daemon.stop()
}
