//! The image and the drive while no session holds them: what a crash or a host left undone is
//! mended before a host gets the volume, and a volume that cannot be served is given to the host.

use anyhow::{Context, ensure};
use volume::{JournalStore, OpenError, ReadError, RepairError};

use crate::daemon::world::{Found, World};
use crate::stick;

/// A drive that failures keep empty is filled after so many, one after the other.
pub(in crate::daemon) const FAILURES_BEFORE_RETURN: u32 = 3;

/// What has to be done to the image before a host gets it, where no host has it.
pub(super) fn mend<W: World>(world: &mut W) -> anyhow::Result<Found> {
    let mut found = world.found()?;
    if found == Found::Held && has_journal(world)? {
        // A publication was interrupted, and the medium put back by somebody else.
        world.disconnect()?;
        found = Found::Alone;
    }
    // A plain file is left to itself otherwise: another program may be at it.
    let needs_mending = found != Found::Held && (world.is_usb() || has_journal(world)?);
    if needs_mending {
        let name = world.image_name();
        let image = world.mend_image();
        let mut image = image.with_context(|| format!("cannot use the image {name}"))?;
        stick::recover_on(&name, &mut image, &mut world.journal())?;
        if world.is_usb() {
            repair(world, &name, &mut image)?;
        }
        world.mended(image)?;
    }
    Ok(found)
}

/// Repairs what a host left undone, if that can be done.
fn repair<W: World>(world: &W, name: &str, image: &mut W::Image) -> anyhow::Result<()> {
    let Err(error) = stick::repair(&name, image, &mut world.journal()) else {
        return Ok(());
    };
    // An error of the disk may pass: it is tried again.
    let is_lasting = !matches!(
        error.downcast_ref(),
        Some(
            RepairError::Open(OpenError::Io(_))
                | RepairError::Read(ReadError::Io(_))
                | RepairError::Publish(_)
        )
    );
    ensure!(is_lasting && !has_journal(world)?, error);
    tracing::error!("{error:#}; the host gets it as it is");
    Ok(())
}

/// What came of [`offer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The host has the medium.
    Given,
    /// It shall miss the medium for longer first.
    Later,
    /// There is no drive, or a change is half done, or the kernel refused.
    Impossible,
}

/// A volume that cannot be served is still the user's: the host gets it, to save what is on it or
/// to format it. `failures`: sessions that have failed one after the other. Where a host watches an
/// empty drive, the medium may have changed: it comes back only after the time that passes between
/// two of them. Where no host can reach the volume, it is mended first, and comes as it is only if
/// that has failed as often.
pub fn offer<W: World>(world: &mut W, failures: u32) -> Offer {
    if !world.is_usb() || !matches!(has_journal(world), Ok(false)) {
        return Offer::Impossible;
    }
    let is_early = failures < FAILURES_BEFORE_RETURN;
    let offered = match world.found() {
        Ok(Found::Absent) if is_early => return Offer::Later,
        Ok(Found::Alone) => match mend(world) {
            Err(_) if is_early => return Offer::Later,
            Err(error) => {
                tracing::error!("{error:#}; the host gets the volume as it is");
                world.connect()
            }
            Ok(_) => world.connect(),
        },
        Ok(_) => world.connect(),
        Err(error) => Err(error),
    };
    match offered {
        Ok(()) => Offer::Given,
        Err(error) => {
            tracing::debug!("the volume cannot be offered: {error:#}");
            Offer::Impossible
        }
    }
}

/// Whether a change of the image was interrupted.
pub(super) fn has_journal<W: World>(world: &W) -> anyhow::Result<bool> {
    let len_bytes = world.journal().len_bytes();
    Ok(len_bytes.context("cannot read the journal")?.is_some())
}
