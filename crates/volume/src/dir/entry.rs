//! One file or folder as its directory describes it.
//!
//! Slot layout: specification, "FAT Directory Structure". Nothing here is checked against the
//! allocation table; that is what inspection is for.

use super::short::{self, CodePage};
use super::slots::Slot;
use crate::boot::{FatType, Geometry, Root};
use crate::bytes::{u16_at, u32_at};
use crate::time::FatTime;

const ATTR_READ_ONLY: u8 = 0x01;
const ATTR_HIDDEN: u8 = 0x02;
const ATTR_SYSTEM: u8 = 0x04;
pub(crate) const ATTR_LABEL: u8 = 0x08;
pub(crate) const ATTR_DIRECTORY: u8 = 0x10;
pub(crate) const ATTR_ARCHIVE: u8 = 0x20;

/// A file or folder. Its length and first cluster are what its slot says: believe neither.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The long name, or the short one with its lower-case flags applied where there is no valid
    /// long one. Never empty, `.` or `..`; never contains a character that FAT forbids (so no `/`).
    pub name: String,
    /// The short name, in capitals, with its dot.
    pub short_name: String,
    /// The attribute byte.
    pub attributes: u8,
    /// Length in bytes; zero for folders.
    pub len_bytes: u32,
    /// First cluster; zero for an empty file.
    pub first_cluster: u32,
    /// When it was created; zero where the host did not say.
    pub created: FatTime,
    /// When its content was last written.
    pub modified: FatTime,
    /// Offset on the device of its 32-byte slot: which entry this is, whatever its name.
    pub slot_offset_bytes: u64,
}

impl Entry {
    /// Whether it is a folder.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.attributes & ATTR_DIRECTORY != 0
    }

    /// Whether hosts hide it.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.attributes & ATTR_HIDDEN != 0
    }

    /// Whether it is marked as the operating system's.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.attributes & ATTR_SYSTEM != 0
    }

    /// Whether it is marked read-only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.attributes & ATTR_READ_ONLY != 0
    }

    /// Decodes a slot that is neither free, a label nor a part of a long name.
    pub(crate) fn decode(
        slot: &Slot,
        long: Option<String>,
        fat_type: FatType,
        code_page: CodePage,
    ) -> Self {
        let bytes = &slot.bytes;
        let names = short::decode(bytes, code_page);
        let attributes = bytes[11];
        let is_dir = attributes & ATTR_DIRECTORY != 0;
        Self {
            name: long.unwrap_or(names.shown),
            short_name: names.plain,
            attributes,
            len_bytes: if is_dir { 0 } else { u32_at(bytes, 28) },
            first_cluster: first_cluster(bytes, fat_type),
            created: FatTime {
                date: u16_at(bytes, 16),
                time: u16_at(bytes, 14),
            },
            modified: FatTime {
                date: u16_at(bytes, 24),
                time: u16_at(bytes, 22),
            },
            slot_offset_bytes: slot.offset_bytes,
        }
    }
}

/// The first cluster of a slot. The upper half means something else on FAT16 (OS/2's attributes).
pub(crate) fn first_cluster(slot: &[u8; 32], fat_type: FatType) -> u32 {
    let low = u32::from(u16_at(slot, 26));
    match fat_type {
        FatType::Fat16 => low,
        FatType::Fat32 => u32::from(u16_at(slot, 20)) << 16 | low,
    }
}

/// Where the slots of a folder are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirPlace {
    /// FAT16's root: an area of its own.
    Fixed { offset_bytes: u64, slots: u32 },
    /// A chain of clusters.
    Chain { first_cluster: u32 },
}

impl DirPlace {
    pub(crate) fn root(geometry: &Geometry) -> Self {
        match geometry.root {
            Root::Fixed {
                offset_bytes,
                slots,
            } => Self::Fixed {
                offset_bytes,
                slots,
            },
            Root::Chain { first_cluster } => Self::Chain { first_cluster },
        }
    }

    pub(crate) fn of(entry: &Entry) -> Self {
        Self::Chain {
            first_cluster: entry.first_cluster,
        }
    }
}
