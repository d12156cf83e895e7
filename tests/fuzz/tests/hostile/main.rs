//! The worst volumes that we could think of, each within the reader's budget (docs/SPEC.md 1.4):
//! one scan, as the daemon does it after every write of a host, and every single operation.
//!
//! `-- --nocapture` shows what each cost beside what it may cost.

#![allow(clippy::unwrap_used, reason = "a test may end this way")]

use fuzz::alloc::peak_of;
use fuzz::budget::Budget;
use fuzz::metered::{Metered, Reads};
use fuzz::read_everything;
use scan::Scan;
use volume::{ChainProblem, FatType, ReadError, Volume};

mod craft;
mod repair;

use craft::{END, FILE, FOLDER, FOLDER_SLOTS, Hostile, LONGEST_ROOT, broad_prompt, entry, prompt};

/// Clusters of 512 bytes of the longest file that is inspected: a longer one is no prompt, which
/// its entry says.
const PROMPT_CLUSTERS: u32 = 128;
/// Prompts that are followed.
const FOLLOWED: u32 = 10_000;

/// Reads all of it within the budget; the scan if it could be made.
fn check(hostile: Hostile, what: &str) -> Scan {
    let device = Metered::still(hostile.image);
    read_everything(&device);
    scan(&device, what).0
}

/// One scan within the budget, and what it read.
fn scan(device: &Metered, what: &str) -> (Scan, Reads) {
    let volume = Volume::open(device).unwrap();
    let limit = Budget::of(volume.geometry()).scan();
    device.take_reads();
    let (scan, memory_bytes) = peak_of(|| Scan::read(&volume));
    let reads = device.take_reads();
    println!("{what}: a scan takes {reads:?}, {memory_bytes} bytes of memory, of {limit:?}");
    limit.check_taken(what, reads, memory_bytes);
    (scan.unwrap(), reads)
}

#[test]
fn ten_thousand_prompts_in_one_chain() {
    let mut hostile = Hostile::fat32(80);
    let root = hostile.long_root();
    let first = hostile.hopping(PROMPT_CLUSTERS);
    for number in 0..FOLDER_SLOTS {
        let slot = entry(prompt(number), FILE, first, PROMPT_CLUSTERS * 512);
        hostile.slot(root, number, &slot);
    }
    // The last that is followed has a chain of its own.
    let alone = hostile.hopping(PROMPT_CLUSTERS);
    let slot = entry(prompt(FOLLOWED - 1), FILE, alone, PROMPT_CLUSTERS * 512);
    hostile.slot(root, FOLLOWED - 1, &slot);
    let device = Metered::still(hostile.image);
    read_everything(&device);
    let (scan, Reads { count, .. }) = scan(&device, "shared chains");
    let seen = scan.observations();
    let (last, others) = seen.split_last().unwrap();
    assert!(last.consistent && others.iter().all(|seen| !seen.consistent));
    assert!(scan.waiting > 50_000);
    // The folder twice, to be listed and in the walk, and two chains: each cluster three times in
    // the tables, once for its NULs, and twice for the content of the one that is believed.
    let folder = 2 * u64::from(FOLDER_SLOTS) / 16;
    let most = 2 * folder + (2 * 4 + 2) * u64::from(PROMPT_CLUSTERS) + 20;
    assert!((most * 9 / 10..most).contains(&count), "{count} of {most}");
}

/// Nothing is shared and nothing damaged: each is whole, empty of anything but NULs, and read.
#[test]
fn ten_thousand_prompts_of_pieces_all_over_the_table() {
    let mut hostile = Hostile::fat32(720);
    let root = hostile.long_root();
    let first = hostile.free;
    for number in 0..FOLLOWED {
        // Ten windows of the table from one piece to the next.
        let piece = |at: u32| first + at * FOLLOWED + number;
        for at in 0..PROMPT_CLUSTERS - 1 {
            hostile.link(piece(at), piece(at + 1));
        }
        hostile.link(piece(PROMPT_CLUSTERS - 1), END);
        let slot = entry(prompt(number), FILE, piece(0), PROMPT_CLUSTERS * 512);
        hostile.slot(root, number, &slot);
    }
    let (scan, Reads { count, .. }) = scan(&Metered::still(hostile.image), "pieces");
    assert!(scan.observations().iter().all(|seen| seen.consistent));
    // Three looks at the table for each cluster, one at its NULs, and to read it two.
    let pieces = u64::from(FOLLOWED * PROMPT_CLUSTERS);
    assert!((6 * pieces..7 * pieces).contains(&count), "{count}");
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
    let scan = check(hostile, "two files in one chain");
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
    let scan = check(hostile, "three full folders");
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
    check(hostile, "longest names");
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
    let scan = check(hostile, "70,000 folders");
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
    let scan = check(hostile, "circles");
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
    check(hostile, "140,000 pieces");
}

#[test]
fn the_longest_fixed_root() {
    let mut hostile = Hostile::new(30, FatType::Fat16, 512, Some(LONGEST_ROOT));
    let first = hostile.chain(50_000);
    hostile.link(first + 49_999, 0xFFFF);
    for number in 0..LONGEST_ROOT.into() {
        let at = first + number % 50_000;
        let slot = entry(prompt(number), FILE, at, (number + 1) * 512);
        hostile.root_slot(number, &slot);
    }
    check(hostile, "65,520 slots in FAT16's root");
}
