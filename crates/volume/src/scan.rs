//! One sequential pass over the file allocation table, 64 KiB at a time.
//! Used for free space, for allocation and for cross-links.

use std::io;
use std::ops::{ControlFlow, RangeInclusive};

use crate::boot::Geometry;
use crate::bytes::index;
use crate::device::ReadAt;
use crate::fat::raw_at;

/// How much of the table is in memory at a time.
pub(crate) const SCAN_WINDOW_BYTES: u64 = 64 * 1024;

/// Calls `visit` with each cluster of `clusters` and its raw entry in the first copy, in order,
/// until it breaks. The range lies within the geometry's clusters.
pub(crate) fn scan<D: ReadAt + ?Sized>(
    device: &D,
    geometry: &Geometry,
    clusters: RangeInclusive<u32>,
    mut visit: impl FnMut(u32, u32) -> ControlFlow<()>,
) -> io::Result<()> {
    let entry_bytes = geometry.fat_type.entry_bytes();
    let a_window = u32::try_from(SCAN_WINDOW_BYTES).unwrap_or(u32::MAX) / entry_bytes;
    let (mut cluster, last) = (*clusters.start(), *clusters.end());
    let mut buffer = Vec::new();
    while cluster <= last {
        let count = a_window.min(last - cluster + 1);
        buffer.resize(index(u64::from(count * entry_bytes)), 0);
        device.read_at(geometry.fat_entry_offset(0, cluster), &mut buffer)?;
        for number in 0..count {
            let at = index(u64::from(number * entry_bytes));
            let raw = raw_at(geometry.fat_type, &buffer, at);
            if visit(cluster + number, raw).is_break() {
                return Ok(());
            }
        }
        cluster += count;
    }
    Ok(())
}
