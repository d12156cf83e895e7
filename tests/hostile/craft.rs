//! Crafted images: a volume that `mkfs.fat` made, then changed byte by byte into what no honest
//! host writes. Used by every module here.

use volume::{Entry, Geometry, Root, Volume, WriteAt};

use crate::volume::support::{self, Mkfs, TIME};

/// Attributes of a file, of a folder.
pub const FILE: u8 = 0x20;
pub const FOLDER: u8 = 0x10;
/// A slot.
pub type Slot = [u8; 32];
pub const SLOT_BYTES: usize = 32;
/// Where the units of a long name lie in a slot.
const UNITS_AT: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/// Volumes on which most attacks are tried: many small clusters.
pub const FAT16: Mkfs = Mkfs {
    mib: 16,
    cluster_bytes: Some(512),
    ..Mkfs::FAT16
};
pub const FAT32: Mkfs = Mkfs {
    mib: 16,
    ..Mkfs::FAT32
};

/// Runs a test on both types, at once: it waits most of the time.
pub fn on_both(test: impl Fn(Mkfs) + Sync) {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| test(FAT32));
        test(FAT16);
        if let Err(panic) = other.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// An image in memory that is being crafted.
#[derive(Clone)]
pub struct Craft {
    pub bytes: Vec<u8>,
    pub geometry: Geometry,
}

impl Craft {
    /// An empty volume.
    pub fn new(mkfs: Mkfs) -> Self {
        let bytes = support::in_memory(mkfs);
        let geometry = Volume::open(&bytes).unwrap().geometry().clone();
        Self { bytes, geometry }
    }

    /// A volume with these files, and folders where a path ends in a slash.
    pub fn with(mkfs: Mkfs, files: &[(&str, &[u8])]) -> Self {
        let mut craft = Self::new(mkfs);
        for (path, content) in files {
            craft.put(path, content);
        }
        craft
    }

    /// Adds a file, or a folder where the path ends in a slash.
    pub fn put(&mut self, path: &str, content: &[u8]) {
        support::edit_bytes(&mut self.bytes, |edit| match path.strip_suffix('/') {
            Some(folder) => edit.make_dir(folder, TIME).unwrap(),
            None => edit.create(path, content, TIME).unwrap(),
        });
    }

    pub fn entry(&self, path: &str) -> Entry {
        let volume = Volume::open(&self.bytes).unwrap();
        let found = volume.find(path).unwrap();
        found.unwrap_or_else(|| panic!("{path} is not there"))
    }

    /// Makes the table say that `next` follows `cluster`; 0 is free.
    pub fn link(&mut self, cluster: u32, next: u32) {
        support::set_table_entry(&mut self.bytes, &self.geometry, cluster, next);
    }

    /// What the first table says of a cluster.
    pub fn next(&self, cluster: u32) -> u32 {
        let at = support::table_entry_at(&self.geometry, 0, cluster);
        let count = self.geometry.fat_type.entry_bytes() as usize;
        let mut value = [0; 4];
        value[..count].copy_from_slice(&self.bytes[at..at + count]);
        u32::from_le_bytes(value)
    }

    /// The clusters from `first` to the end mark.
    pub fn chain(&self, first: u32) -> Vec<u32> {
        let mut chain = vec![first];
        loop {
            let next = self.next(chain[chain.len() - 1]);
            if !self.geometry.has_cluster(next) {
                return chain;
            }
            chain.push(next);
        }
    }

    pub fn end_mark(&self) -> u32 {
        support::end_mark(&self.geometry)
    }

    /// Makes the chain of `path` lead back to its start.
    pub fn close_circle(&mut self, path: &str) {
        let first = self.entry(path).first_cluster;
        let last = *self.chain(first).last().unwrap();
        self.link(last, first);
    }

    /// Points the entry of `path` to another first cluster.
    pub fn point(&mut self, path: &str, cluster: u32) {
        let at = self.entry(path).slot_offset_bytes;
        let [low, high] = [cluster & 0xFFFF, cluster >> 16].map(|half| half as u16);
        self.write(at + 26, &low.to_le_bytes());
        if matches!(self.geometry.root, Root::Chain { .. }) {
            self.write(at + 20, &high.to_le_bytes());
        }
    }

    /// Makes the entry of `path` claim a length.
    pub fn claim(&mut self, path: &str, len_bytes: u32) {
        let at = self.entry(path).slot_offset_bytes;
        self.write(at + 28, &len_bytes.to_le_bytes());
    }

