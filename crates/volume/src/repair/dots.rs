//! `.` and `..`, the first two slots of every folder but the root (specification, "FAT Directory
//! Structure"), and whether a cluster holds a folder at all, which they tell.

use super::folders::RESERVED_ATTRIBUTES;
use super::names;
use super::report::Fault;
use super::slots::Folder;
use super::state::{Repairer, Step};
use crate::bytes::{index, is_zero};
use crate::device::ReadAt;
use crate::dir::{ATTR_DIRECTORY, ATTR_LABEL, DIR_SLOT_BYTES, DirPlace, END, Slot, lfn};
use crate::edit::{NewEntry, encode_entry};

pub(super) const DOT: &[u8; 11] = b".          ";
pub(super) const DOT_DOT: &[u8; 11] = b"..         ";

/// What a cluster holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// It begins as a folder does; `own` if `.` leads to this very cluster.
    Folder { own: bool },
    /// Only zeros: a folder whose content did not arrive, or anything.
    Blank,
    /// Something else.
    Other,
}

/// How a cluster of a folder, not the first, looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Most of what is there could be slots.
    Slots,
    /// Nothing is there.
    Blank,
    /// Something else.
    Other,
}

/// Whether a slot is the entry `name`, which is one of [`DOT`] and [`DOT_DOT`].
pub(super) fn is_dots(slot: &[u8; 32], name: &[u8; 11]) -> bool {
    slot[..11] == *name && slot[11] & (ATTR_DIRECTORY | ATTR_LABEL) == ATTR_DIRECTORY
}

/// Whether these bytes may be a slot, in use or given up.
fn could_be_slot(slot: &[u8; 32]) -> bool {
    if lfn::is_long(slot) {
        return slot[26..28] == [0; 2];
    }
    let mut name = [0; 11];
    name.copy_from_slice(&slot[..11]);
    slot[11] & RESERVED_ATTRIBUTES == 0 && !names::is_bad(&name)
}

impl<D: ReadAt> Repairer<'_, D> {
    /// Looks at a cluster of the volume, which may be free. One of the two entries is enough: the
    /// other may be what is damaged.
    pub(super) fn content_of(&self, cluster: u32) -> Step<Content> {
        let offset = self.geometry.cluster_offset(cluster).unwrap_or(u64::MAX);
        let mut buffer = vec![0; index(u64::from(self.geometry.cluster_bytes))];
        self.edit.overlay.read_at(offset, &mut buffer)?;
        let slot = |number: usize| {
            let mut slot = [0; 32];
            slot.copy_from_slice(&buffer[number * 32..number * 32 + 32]);
            slot
        };
        let (first, second) = (slot(0), slot(1));
        if is_dots(&first, DOT) || is_dots(&second, DOT_DOT) {
            let own = is_dots(&first, DOT) && self.start(&first) == cluster;
            Ok(Content::Folder { own })
        } else if is_zero(&buffer) {
            Ok(Content::Blank)
        } else {
            Ok(Content::Other)
        }
    }

    /// Puts the first two slots of a folder right; true if `number` is one of them.
    pub(super) fn check_dots(&mut self, folder: &Folder, number: u32, slot: &Slot) -> Step<bool> {
        let Some(parent) = folder.parent else {
            return Ok(false);
        };
        let (name, cluster) = match number {
            0 => (DOT, folder.cluster),
            1 => (DOT_DOT, parent),
            _ => return Ok(false),
        };
        let mut bytes = slot.bytes;
        if is_dots(&bytes, name) {
            self.put_start(&mut bytes, cluster);
            bytes[12] = 0;
            bytes[28..].fill(0);
        } else {
            bytes = self.dot_entry(name, cluster);
        }
        if bytes != slot.bytes {
            self.found(&folder.path, Fault::Dots);
            self.rewrite(slot, &bytes)?;
        }
        Ok(true)
    }

    /// Allocates an empty folder in `parent` (as `..` says it); `None` when the volume is full.
    pub(super) fn new_folder(&mut self, parent: u32) -> Step<Option<u32>> {
        let Some(cluster) = self.allocate(true)? else {
            return Ok(None);
        };
        let offset = self.geometry.cluster_offset(cluster).unwrap_or(u64::MAX);
        let slots = [
            self.dot_entry(DOT, cluster),
            self.dot_entry(DOT_DOT, parent),
        ];
        self.edit.write(offset, &slots[0])?;
        self.edit
            .write(offset + u64::from(DIR_SLOT_BYTES), &slots[1])?;
        Ok(Some(cluster))
    }

    fn dot_entry(&self, name: &[u8; 11], first_cluster: u32) -> [u8; 32] {
        self.entry(name, ATTR_DIRECTORY, first_cluster, 0)
    }

    /// A slot with the repair's time.
    pub(super) fn entry(
        &self,
        name: &[u8; 11],
        attributes: u8,
        first_cluster: u32,
        len_bytes: u32,
    ) -> [u8; 32] {
        let entry = NewEntry {
            attributes,
            first_cluster,
            len_bytes,
            time: self.time,
        };
        let wide = self.geometry.fat_type == crate::FatType::Fat32;
        encode_entry(name, &entry, wide)
    }

    /// How a cluster looks that a folder's chain goes on into; `None` where another folder begins.
    pub(super) fn look_of(&self, cluster: u32) -> Step<Option<Look>> {
        let offset = self.geometry.cluster_offset(cluster).unwrap_or(u64::MAX);
        let mut buffer = vec![0; index(u64::from(self.geometry.cluster_bytes))];
        self.edit.overlay.read_at(offset, &mut buffer)?;
        let (mut likely, mut unlikely) = (0_u32, 0_u32);
        for (number, bytes) in buffer.chunks_exact(32).enumerate() {
            let mut slot = [0; 32];
            slot.copy_from_slice(bytes);
            if number == 0 && is_dots(&slot, DOT) && self.start(&slot) == cluster {
                return Ok(None);
            }
            if slot[0] == END {
                continue;
            }
            if could_be_slot(&slot) {
                likely += 1;
            } else {
                unlikely += 1;
            }
        }
        Ok(Some(match (likely, unlikely) {
            (0, 0) => Look::Blank,
            _ if likely >= unlikely => Look::Slots,
            _ => Look::Other,
        }))
    }

    /// The root's first cluster, where it has one.
    pub(super) fn root_cluster(&self) -> Option<u32> {
        match DirPlace::root(self.geometry) {
            DirPlace::Chain { first_cluster } => Some(first_cluster),
            DirPlace::Fixed { .. } => None,
        }
    }
}
