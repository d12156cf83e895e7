//! Visits the first cluster of every entry of the volume, each folder once.
//!
//! Bounds: [`MAX_TREE_FOLDERS`] folders, remembered by first cluster so that a folder inside itself
//! ends, and [`MAX_TREE_SLOTS`] slots over all. Used by inspection, for what shares clusters.

use std::collections::BTreeSet;

use super::entry::{ATTR_DIRECTORY, DirPlace, first_cluster};
use super::lfn;
use super::slots::{DELETED, SlotReader};
use crate::device::ReadAt;
use crate::error::ReadError;
use crate::view::View;

/// Most folders that one walk enters.
pub const MAX_TREE_FOLDERS: usize = 65_536;
/// Most slots that one walk reads.
pub const MAX_TREE_SLOTS: u32 = 1 << 20;

/// Calls `visit` with the slot offset and first cluster of each file and folder that has clusters.
///
/// A folder whose chain is broken is left where it breaks: what it says so far counts, and the
/// files inside that are asked for have problems of their own.
pub(crate) fn walk<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    mut visit: impl FnMut(u64, u32),
) -> Result<(), ReadError> {
    let mut slots_left = MAX_TREE_SLOTS;
    let mut seen = BTreeSet::new();
    let root = DirPlace::root(view.geometry);
    let mut waiting = vec![root];
    while let Some(place) = waiting.pop() {
        let mut slots = SlotReader::new(view, place);
        loop {
            let slot = match slots.next() {
                Ok(Some(slot)) => slot,
                Ok(None) | Err(ReadError::Chain { .. } | ReadError::FolderTooLong) => break,
                Err(error) => return Err(error),
            };
            let bytes = &slot.bytes;
            // A label has no clusters; one that has is a file whose attribute is damaged.
            let skipped = bytes[0] == DELETED || bytes[0] == b'.';
            if skipped || lfn::is_long(bytes) {
                continue;
            }
            let first = first_cluster(bytes, view.geometry.fat_type);
            if !view.geometry.has_cluster(first) {
                continue;
            }
            visit(slot.offset_bytes, first);
            let inside = DirPlace::Chain {
                first_cluster: first,
            };
            // An entry that leads to the root must not have it visited twice.
            if bytes[11] & ATTR_DIRECTORY != 0 && inside != root && seen.insert(first) {
                if seen.len() > MAX_TREE_FOLDERS {
                    return Err(ReadError::TreeTooLarge);
                }
                waiting.push(inside);
            }
            if slots.slots_read() > slots_left {
                return Err(ReadError::TreeTooLarge);
            }
        }
        slots_left = slots_left
            .checked_sub(slots.slots_read())
            .ok_or(ReadError::TreeTooLarge)?;
    }
    Ok(())
}
