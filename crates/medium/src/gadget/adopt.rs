//! A gadget of ours that was there before us: left by a daemon that died, with or without a
//! computer on the other end. Pure decision, and the reading that it needs.

use std::path::{Path, PathBuf};

use super::attributes::{self, Attribute};
use super::controller::bound_to;
use super::error::GadgetError;
use super::lun::{Lun, is_same_file};

/// What was found in configfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leftover {
    /// The controller that it is bound to.
    pub udc: Option<String>,
    /// Whether all attributes are as they would be made now, LUNs included.
    pub as_described: bool,
    /// What LUN 0 holds.
    pub medium: Medium,
}

/// What LUN 0 of a leftover gadget holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    Nothing,
    ThisImage,
    Other,
}

/// Whether the gadget goes on as it is. One that is not bound has no computer to be kind to.
pub(super) fn is_adoptable(leftover: &Leftover, udc: &str) -> bool {
    leftover.udc.as_deref() == Some(udc)
        && leftover.as_described
        && leftover.medium != Medium::Other
}

/// Reads the gadget in the folder `gadget`; `None` where there is none.
pub(super) fn read(
    gadget: &Path,
    wanted: &[Attribute],
    luns: usize,
    image: &Path,
) -> Result<Option<Leftover>, GadgetError> {
    if !gadget.is_dir() {
        return Ok(None);
    }
    let as_described = attributes::read_mismatch(gadget, wanted)?.is_none();
    // One LUN more than described is another drive, too.
    let as_described = as_described && !gadget.join(attributes::lun(luns)).exists();
    let lun = Lun {
        index: 0,
        folder: gadget.join(attributes::lun(0)),
    };
    Ok(Some(Leftover {
        udc: bound_to(gadget)?,
        as_described,
        // A gadget that was half made has no LUN to ask; it is not as described either.
        medium: medium(lun.inserted().ok().flatten(), image),
    }))
}

fn medium(held: Option<PathBuf>, image: &Path) -> Medium {
    match held {
        None => Medium::Nothing,
        Some(held) if is_same_file(&held, image) => Medium::ThisImage,
        Some(_) => Medium::Other,
    }
}
