//! The worst volumes that we could think of, each within the reader's budget (docs/SPEC.md 1.4):
//! one scan, as the daemon does it after every write of a host, and every single operation.
//!
//! `-- --nocapture` shows what each cost beside what it may cost.

#![allow(clippy::unwrap_used, reason = "a test may end this way")]

use fuzz::alloc::peak_of;
use fuzz::budget::Budget;
use fuzz::metered::Metered;
use fuzz::read_everything;
use scan::Scan;
use volume::testing::PagedImage;
use volume::{ChainProblem, FatType, FormatOptions, Geometry, ReadError, Root, Volume, WriteAt};

const SLOT_BYTES: u64 = 32;
/// Most slots of a folder.
const FOLDER_SLOTS: u32 = 65_536;
const END: u32 = 0x0FFF_FFFF;
const FILE: u8 = 0x20;
const FOLDER: u8 = 0x10;

/// A volume that is written slot by slot and entry by entry.
struct Hostile {
    image: PagedImage,
    geometry: Geometry,
    /// The next cluster that nothing has used.
    free: u32,
}

impl Hostile {
    fn new(mib: u64, fat_type: FatType, cluster_bytes: u32, root_slots: Option<u16>) -> Self {
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
    fn fat32(mib: u64) -> Self {
        Self::new(mib, FatType::Fat32, 512, None)
    }

    fn put(&mut self, offset_bytes: u64, bytes: &[u8]) {
        self.image.write_at(offset_bytes, bytes).unwrap();
    }

    /// A cluster's entry in both copies of the table.
    fn link(&mut self, cluster: u32, value: u32) {
        let count = self.geometry.fat_type.entry_bytes();
        for copy in 0..u64::from(self.geometry.fat_copies) {
            let table = self.geometry.fat_offset_bytes + copy * self.geometry.fat_bytes;
            let at = table + u64::from(cluster) * u64::from(count);
            self.put(at, &value.to_le_bytes()[..count as usize]);
        }
    }

    /// The next `count` clusters as one chain.
    fn chain(&mut self, count: u32) -> u32 {
        let first = self.free;
        self.free += count;
        for cluster in first..self.free - 1 {
            self.link(cluster, cluster + 1);
        }
        self.link(self.free - 1, END);
        first
    }

    /// A chain through every other cluster and back: no two of its clusters are neighbours.
    fn scattered(&mut self, count: u32) -> u32 {
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

    /// A chain that hops over the table, so that each step is in another window of it.
    fn hopping(&mut self, count: u32) -> u32 {
        const HOP: u32 = 4099;
        assert!(
            !count.is_multiple_of(HOP),
            "it is prime, so that all are visited"
        );
        let first = self.free;
        self.free += count;
        for number in 0..count {
            let next = (number + HOP) % count;
            let value = if next == 0 { END } else { first + next };
            self.link(first + number, value);
        }
        first
    }

    /// A slot of a folder that lies in neighbouring clusters from `first` on.
    fn slot(&mut self, first: u32, number: u32, slot: &[u8; 32]) {
        let at = self.geometry.cluster_offset(first).unwrap();
        self.put(at + u64::from(number) * SLOT_BYTES, slot);
    }

    /// Makes a folder of `slots` slots and its entry number `at` in the folder at `parent`.
    fn folder(&mut self, parent: u32, at: u32, name: &str, slots: u32) -> u32 {
        let slots_a_cluster = self.geometry.cluster_bytes / 32;
        let first = self.chain(slots.div_ceil(slots_a_cluster));
        self.slot(parent, at, &entry(name, FOLDER, first, 0));
        first
    }

    /// The root of FAT32, made as long as a folder can be.
    fn long_root(&mut self) -> u32 {
        let Root::Chain { first_cluster } = self.geometry.root else {
            panic!("FAT32");
        };
        let rest = self.chain(FOLDER_SLOTS / 16 - 1);
        assert_eq!(rest, first_cluster + 1);
        self.link(first_cluster, rest);
        first_cluster
    }

    /// Reads all of it within the budget; the scan if it could be made.
    fn check(self, what: &str) -> Scan {
        let device = Metered::still(self.image);
        read_everything(&device);
        let volume = Volume::open(&device).unwrap();
        let limit = Budget::of(volume.geometry()).scan();
        device.take_reads();
        let (scan, memory_bytes) = peak_of(|| Scan::read(&volume));
        let reads = device.take_reads();
        println!("{what}: a scan takes {reads:?}, {memory_bytes} bytes of memory, of {limit:?}");
        scan.unwrap()
    }
}

/// A slot with an 8.3 name, given with its blanks.
fn entry(name: impl AsRef<[u8]>, attributes: u8, first: u32, len_bytes: u32) -> [u8; 32] {
    let mut slot = [0; 32];
    slot[..11].copy_from_slice(name.as_ref());
    slot[11] = attributes;
    slot[20..22].copy_from_slice(&first.to_le_bytes()[2..]);
    slot[24..26].copy_from_slice(&0x58_A6_u16.to_le_bytes());
    slot[26..28].copy_from_slice(&first.to_le_bytes()[..2]);
    slot[28..].copy_from_slice(&len_bytes.to_le_bytes());
    slot
}

fn prompt(number: u32) -> String {
    format!("P{number:07}TXT")
}

/// The same of signs that take three bytes each once they are read.
fn broad_prompt(number: u32) -> [u8; 11] {
    let mut name = *b"\xB0\xB0\xB0\xB0\xB0\xB0\xB0\xB0TXT";
    for (place, sign) in name[..8].iter_mut().enumerate() {
        *sign += (number >> (4 * place)).to_le_bytes()[0] & 0x0F;
    }
    name
}

#[test]
fn ten_thousand_prompts_in_one_chain() {
    let mut hostile = Hostile::fat32(40);
    let root = hostile.long_root();
    // As long as a prompt may be: a longer one is refused for that, and its chain not followed.
    let clusters = 128;
    let first = hostile.hopping(clusters);
    for number in 0..FOLDER_SLOTS {
        let slot = entry(prompt(number), FILE, first, clusters * 512);
        hostile.slot(root, number, &slot);
    }
    let scan = hostile.check("shared chains");
    assert!(scan.observations().iter().all(|seen| !seen.consistent));
    assert!(scan.waiting > 50_000);
}

#[test]
fn a_file_that_shares_nothing_is_believed_beside_two_that_do() {
    let mut hostile = Hostile::fat32(40);
    let root = hostile.long_root();
    let shared = hostile.scattered(120);
    let alone = hostile.chain(2);
    hostile.slot(root, 0, &entry("A       TXT", FILE, shared, 120 * 512));
    hostile.slot(root, 1, &entry("B       TXT", FILE, shared, 120 * 512));
    hostile.slot(root, 2, &entry("C       TXT", FILE, alone, 1000));
    let scan = hostile.check("two files in one chain");
    let believed: Vec<bool> = scan
        .observations()
        .iter()
        .map(|seen| seen.consistent)
        .collect();
    assert_eq!(believed, [false, false, true]);
}

#[test]
fn three_folders_full_of_prompts() {
    let mut hostile = Hostile::fat32(60);
    let root = hostile.long_root();
    let prompts = hostile.folder(root, 0, "PROMPTS    ", FOLDER_SLOTS);
    let ask = hostile.folder(root, 1, "ASK        ", FOLDER_SLOTS);
    for (folder, begin) in [(root, 2), (prompts, 0), (ask, 0)] {
        for number in begin..FOLDER_SLOTS {
            let first = hostile.free;
            let has_room = folder == root && first < hostile.geometry.last_cluster();
            let (first, len_bytes) = if has_room {
                (hostile.chain(1), 400)
            } else {
                (0, 0)
            };
            let slot = entry(broad_prompt(number), FILE, first, len_bytes);
            hostile.slot(folder, number, &slot);
        }
    }
    let scan = hostile.check("three full folders");
    assert_eq!(scan.observations().len(), 10_000);
    let listed = u32::try_from(scan.times.len()).unwrap();
    assert_eq!(listed, 3 * FOLDER_SLOTS);
}

#[test]
fn a_folder_full_of_the_longest_names() {
    let mut hostile = Hostile::fat32(60);
    let root = hostile.long_root();
    let name: Vec<u8> = std::iter::repeat_n([0x42, 0x6F], 255).flatten().collect();
    let short = *b"LONGEST TXT";
    let sum = short
        .iter()
        .fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let mut number = 0;
    while number + 21 <= FOLDER_SLOTS {
        for part in (1..=20_u8).rev() {
            let mut slot = [0xFF; 32];
            slot[0] = if part == 20 { part | 0x40 } else { part };
            let at = usize::from(part - 1) * 26;
            let mut units = name[at..name.len().min(at + 26)].to_vec();
            if units.len() < 26 {
                units.extend([0, 0]);
            }
            units.resize(26, 0xFF);
            slot[1..11].copy_from_slice(&units[..10]);
            slot[14..26].copy_from_slice(&units[10..22]);
            slot[28..].copy_from_slice(&units[22..]);
            (slot[11], slot[12], slot[13], slot[26], slot[27]) = (0x0F, 0, sum, 0, 0);
            hostile.slot(root, number, &slot);
            number += 1;
        }
        hostile.slot(root, number, &entry("LONGEST TXT", FILE, 0, 0));
        number += 1;
    }
    let volume = Volume::open(&hostile.image).unwrap();
    let listed = volume.list("").unwrap();
    assert_eq!(u32::try_from(listed.len()), Ok(FOLDER_SLOTS / 21));
    assert_eq!(listed[0].name.encode_utf16().count(), 255);
    drop(volume);
    hostile.check("longest names");
}

#[test]
fn folders_in_folders_without_end() {
    let mut hostile = Hostile::fat32(60);
    let root = hostile.long_root();
    let folders = 70_000;
    let first = hostile.free;
    let file = first + folders;
    for number in 0..folders {
        hostile.link(first + number, END);
        for child in 0..16 {
            let at = number * 15 + child + 1;
            // The tree, then again from its beginning: folders that contain those they are in.
            let name = format!("D{child:02}        ");
            let slot = entry(&name, FOLDER, first + at % folders, 0);
            hostile.slot(first + number, child, &slot);
        }
    }
    hostile.link(file, END);
    hostile.slot(root, 0, &entry("PROMPTS    ", FOLDER, first, 0));
    hostile.slot(root, 1, &entry("A       TXT", FILE, file, 500));
    let volume = Volume::open(&hostile.image).unwrap();
    let entry = volume.find("A.TXT").unwrap().unwrap();
    let inspected = volume.inspect(&[entry]);
    assert!(matches!(inspected, Err(ReadError::TreeTooLarge)));
    drop(volume);
    let scan = hostile.check("70,000 folders");
    assert!(!scan.observations()[0].consistent, "nothing is known of it");
}

#[test]
fn chains_that_come_back() {
    let mut hostile = Hostile::fat32(60);
    let root = hostile.long_root();
    let clusters = 40_000;
    let first = hostile.scattered(clusters);
    hostile.link(first + 2 * (clusters - 1), first + 2);
    let folder = hostile.folder(root, 0, "PROMPTS    ", 1000);
    for number in 0..1008 {
        hostile.slot(folder, number, &entry("A       BIN", FILE, 0, 0));
    }
    // The folder leads back into its middle; each prompt runs in the same circle.
    let last = folder + 62;
    hostile.link(last, folder + 30);
    for number in 1..FOLDER_SLOTS {
        let slot = entry(
            prompt(number),
            FILE,
            first + 2 * (number % clusters),
            u32::MAX,
        );
        hostile.slot(root, number, &slot);
    }
    let volume = Volume::open(&hostile.image).unwrap();
    let entry = volume
        .find(&prompt(1).replace("TXT", ".TXT"))
        .unwrap()
        .unwrap();
    let inspected = volume.inspect(&[entry]).unwrap();
    assert_eq!(inspected[0].problems[0], ChainProblem::Loop);
    drop(volume);
    let scan = hostile.check("circles");
    let unreadable = scan.unreadable.iter().map(|(folder, _)| *folder);
    assert!(unreadable.eq(["prompts"]));
}

#[test]
fn files_in_more_pieces_than_are_held() {
    let mut hostile = Hostile::fat32(300);
    let root = hostile.long_root();
    let first = hostile.scattered(140_000);
    let other = hostile.scattered(120_000);
    hostile.slot(root, 0, &entry("A       TXT", FILE, first, 140_000 * 512));
    hostile.slot(root, 1, &entry("B       TXT", FILE, other, 120_000 * 512));
    let volume = Volume::open(&hostile.image).unwrap();
    let inspected = volume.inspect(&volume.list("").unwrap()).unwrap();
    assert_eq!(inspected[0].problems, [ChainProblem::TooFragmented]);
    // A file of NUL bytes.
    assert!(matches!(
        inspected[1].problems[..],
        [ChainProblem::NulTail { .. }]
    ));
    drop(volume);
    hostile.check("140,000 pieces");
}

#[test]
fn the_longest_fixed_root() {
    let mut hostile = Hostile::new(30, FatType::Fat16, 512, Some(65_520));
    let Root::Fixed {
        offset_bytes,
        slots,
    } = hostile.geometry.root
    else {
        panic!("FAT16");
    };
    let first = hostile.chain(50_000);
    hostile.link(first + 49_999, 0xFFFF);
    for number in 0..slots {
        let at = first + number % 50_000;
        let slot = entry(prompt(number), FILE, at, (number + 1) * 512);
        hostile.put(offset_bytes + u64::from(number) * SLOT_BYTES, &slot);
    }
    hostile.check("65,520 slots in FAT16's root");
}
