//! Folders: from the 32-byte slots of a directory to entries with names, and the walk over all.
//!
//! `slots` reads, `lfn` and `short` decode names, `entry` is the result, `list` finds by path,
//! `walk` visits every slot of the volume once. All generic over a [`crate::view::View`].

mod entry;
pub(crate) mod lfn;
mod list;
pub(crate) mod short;
mod slots;
mod walk;

pub use entry::Entry;
pub use short::CodePage;
pub use slots::MAX_DIR_SLOTS;
pub use walk::{MAX_TREE_FOLDERS, MAX_TREE_SLOTS};

pub(crate) use entry::{ATTR_ARCHIVE, ATTR_DIRECTORY, ATTR_LABEL, DirPlace, first_cluster};
pub(crate) use list::{entries, find, find_folder, label, list, split_parent};
pub(crate) use slots::{DELETED, DIR_SLOT_BYTES, END, Slot, SlotReader};
pub(crate) use walk::walk;
