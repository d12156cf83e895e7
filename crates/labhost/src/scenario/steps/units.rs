//! What the daemon's gadget has in its units, as the device's own side tells it.

use std::path::{Path, PathBuf};

use crate::{Failure, Result, gadget, sysfs};

/// The name of the daemon's gadget in configfs.
pub const GADGET_NAME: &str = "promptstick";

/// The image that the gadget has in LUN `number`; empty for none.
///
/// # Errors
/// There is no gadget.
pub fn inserted(number: u8) -> Result<String> {
    sysfs::read(folder(number)?.join("file"))
}

/// Asks politely for the medium of LUN `number`, behind the daemon's back; whether it was granted.
///
/// # Errors
/// Anything but the host's lock is in the way.
pub fn polite_eject(number: u8) -> Result<bool> {
    gadget::polite_eject(&folder(number)?)
}

fn folder(number: u8) -> Result<PathBuf> {
    let functions = Path::new(gadget::GADGETS)
        .join(GADGET_NAME)
        .join("functions");
    let function = sysfs::paths(functions).into_iter().next();
    let function =
        function.ok_or_else(|| Failure::Wrong("the daemon's gadget has no function".into()))?;
    Ok(function.join(format!("lun.{number}")))
}
