//! At start: completes a change that the power interrupted, or puts its journal aside.
//!
//! A journal is applied only when it is whole, is for this image, and each of its sectors is old,
//! new, or a mixture of the two byte by byte (a torn write). Anything else means that somebody else
//! wrote the image since, and then it is never applied. Idempotent, so it may be cut itself: for
//! that no two sectors may overlap, or what one wrote would be foreign to the other; and the
//! journal's name is made durable first, which a process that was killed may not have come to.
//!
//! What is read of the image may be in a cache only, and count as written although a sync has failed
//! for it: each sector is written again, the same or not.

use std::path::Path;

use thiserror::Error;

use super::format::Journal;
use super::publish::{is_same, remove};
use super::store::{FileJournal, JournalStore};
use crate::bytes::index;
use crate::change::SectorChange;
use crate::device::{ReadAt, WriteAt};
use crate::error::PublishError;

/// What recovery found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// No journal.
    Nothing,
    /// The change is complete now.
    Replayed {
        /// How many sectors were not what they should be.
        sectors: u32,
    },
    /// The journal was not applied; it is kept under another name.
    Discarded {
        /// Why.
        why: DiscardReason,
    },
}

/// Why a journal was put aside.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DiscardReason {
    /// It ends early or its checksum is wrong: the cut came before anything was applied. Or its
    /// sectors are out of order, which is no journal of ours.
    #[error("the journal is not whole, so nothing of it had been applied")]
    NotWhole,
    /// Another length, place or serial number.
    #[error("the journal is for another image")]
    OtherImage,
    /// A sector is neither old nor new.
    #[error("the image was changed by something else (at byte {offset_bytes})")]
    Foreign {
        /// Offset of the sector.
        offset_bytes: u64,
    },
}

/// Completes or discards the journal at `journal`.
///
/// # Errors
/// The device or the journal's folder failed; call again when that is mended.
pub fn recover<D: WriteAt>(device: &mut D, journal: &Path) -> Result<Recovery, PublishError> {
    recover_with(device, &mut FileJournal::new(journal))
}

/// Like [`recover`], with the journal in a store of the caller's.
///
/// # Errors
/// As [`recover`].
pub fn recover_with<D: WriteAt, J: JournalStore>(
    device: &mut D,
    store: &mut J,
) -> Result<Recovery, PublishError> {
    let Some(len_bytes) = store.len_bytes().map_err(PublishError::Journal)? else {
        // Whoever removed one may have been killed before that was durable.
        store.sync_folder().map_err(PublishError::Journal)?;
        return Ok(Recovery::Nothing);
    };
    let Some(journal) = Journal::open(store, len_bytes).map_err(PublishError::Journal)? else {
        return put_aside(store, DiscardReason::NotWhole);
    };
    if !is_same(device, &journal.identity)? {
        return put_aside(store, DiscardReason::OtherImage);
    }
    let mut end_bytes = 0;
    for number in 0..journal.records {
        let sector = journal
            .record(store, number)
            .map_err(PublishError::Journal)?;
        let offset_bytes = sector.offset_bytes;
        if offset_bytes < end_bytes {
            return put_aside(store, DiscardReason::NotWhole);
        }
        if state(device, &sector)? == State::Foreign {
            return put_aside(store, DiscardReason::Foreign { offset_bytes });
        }
        // It lies on the device, so this fits.
        end_bytes = offset_bytes.saturating_add(sector.after.len() as u64);
    }
    // Whoever named it may have been killed before that was durable. From the first sector on, it
    // has to outlive the power.
    store.sync_folder().map_err(PublishError::Journal)?;
    let mut sectors = 0;
    for number in 0..journal.records {
        let sector = journal
            .record(store, number)
            .map_err(PublishError::Journal)?;
        sectors += u32::from(state(device, &sector)? != State::New);
        device
            .write_at(sector.offset_bytes, &sector.after)
            .map_err(PublishError::Apply)?;
    }
    device.sync().map_err(PublishError::Apply)?;
    remove(store)?;
    Ok(Recovery::Replayed { sectors })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// Old, or torn.
    NotYet,
    Foreign,
}

fn state<D: ReadAt>(device: &D, sector: &SectorChange) -> Result<State, PublishError> {
    let count = sector.after.len() as u64;
    let inside = sector
        .offset_bytes
        .checked_add(count)
        .is_some_and(|end| end <= device.len());
    if !inside {
        return Ok(State::Foreign);
    }
    let mut now = vec![0; index(count)];
    device
        .read_at(sector.offset_bytes, &mut now)
        .map_err(PublishError::Read)?;
    if *now == *sector.after {
        return Ok(State::New);
    }
    let mut bytes = now.iter().zip(sector.before.iter().zip(&sector.after));
    let torn = bytes.all(|(now, (before, after))| now == before || now == after);
    Ok(if torn { State::NotYet } else { State::Foreign })
}

fn put_aside<J: JournalStore>(store: &mut J, why: DiscardReason) -> Result<Recovery, PublishError> {
    store
        .put_aside()
        .and_then(|()| store.sync_folder())
        .map_err(PublishError::Journal)?;
    Ok(Recovery::Discarded { why })
}
