//! Finds the end of a file that was allocated but not yet written: hosts store the entry before the
//! data, and clusters that were free hold zeros.
//!
//! Rule: let z be the number of NUL bytes at the end. The tail starts at the first sector border
//! that is not before `len - z`; it is a NUL tail when it is not empty. A text whose last bytes
//! happen to be NUL is not one, because data arrives in whole sectors. At most
//! [`MAX_SEARCH_BYTES`] are read, from the end.

use std::io;

use super::problem::Extent;
use crate::bytes::index;
use crate::device::ReadAt;
use crate::view::View;

/// Longest tail that is measured; a longer one is reported as at least this long.
const MAX_SEARCH_BYTES: u32 = 1 << 20;

/// Length of the NUL tail of a file whose chain has exactly the clusters that it needs.
pub(super) fn find<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    len_bytes: u32,
    extents: &[Extent],
) -> io::Result<Option<u32>> {
    let cluster_bytes = view.geometry.cluster_bytes;
    let mut buffer = vec![0; view.geometry.cluster_len()];
    let clusters = extents
        .iter()
        .rev()
        .flat_map(|extent| (extent.first_cluster..extent.first_cluster + extent.clusters).rev());
    // Where the tail of NULs starts, as far as is known: bytes from the start of the file.
    let mut tail_start = len_bytes;
    for cluster in clusters {
        let in_cluster = (tail_start - 1) % cluster_bytes + 1;
        let used = &mut buffer[..in_cluster as usize];
        let offset = view.geometry.cluster_offset(cluster).unwrap_or(u64::MAX);
        view.device.read_at(offset, used)?;
        let nuls = used.iter().rev().take_while(|byte| **byte == 0).count();
        // At most a cluster, so it fits.
        tail_start -= u32::try_from(nuls).unwrap_or(0);
        let searched_bytes = len_bytes - tail_start;
        if index(u64::from(in_cluster)) != nuls || searched_bytes >= MAX_SEARCH_BYTES {
            break;
        }
    }
    let border = u64::from(tail_start).next_multiple_of(u64::from(view.geometry.sector_bytes));
    let bytes = u64::from(len_bytes).saturating_sub(border);
    Ok(u32::try_from(bytes).ok().filter(|bytes| *bytes > 0))
}
