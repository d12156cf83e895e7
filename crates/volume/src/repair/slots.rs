//! The slots of one folder in order, to the very end of its clusters, and the path for reports.
//!
//! Unlike [`crate::dir::SlotReader`] this goes on behind the end mark, for what lies there must go.

use std::rc::Rc;

use super::state::{Repairer, Step};
use crate::boot::Geometry;
use crate::bytes::index;
use crate::device::ReadAt;
use crate::dir::{DIR_SLOT_BYTES, DirPlace, Entry, Slot};

/// How much of a folder is read at a time.
const PIECE_BYTES: u32 = 4096;
/// Longest path in a report; of a longer one the end is shown.
const MAX_PATH_BYTES: usize = 260;

/// A folder that was reached.
#[derive(Clone)]
pub(super) struct Folder {
    pub(super) place: DirPlace,
    /// As `..` of the folders in it says: zero for the root.
    pub(super) cluster: u32,
    /// As its own `..` says; `None` for the root, which has none.
    pub(super) parent: Option<u32>,
    pub(super) path: Rc<str>,
}

impl Folder {
    pub(super) fn root(geometry: &Geometry) -> Self {
        Self {
            place: DirPlace::root(geometry),
            cluster: 0,
            parent: None,
            path: Rc::from(""),
        }
    }

    /// A folder in this one.
    pub(super) fn child(&self, cluster: u32, name: &str) -> Self {
        Self {
            place: DirPlace::Chain {
                first_cluster: cluster,
            },
            cluster,
            parent: Some(self.cluster),
            path: Rc::from(self.join(name)),
        }
    }

    /// The path of an entry in this folder.
    pub(super) fn join(&self, name: &str) -> String {
        if self.path.is_empty() {
            return name.to_owned();
        }
        let whole = format!("{}/{name}", self.path);
        let mut from = whole.len().saturating_sub(MAX_PATH_BYTES);
        while !whole.is_char_boundary(from) {
            from += 1;
        }
        whole.get(from..).unwrap_or_default().to_owned()
    }
}

/// Where a reading of a folder is.
pub(super) struct Slots {
    next_cluster: Option<u32>,
    area_offset: u64,
    area_left: u32,
    piece: Vec<u8>,
    piece_offset: u64,
    at: usize,
}

impl Slots {
    /// From the first slot of a folder whose chain was checked.
    pub(super) fn new(place: DirPlace) -> Self {
        let (next_cluster, area_offset, area_left) = match place {
            DirPlace::Fixed {
                offset_bytes,
                slots,
            } => (None, offset_bytes, slots * DIR_SLOT_BYTES),
            DirPlace::Chain { first_cluster } => (Some(first_cluster), 0, 0),
        };
        Self {
            next_cluster,
            area_offset,
            area_left,
            piece: Vec::new(),
            piece_offset: 0,
            at: 0,
        }
    }
}

impl<D: ReadAt> Repairer<'_, D> {
    /// The next slot, whatever is in it.
    pub(super) fn next_slot(&self, slots: &mut Slots) -> Step<Option<Slot>> {
        if slots.at >= slots.piece.len() && !self.load_piece(slots)? {
            return Ok(None);
        }
        let mut bytes = [0; 32];
        if let Some(slot) = slots.piece.get(slots.at..slots.at + bytes.len()) {
            bytes.copy_from_slice(slot);
        }
        let offset_bytes = slots.piece_offset + slots.at as u64;
        slots.at += bytes.len();
        Ok(Some(Slot {
            offset_bytes,
            bytes,
        }))
    }

    fn load_piece(&self, slots: &mut Slots) -> Step<bool> {
        if slots.area_left == 0 {
            let Some(cluster) = slots.next_cluster else {
                return Ok(false);
            };
            slots.area_offset = self.geometry.cluster_offset(cluster).unwrap_or(u64::MAX);
            slots.area_left = self.geometry.cluster_bytes;
            slots.next_cluster = self.next(cluster)?;
        }
        let len_bytes = slots.area_left.min(PIECE_BYTES);
        slots.piece.resize(index(u64::from(len_bytes)), 0);
        self.edit
            .overlay
            .read_at(slots.area_offset, &mut slots.piece)?;
        slots.piece_offset = slots.area_offset;
        slots.at = 0;
        slots.area_offset += u64::from(len_bytes);
        slots.area_left -= len_bytes;
        Ok(true)
    }

    /// The name of a slot for a report: the long name where there is a sound one.
    pub(super) fn name_of(&self, slot: &Slot, long: Option<String>) -> String {
        let view = self.edit.view();
        Entry::decode(slot, long, self.geometry.fat_type, view.code_page).name
    }
}
