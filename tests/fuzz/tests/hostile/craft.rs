//! A volume that is written slot by slot and entry by entry, and the names of what is put into it.

use volume::testing::PagedImage;
use volume::{FatType, FormatOptions, Geometry, ReadAt, Root, Volume, WriteAt};

const SLOT_BYTES: u64 = 32;
/// Most slots of a fixed root: a whole number of sectors.
pub const LONGEST_ROOT: u16 = 65_520;
/// Most slots of a folder.
pub const FOLDER_SLOTS: u32 = 65_536;
pub const END: u32 = 0x0FFF_FFFF;
pub const FILE: u8 = 0x20;
pub const FOLDER: u8 = 0x10;

/// A volume that is written slot by slot and entry by entry.
pub struct Hostile {
    pub image: PagedImage,
    pub geometry: Geometry,
    /// The next cluster that nothing has used.
    pub free: u32,
}

impl Hostile {
    pub fn new(mib: u64, fat_type: FatType, cluster_bytes: u32, root_slots: Option<u16>) -> Self {
        let mut image = PagedImage::blank(mib << 20);
        let options = FormatOptions {
            fat_type: Some(fat_type),
            cluster_bytes: Some(cluster_bytes),
            root_slots,
            ..FormatOptions::default()
        };
        volume::format(&mut image, &options).unwrap();
        let geometry = Volume::open(&image).unwrap().geometry().clone();
        let free = 3;
        Self {
            image,
            geometry,
            free,
        }
    }

    /// FAT32 in clusters of 512 bytes: the most chains and pieces a byte.
    pub fn fat32(mib: u64) -> Self {
        Self::new(mib, FatType::Fat32, 512, None)
    }

    pub fn put(&mut self, offset_bytes: u64, bytes: &[u8]) {
        self.image.write_at(offset_bytes, bytes).unwrap();
    }

    /// A cluster's entry in both copies of the table.
    pub fn link(&mut self, cluster: u32, value: u32) {
        (0..self.geometry.fat_copies).for_each(|copy| self.link_in(copy, cluster, value));
    }

    /// The same in one copy.
    pub fn link_in(&mut self, copy: u8, cluster: u32, value: u32) {
        let count = self.geometry.fat_type.entry_bytes() as usize;
        self.put(self.entry_at(copy, cluster), &value.to_le_bytes()[..count]);
    }

    /// Where a chain leads after this cluster, by the first table.
    pub fn next(&self, cluster: u32) -> u32 {
        let count = self.geometry.fat_type.entry_bytes() as usize;
        let mut value = [0; 4];
        let at = self.entry_at(0, cluster);
        self.image.read_at(at, &mut value[..count]).unwrap();
        u32::from_le_bytes(value)
    }

    /// The last cluster of a chain.
    pub fn last(&self, mut cluster: u32) -> u32 {
        while self.next(cluster) != END {
            cluster = self.next(cluster);
        }
        cluster
    }

    fn entry_at(&self, copy: u8, cluster: u32) -> u64 {
        let table = self.geometry.fat_offset_bytes + u64::from(copy) * self.geometry.fat_bytes;
        table + u64::from(cluster) * u64::from(self.geometry.fat_type.entry_bytes())
    }

    /// The next `count` clusters as one chain.
    pub fn chain(&mut self, count: u32) -> u32 {
        let first = self.free;
        self.free += count;
        for cluster in first..self.free - 1 {
            self.link(cluster, cluster + 1);
        }
        self.link(self.free - 1, END);
        first
    }

    /// A chain through every other cluster and back: no two of its clusters are neighbours.
    pub fn scattered(&mut self, count: u32) -> u32 {
        let first = self.free;
        self.free += 2 * count;
        for number in 0..count {
            let next = if number + 1 == count {
                END
            } else {
                first + 2 * number + 2
            };
            self.link(first + 2 * number, next);
        }
        first
    }

    /// A chain that hops over the table of FAT32, so that each step is in another window of it, of
    /// which none is held any more.
    pub fn hopping(&mut self, count: u32) -> u32 {
        /// A prime: four windows and a little.
        const HOP: u32 = 4099;
        /// Clusters that it is spread over.
        const SPAN: u32 = 70_000;
        assert!(count < SPAN, "each cluster is visited once");
        let first = self.free;
        self.free += SPAN;
        let place = |number: u32| first + number * HOP % SPAN;
        for number in 0..count - 1 {
            self.link(place(number), place(number + 1));
        }
        self.link(place(count - 1), END);
        first
    }

    /// A slot of a folder that lies in neighbouring clusters from `first` on.
    pub fn slot(&mut self, first: u32, number: u32, slot: &[u8; 32]) {
        let at = self.geometry.cluster_offset(first).unwrap();
        self.put(at + u64::from(number) * SLOT_BYTES, slot);
    }

    /// Makes a folder of `slots` slots and its entry number `at` in the folder at `parent`.
    pub fn folder(&mut self, parent: u32, at: u32, name: &str, slots: u32) -> u32 {
        let slots_a_cluster = self.geometry.cluster_bytes / 32;
        let first = self.chain(slots.div_ceil(slots_a_cluster));
        self.slot(parent, at, &entry(name, FOLDER, first, 0));
        first
    }

    /// A slot of FAT16's root.
    pub fn root_slot(&mut self, number: u32, slot: &[u8; 32]) {
        let Root::Fixed {
            offset_bytes,
            slots,
        } = self.geometry.root
        else {
            panic!("FAT16");
        };
        assert!(number < slots);
        self.put(offset_bytes + u64::from(number) * SLOT_BYTES, slot);
    }

    /// The root of FAT32, made as long as a folder can be.
    pub fn long_root(&mut self) -> u32 {
        let Root::Chain { first_cluster } = self.geometry.root else {
            panic!("FAT32");
        };
        let rest = self.chain(FOLDER_SLOTS / 16 - 1);
        assert_eq!(rest, first_cluster + 1);
        self.link(first_cluster, rest);
        first_cluster
    }
}

/// A slot with an 8.3 name, given with its blanks.
pub fn entry(name: impl AsRef<[u8]>, attributes: u8, first: u32, len_bytes: u32) -> [u8; 32] {
    let mut slot = [0; 32];
    slot[..11].copy_from_slice(name.as_ref());
    slot[11] = attributes;
    slot[20..22].copy_from_slice(&first.to_le_bytes()[2..]);
    slot[24..26].copy_from_slice(&0x58_A6_u16.to_le_bytes());
    slot[26..28].copy_from_slice(&first.to_le_bytes()[..2]);
    slot[28..].copy_from_slice(&len_bytes.to_le_bytes());
    slot
}

pub fn prompt(number: u32) -> String {
    format!("P{number:07}TXT")
}

/// The same of signs that take three bytes each once they are read.
pub fn broad_prompt(number: u32) -> [u8; 11] {
    let mut name = *b"\xB0\xB0\xB0\xB0\xB0\xB0\xB0\xB0TXT";
    for (place, sign) in name[..8].iter_mut().enumerate() {
        *sign += (number >> (4 * place)).to_le_bytes()[0] & 0x0F;
    }
    name
}
