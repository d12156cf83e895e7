//! The time from the kernel's start to a drive that can be used, and to an answer. The init is the
//! lab's own, which starts nothing but the daemon.

use std::path::Path;

use crate::error::ensure;
use crate::lun::Lun;
use crate::scenario::Lab;
use crate::scenario::steps::{
    ANSWER_LIMIT, GADGET_NAME, Plugged, QUESTION, SWAP_LIMIT, format_with_prompt, log, response_on,
    serve,
};
use crate::{Result, clock, desktop, gadget, stick, sysfs, wait};

/// A stick on which a prompt lies already is plugged in: the drive is there before the model is
/// loaded, and the prompt is answered.
pub fn boot(_: &Lab) -> Result<()> {
    clock::reached("modules")?;
    format_with_prompt(&stick::image(), "prompt.txt", QUESTION)?;
    desktop::start()?;
    clock::reached("started")?;
    let mut daemon = serve()?;
    wait::until_true("the gadget to be bound", ANSWER_LIMIT, is_bound)?;
    clock::reached("bound")?;
    for too_early in [log::THINKING, log::LOADED] {
        ensure(daemon.times_logged(too_early) == 0, || {
            format!("{too_early:?} was logged before the drive was there")
        })?;
    }
    daemon.wait_logged(log::READY, ANSWER_LIMIT)?;
    wait::until_true("a medium", SWAP_LIMIT, || Lun::sees_medium(0))?;
    clock::reached("medium")?;
    daemon.wait_logged(log::LOADED, ANSWER_LIMIT)?;
    clock::reached("model_loaded")?;
    daemon.wait_logged(log::ANSWERED, ANSWER_LIMIT)?;
    clock::reached("first_answer")?;
    daemon.wait_logged(log::PUBLISHED, ANSWER_LIMIT)?;
    let lun = Lun::wait(0)?;
    let stick = Plugged { daemon, lun };
    let mount = stick.mount_showing("prompt.response.txt")?;
    clock::reached("first_response")?;
    response_on(&mount, "prompt.txt")?;
    mount.unmount()?;
    stick.daemon.stop()
}

/// Whether the daemon's gadget is connected to a device controller.
fn is_bound() -> bool {
    let udc = Path::new(gadget::GADGETS).join(GADGET_NAME).join("UDC");
    sysfs::read(udc).is_ok_and(|udc| !udc.is_empty())
}
