//! The file allocation table: what an entry means, and a small cache of windows over it.
//!
//! Invariant: at most [`WINDOWS`] windows of [`WINDOW_BYTES`] are held, whatever the volume's size.
//! The cache is never told of changes on the device; a volume is opened again to see them.
//! Used by the chain walk and by edits.

use std::cell::RefCell;
use std::io;

use crate::boot::{FatType, Geometry};
use crate::bytes::{index, u16_at, u32_at};
use crate::device::ReadAt;

const WINDOW_BYTES: u64 = 4096;
const WINDOWS: usize = 16;
/// FAT32 entries have 28 bits; the upper four are kept as they are.
pub(crate) const FAT32_MASK: u32 = 0x0FFF_FFFF;

/// What a table entry says about its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FatValue {
    Free,
    Next(u32),
    Bad,
    End,
    /// No cluster of the volume.
    OutOfRange(u32),
}

impl FatValue {
    /// Decodes a raw entry (28 bits on FAT32). Specification, "FAT Data Structure".
    #[inline]
    pub(crate) fn decode(geometry: &Geometry, raw: u32) -> Self {
        let (bad, end) = match geometry.fat_type {
            FatType::Fat16 => (0xFFF7, 0xFFF8),
            FatType::Fat32 => (0x0FFF_FFF7, 0x0FFF_FFF8),
        };
        match raw {
            0 => Self::Free,
            _ if raw >= end => Self::End,
            _ if raw == bad => Self::Bad,
            _ if geometry.has_cluster(raw) => Self::Next(raw),
            _ => Self::OutOfRange(raw),
        }
    }
}

/// The end mark that is written.
pub(crate) fn end_mark(fat_type: FatType) -> u32 {
    match fat_type {
        FatType::Fat16 => 0xFFFF,
        FatType::Fat32 => FAT32_MASK,
    }
}

/// Reads the raw entry (28 bits on FAT32) at the start of `bytes`.
#[inline]
pub(crate) fn raw_at(fat_type: FatType, bytes: &[u8], at: usize) -> u32 {
    match fat_type {
        FatType::Fat16 => u32::from(u16_at(bytes, at)),
        FatType::Fat32 => u32_at(bytes, at) & FAT32_MASK,
    }
}

struct Window {
    copy: u8,
    number: u64,
    bytes: Vec<u8>,
}

/// A direct-mapped cache of table windows, over all copies.
#[derive(Default)]
pub(crate) struct FatCache {
    windows: RefCell<[Option<Window>; WINDOWS]>,
}

impl FatCache {
    /// The raw entry of a cluster that the geometry has, in copy `copy` of the table.
    pub(crate) fn raw<D: ReadAt + ?Sized>(
        &self,
        device: &D,
        geometry: &Geometry,
        copy: u8,
        cluster: u32,
    ) -> io::Result<u32> {
        let in_copy = geometry.fat_entry_offset(0, cluster) - geometry.fat_offset_bytes;
        let (number, within) = (in_copy / WINDOW_BYTES, in_copy % WINDOW_BYTES);
        // The two copies of one place take different windows, so comparing them does not thrash.
        let place = index((number * 2 + u64::from(copy)) % WINDOWS as u64);
        let mut windows = self.windows.borrow_mut();
        let hit = windows[place]
            .as_ref()
            .is_some_and(|w| w.copy == copy && w.number == number);
        if !hit {
            windows[place] = Some(load(device, geometry, copy, number)?);
        }
        let bytes = windows[place]
            .as_ref()
            .map_or(&[][..], |window| &window.bytes);
        Ok(raw_at(geometry.fat_type, bytes, index(within)))
    }

    /// Forgets everything, after the table was written.
    pub(crate) fn clear(&self) {
        self.windows.take();
    }
}

fn load<D: ReadAt + ?Sized>(
    device: &D,
    geometry: &Geometry,
    copy: u8,
    number: u64,
) -> io::Result<Window> {
    let start = number * WINDOW_BYTES;
    let len = WINDOW_BYTES.min(geometry.fat_bytes.saturating_sub(start));
    let mut bytes = vec![0; index(len)];
    device.read_at(geometry.fat_entry_offset(copy, 0) + start, &mut bytes)?;
    Ok(Window {
        copy,
        number,
        bytes,
    })
}
