//! Large files on a volume that take next to no room on this disk. A host copies a short file; its
//! chain, length and the hints about free space are then written as if it had been a long one, with
//! holes for its data. `fsck.fat` judges what comes of it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use ::volume::{Entry, Geometry};

use crate::volume::support as volume;

/// In a directory entry (Microsoft, *FAT32 File System Specification* 1.03).
const LENGTH_AT: u64 = 28;
/// In an `FSInfo` sector.
const FREE_COUNT_AT: u64 = 488;
const NEXT_FREE_AT: u64 = 492;
const ENTRY_BYTES: u64 = 4;

/// A file of the volume, and the volume's geometry.
pub fn find(image: &Path, name: &str) -> (Entry, Geometry) {
    let volume = volume::open(image);
    let entry = volume.find(name).unwrap();
    let entry = entry.unwrap_or_else(|| panic!("{name} is not there"));
    (entry, volume.geometry().clone())
}

/// Where the first byte of a file lies on the image.
pub fn place(image: &Path, name: &str) -> u64 {
    let (entry, geometry) = find(image, name);
    geometry.cluster_offset(entry.first_cluster).unwrap()
}

/// Gives a file that was copied last, and has one cluster, another length. The clusters are those
/// that follow its own; they must be free.
pub fn stretch(image: &Path, name: &str, len_bytes: u32) {
    let (entry, geometry) = find(image, name);
    let file = writable(image);
    let clusters = len_bytes.div_ceil(geometry.cluster_bytes);
    let (first, last) = (entry.first_cluster, entry.first_cluster + clusters - 1);
    assert!(geometry.has_cluster(last), "{name} ends at cluster {last}");
    let links = (first + 1..=last).chain([volume::end_mark(&geometry)]);
    let chain: Vec<u8> = links.flat_map(u32::to_le_bytes).collect();
    for copy in 0..geometry.fat_copies {
        let table = geometry.fat_offset_bytes + u64::from(copy) * geometry.fat_bytes;
        let at = table + u64::from(first) * ENTRY_BYTES;
        let mut before = vec![0; chain.len()];
        file.read_exact_at(&mut before, at).unwrap();
        let mut behind = before.iter().skip(size_of::<u32>());
        assert!(behind.all(|&byte| byte == 0), "{name}: not free");
        file.write_all_at(&chain, at).unwrap();
    }
    let slot = entry.slot_offset_bytes;
    file.write_all_at(&len_bytes.to_le_bytes(), slot + LENGTH_AT)
        .unwrap();
    let hints = geometry.fs_info_offset_bytes.unwrap();
    let mut free = [0; 4];
    file.read_exact_at(&mut free, hints + FREE_COUNT_AT)
        .unwrap();
    let free = u32::from_le_bytes(free) - (clusters - 1);
    file.write_all_at(&free.to_le_bytes(), hints + FREE_COUNT_AT)
        .unwrap();
    file.write_all_at(&last.to_le_bytes(), hints + NEXT_FREE_AT)
        .unwrap();
}

/// Writes bytes into a file that was stretched.
pub fn plant(image: &Path, name: &str, at: u64, bytes: &[u8]) {
    let place = place(image, name);
    writable(image).write_all_at(bytes, place + at).unwrap();
}

fn writable(image: &Path) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).open(image).unwrap()
}
