//! FAT16 and FAT32 on a block device that a stranger writes: a bounded reader, edits that become
//! change sets, a journal that makes a change set one transaction, repair, formatting, and a
//! volume that only grows.
//!
//! Invariants:
//! * What a host wrote is never trusted: every loop over it ends at a named constant, arithmetic
//!   on it is checked, and no allocation follows from one of its size fields alone.
//! * Nothing here writes a device except [`publish`], [`recover`], [`repair()`], [`format()`] and
//!   [`GrowingVolume`].
//! * No clock is read: timestamps are passed in as [`FatTime`].
//!
//! Used by the program `promptstick` only; it knows nothing of prompts or models. What is promised
//! exactly, with the bound on reads and the journal byte by byte, is in `docs/SPEC.md`.

mod bitmap;
mod boot;
mod bytes;
mod chain;
mod change;
mod device;
mod dir;
mod edit;
mod error;
mod fat;
mod format;
mod growing;
mod inspect;
mod journal;
mod names;
mod repair;
mod scan;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod time;
mod view;
mod volume;

pub use boot::{FatType, Geometry, Root};
pub use change::{ChangeSet, Identity, SectorChange};
pub use device::{ImageFile, ReadAt, WriteAt};
pub use dir::{CodePage, Entry, MAX_DIR_SLOTS, MAX_TREE_FOLDERS, MAX_TREE_SLOTS};
pub use edit::{Edit, MAX_CHANGE_BYTES};
pub use error::{
    BadName, EditError, FormatError, GrowingError, OpenError, PublishError, ReadError, RepairError,
};
pub use format::{FormatOptions, PARTITION_OFFSET_BYTES, format};
pub use growing::{GrowingVolume, NewFile, Room};
pub use inspect::{ChainProblem, Inspection};
pub use journal::{DiscardReason, FileJournal, JournalStore, Recovery};
pub use journal::{publish, publish_with, recover, recover_with};
pub use names::{MAX_NAME_UNITS, MAX_PATH_DEPTH};
pub use repair::{Fault, Finding, MAX_FINDINGS, MAX_REPAIR_CLUSTERS};
pub use repair::{Repair, RepairLimits, RepairReport, repair, repair_with};
pub use time::{Civil, FatTime};
pub use volume::{DirtyMarks, Volume};
