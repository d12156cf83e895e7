//! Publishing a change set: all of it or none of it, whenever the power goes.
//!
//! Order: verify the sectors, sync the device (what a host wrote last may be in a cache, and the
//! journal says that it was there), write and sync the journal, give it its name, sync its folder,
//! apply, sync the device, remove the journal, sync the folder. Used by the program; tests cut the
//! power between any two.

use std::path::Path;

use super::format;
use super::store::{FileJournal, JournalStore};
use crate::boot;
use crate::change::{ChangeSet, Identity};
use crate::device::{ReadAt, WriteAt};
use crate::error::{OpenError, PublishError};

/// Writes a change set to a device, through a journal file at `journal`.
///
/// # Errors
/// Each [`PublishError`] says whether anything was written. After `Apply` or `Remove` the journal
/// is there and [`recover`](super::recover) completes the change.
pub fn publish<D: WriteAt>(
    device: &mut D,
    journal: &Path,
    changes: &ChangeSet,
) -> Result<(), PublishError> {
    publish_with(device, &mut FileJournal::new(journal), changes)
}

/// Like [`publish`], with the journal in a store of the caller's.
///
/// # Errors
/// As [`publish`].
pub fn publish_with<D: WriteAt, J: JournalStore>(
    device: &mut D,
    journal: &mut J,
    changes: &ChangeSet,
) -> Result<(), PublishError> {
    if changes.is_empty() {
        return Ok(());
    }
    if journal
        .len_bytes()
        .map_err(PublishError::Journal)?
        .is_some()
    {
        return Err(PublishError::JournalWaiting);
    }
    verify(device, changes)?;
    device.sync().map_err(PublishError::Settle)?;
    write_journal(journal, changes)?;
    for sector in &changes.sectors {
        device
            .write_at(sector.offset_bytes, &sector.after)
            .map_err(PublishError::Apply)?;
    }
    device.sync().map_err(PublishError::Apply)?;
    remove(journal)
}

/// Writes the journal durably, or leaves none.
fn write_journal<J: JournalStore>(
    journal: &mut J,
    changes: &ChangeSet,
) -> Result<(), PublishError> {
    let written = journal
        .create()
        .and_then(|()| format::write(journal, changes))
        .and_then(|()| journal.sync())
        .and_then(|()| journal.commit())
        .and_then(|()| journal.sync_folder());
    written.map_err(|error| {
        // Nothing was applied. If this fails too, recovery finds a journal whose change is still
        // wanted, or one without a name, which is worth nothing.
        let _ = journal.abandon();
        let _ = journal.remove().and_then(|()| journal.sync_folder());
        PublishError::Journal(error)
    })
}

/// Removes a journal whose change is complete and durable.
pub(super) fn remove<J: JournalStore>(journal: &mut J) -> Result<(), PublishError> {
    journal
        .remove()
        .and_then(|()| journal.sync_folder())
        .map_err(PublishError::Remove)
}

/// Whether the device holds the volume that a change is for.
pub(super) fn is_same<D: ReadAt>(device: &D, identity: &Identity) -> Result<bool, PublishError> {
    match boot::locate(device) {
        Ok(geometry) => Ok(Identity::of(&geometry, device.len()) == *identity),
        Err(OpenError::Io(error)) => Err(PublishError::Read(error)),
        Err(_) => Ok(false),
    }
}

/// Checks that the device is what the change set was made from.
fn verify<D: ReadAt>(device: &D, changes: &ChangeSet) -> Result<(), PublishError> {
    if !is_same(device, &changes.identity)? {
        return Err(PublishError::OtherImage);
    }
    let mut now = Vec::new();
    for sector in &changes.sectors {
        now.resize(sector.before.len(), 0);
        device
            .read_at(sector.offset_bytes, &mut now)
            .map_err(PublishError::Read)?;
        if *now != *sector.before {
            return Err(PublishError::Changed {
                offset_bytes: sector.offset_bytes,
            });
        }
    }
    Ok(())
}
