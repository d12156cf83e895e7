//! What the host has on a volume is not touched: what differs between two images lies where nothing
//! was, or is a folder that grew.

use std::collections::BTreeSet;

use volume::Root;

use super::craft::{Craft, SLOT_BYTES};
use super::look::FOLDERS;

/// First byte of a slot that is free, of one behind which all are.
const DELETED: u8 = 0xE5;
const END: u8 = 0;

/// Panics unless only free clusters, free slots of the folders that are looked into, their end
/// marks in the table and `FSInfo`'s numbers have changed from `before` to `after`.
pub fn assert_untouched(name: &str, before: &Craft, after: &[u8]) {
    let geometry = &before.geometry;
    let mut allowed = AllowedBytes::default();
    let folders: Vec<Vec<u32>> = FOLDERS.iter().filter_map(|f| chain_of(before, f)).collect();
    for cluster in 2..=geometry.last_cluster() {
        let is_last = folders.iter().any(|chain| chain.last() == Some(&cluster));
        if before.next(cluster) == 0 || is_last {
            for copy in 0..u64::from(geometry.fat_copies) {
                let at = crate::volume::support::table_entry_at(geometry, copy, cluster);
                allowed.add(at, geometry.fat_type.entry_bytes() as usize);
            }
        }
        if before.next(cluster) == 0 {
            let at = geometry.cluster_offset(cluster).unwrap() as usize;
            allowed.add(at, geometry.cluster_bytes as usize);
        }
    }
    for chain in folders {
        let areas = chain
            .iter()
            .map(|cluster| geometry.cluster_offset(*cluster));
        let size = geometry.cluster_bytes as usize;
        allowed.add_free_slots(before, areas.map(|at| (at.unwrap() as usize, size)));
    }
    if let Root::Fixed {
        offset_bytes,
        slots,
    } = geometry.root
    {
        let root = (offset_bytes as usize, slots as usize * SLOT_BYTES);
        allowed.add_free_slots(before, [root].into_iter());
    }
    if let Some(at) = geometry.fs_info_offset_bytes {
        // Free count and hint.
        allowed.add(at as usize + 488, 8);
    }
    assert_eq!(before.bytes.len(), after.len(), "{name}");
    let differs = |at: &usize| before.bytes[*at] != after[*at] && !allowed.has(*at);
    let touched: Vec<usize> = (0..after.len()).filter(differs).take(8).collect();
    assert!(
        touched.is_empty(),
        "{name}: bytes of the host's changed at {touched:?}"
    );
}

fn chain_of(craft: &Craft, folder: &str) -> Option<Vec<u32>> {
    let volume = volume::Volume::open(&craft.bytes).unwrap();
    volume.list(folder).ok()?;
    match craft.geometry.root {
        _ if !folder.is_empty() => Some(craft.chain(craft.entry(folder).first_cluster)),
        Root::Chain { first_cluster } => Some(craft.chain(first_cluster)),
        Root::Fixed { .. } => None,
    }
}

/// Places that may change.
#[derive(Default)]
struct AllowedBytes {
    pieces: BTreeSet<(usize, usize)>,
}

impl AllowedBytes {
    fn add(&mut self, start: usize, len: usize) {
        self.pieces.insert((start, start + len));
    }

    fn add_free_slots(&mut self, craft: &Craft, areas: impl Iterator<Item = (usize, usize)>) {
        let mut is_past_end = false;
        for (start, len) in areas {
            for at in (start..start + len).step_by(SLOT_BYTES) {
                let first = craft.bytes[at];
                is_past_end |= first == END;
                if is_past_end || first == DELETED {
                    self.add(at, SLOT_BYTES);
                }
            }
        }
    }

    fn has(&self, at: usize) -> bool {
        let before = self.pieces.range(..=(at, usize::MAX)).next_back();
        before.is_some_and(|(_, end)| at < *end)
    }
}