    /// Changes bytes of the boot sector.
    pub fn boot(&mut self, offset: u64, bytes: &[u8]) {
        self.write(self.geometry.partition_offset_bytes + offset, bytes);
    }

    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.bytes.write_at(offset, bytes).unwrap();
    }

    pub fn cluster(&self, cluster: u32) -> &[u8] {
        let start = self.geometry.cluster_offset(cluster).unwrap() as usize;
        &self.bytes[start..start + self.geometry.cluster_bytes as usize]
    }

    /// A chain of free clusters, as many as `content` needs, filled with it. Its first cluster.
    pub fn store(&mut self, content: &[u8]) -> u32 {
        let size = self.geometry.cluster_bytes as usize;
        let free: Vec<u32> = (2..=self.geometry.last_cluster())
            .filter(|cluster| self.next(*cluster) == 0)
            .take(content.len().div_ceil(size).max(1))
            .collect();
        assert!(free.len() * size >= content.len(), "the volume is full");
        for (number, cluster) in free.iter().enumerate() {
            let next = free.get(number + 1).copied();
            self.link(*cluster, next.unwrap_or(self.end_mark()));
            let start = (number * size).min(content.len());
            let mut piece = content[start..content.len().min(start + size)].to_vec();
            piece.resize(size, 0);
            let at = self.geometry.cluster_offset(*cluster).unwrap();
            self.write(at, &piece);
        }
        free[0]
    }

    /// Puts these slots behind those that a folder has (`""` is the root), whatever they say.
    pub fn append(&mut self, folder: &str, slots: &[Slot]) {
        let first = match self.geometry.root {
            _ if !folder.is_empty() => self.entry(folder).first_cluster,
            Root::Chain { first_cluster } => first_cluster,
            Root::Fixed { offset_bytes, .. } => {
                let root = &self.bytes[offset_bytes as usize..];
                let used = root.chunks(SLOT_BYTES).take_while(|slot| slot[0] != 0);
                let at = offset_bytes + (used.count() * SLOT_BYTES) as u64;
                return self.write(at, &slots.concat());
            }
        };
        let chain = self.chain(first);
        let old: Vec<u8> = chain
            .iter()
            .flat_map(|c| self.cluster(*c).to_vec())
            .collect();
        let used = old.chunks(SLOT_BYTES).take_while(|slot| slot[0] != 0);
        let used_bytes = used.count() * SLOT_BYTES;
        let content = [&old[..used_bytes], &slots.concat()[..]].concat();
        let (head, rest) = content.split_at(content.len().min(old.len()));
        let size = self.geometry.cluster_bytes as usize;
        for (cluster, piece) in chain.iter().zip(head.chunks(size)) {
            let at = self.geometry.cluster_offset(*cluster).unwrap();
            self.write(at, piece);
        }
        if !rest.is_empty() {
            let more = self.store(rest);
            self.link(*chain.last().unwrap(), more);
        }
    }
}

/// A short name's slot: eleven bytes as they lie there.
pub fn short(name: &[u8; 11], attributes: u8, cluster: u32, len_bytes: u32) -> Slot {
    let mut slot = [0; SLOT_BYTES];
    slot[..11].copy_from_slice(name);
    slot[11] = attributes;
    let cluster = cluster.to_le_bytes();
    slot[20..22].copy_from_slice(&cluster[2..]);
    slot[26..28].copy_from_slice(&cluster[..2]);
    slot[28..].copy_from_slice(&len_bytes.to_le_bytes());
    slot
}

/// The slots of a long name of any UTF-16 units, allowed or not, in front of its short one.
pub fn long(units: &[u16], short: Slot) -> Vec<Slot> {
    let sum = short[..11]
        .iter()
        .fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let mut slots: Vec<Slot> = Vec::new();
    for (number, part) in units.chunks(UNITS_AT.len()).enumerate() {
        let mut slot = [0; SLOT_BYTES];
        slot[0] = number as u8 + 1;
        slot[11] = 0x0F;
        slot[13] = sum;
        let padded = part.iter().copied().chain([0]);
        let padded = padded.chain(std::iter::repeat(0xFFFF));
        for (at, unit) in UNITS_AT.into_iter().zip(padded) {
            slot[at..at + 2].copy_from_slice(&unit.to_le_bytes());
        }
        slots.insert(0, slot);
    }
    slots[0][0] |= 0x40;
    slots.push(short);
    slots
}

/// The same for a text.
pub fn long_text(name: &str, short: Slot) -> Vec<Slot> {
    long(&name.encode_utf16().collect::<Vec<_>>(), short)
}

/// The short name number `number`: `P0000042TXT`.
pub fn numbered(number: u32, extension: &[u8; 3]) -> [u8; 11] {
    let mut name = [0; 11];
    name[..8].copy_from_slice(format!("P{number:07}").as_bytes());
    name[8..].copy_from_slice(extension);
    name
}
