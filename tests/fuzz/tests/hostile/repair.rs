//! The worst volumes for a repair: junk that many folders lead into, clusters that a crowd of
//! entries names. Each round within the budget, and the volume whole at the end.

use fuzz::alloc::peak_of;
use fuzz::base::TIME;
use fuzz::budget::Budget;
use fuzz::metered::{Metered, Reads};
use volume::testing::PagedImage;
use volume::{FatType, ReadError, RepairError, RepairLimits, Volume, WriteAt};

use super::craft::{END, FILE, FOLDER, FOLDER_SLOTS, Hostile, LONGEST_ROOT, entry, prompt};

/// Neither a slot nor blank.
const JUNK: [u8; 512] = [b'x'; 512];

/// Plans rounds, each within the budget, and applies them; at most `rounds` of them. Whether that
/// was all, and what the first read.
fn check(mut image: PagedImage, what: &str, rounds: usize) -> Result<(bool, Reads), RepairError> {
    let limits = RepairLimits::default();
    let mut first = None;
    for round in 1..=rounds {
        let device = Metered::still(image.clone());
        let volume = Volume::open(&device).unwrap();
        let limit = Budget::of(volume.geometry()).repair(limits);
        device.take_reads();
        let (planned, memory_bytes) = peak_of(|| volume.repair(limits, TIME));
        let reads = device.take_reads();
        println!("{what}, round {round}: {reads:?}, {memory_bytes} bytes of memory, of {limit:?}");
        limit.check_taken(what, reads, memory_bytes);
        let first = *first.get_or_insert(reads);
        let planned = planned?;
        for sector in planned.changes.sectors() {
            image.write_at(sector.offset_bytes, &sector.after).unwrap();
        }
        if planned.is_complete {
            return Ok((true, first));
        }
    }
    Ok((false, first.unwrap_or_default()))
}

/// Makes a chain begin as a folder in the root does.
fn begin_folder(hostile: &mut Hostile, first: u32) {
    hostile.slot(first, 0, &entry(".          ", FOLDER, first, 0));
    hostile.slot(first, 1, &entry("..         ", FOLDER, 0, 0));
}

#[test]
fn thousands_of_folders_that_lead_into_one_chain_of_junk() {
    let mut hostile = Hostile::fat32(40);
    let root = hostile.long_root();
    let junk = hostile.chain(4200);
    for number in 0..4200 {
        let at = hostile.geometry.cluster_offset(junk + number).unwrap();
        hostile.put(at, &JUNK);
    }
    for number in 0..8000 {
        let name = format!("D{number:07}   ");
        let first = hostile.chain(1);
        hostile.link(first, junk + number % 100);
        begin_folder(&mut hostile, first);
        hostile.slot(root, number, &entry(name, FOLDER, first, 0));
    }
    assert!(check(hostile.image, "folders into junk", 8).unwrap().0);
}

#[test]
fn a_root_of_folders_that_are_one_cluster_of_something_else() {
    let mut hostile = Hostile::new(300, FatType::Fat16, 65_536, Some(LONGEST_ROOT));
    let first = hostile.chain(1);
    hostile.link(first, 0xFFFF);
    let at = hostile.geometry.cluster_offset(first).unwrap();
    hostile.put(at + 65_535, b"x");
    for number in 0..LONGEST_ROOT.into() {
        let slot = entry(format!("D{number:07}   "), FOLDER, first, 0);
        hostile.root_slot(number, &slot);
    }
    let (_, first) = check(hostile.image, "one cluster for all folders", 2).unwrap();
    // 64 KiB once, not for each.
    assert!(first.bytes < 64 << 20, "{first:?}");
}

#[test]
fn a_million_files_that_start_all_over_the_table() {
    let mut hostile = Hostile::new(1000, FatType::Fat16, 16_384, Some(512));
    let clusters = hostile.geometry.clusters;
    for cluster in 2..=hostile.geometry.last_cluster() {
        hostile.link(cluster, 0xFFFF);
    }
    for folder in 0..15_u32 {
        let first = hostile.chain(FOLDER_SLOTS / 512);
        let last = hostile.free - 1;
        hostile.link(last, 0xFFFF);
        begin_folder(&mut hostile, first);
        for number in 2..FOLDER_SLOTS {
            // Each in another window of the table than those before it.
            let start = 2 + number.wrapping_mul(4099) % clusters;
            hostile.slot(first, number, &entry(prompt(number), FILE, start, 1));
        }
        let slot = entry(format!("D{folder:07}   "), FOLDER, first, 0);
        hostile.root_slot(folder, &slot);
    }
    check(hostile.image, "a million files", 2).unwrap();
}

#[test]
fn files_that_share_one_chain_are_copied_until_the_volume_is_full() {
    let mut hostile = Hostile::fat32(40);
    let root = hostile.long_root();
    let first = hostile.hopping(20_000);
    for number in 0..FOLDER_SLOTS {
        let slot = entry(prompt(number), FILE, first, 20_000 * 512);
        hostile.slot(root, number, &slot);
    }
    assert!(
        check(hostile.image, "one chain for all files", 12)
            .unwrap()
            .0
    );
}

#[test]
fn lost_chains_that_run_into_each_other() {
    let mut hostile = Hostile::fat32(40);
    let clusters = hostile.geometry.clusters;
    for cluster in hostile.free..=hostile.geometry.last_cluster() {
        let value = match cluster % 3 {
            0 => END,
            _ => hostile.free + cluster.wrapping_mul(4099) % (clusters - 8),
        };
        hostile.link(cluster, value);
    }
    assert!(check(hostile.image, "lost chains", 4).unwrap().0);
}

#[test]
fn tables_that_differ_and_a_circle_in_the_second() {
    let mut hostile = Hostile::fat32(40);
    let root = hostile.long_root();
    let alone = hostile.chain(1);
    let clusters = 20_000;
    let first = hostile.hopping(clusters);
    let (second, last) = (hostile.next(first), hostile.last(first));
    // By the second table alone the first file runs round in the chain of the others.
    hostile.link_in(1, alone, second);
    hostile.link_in(1, last, second);
    hostile.slot(root, 0, &entry(prompt(0), FILE, alone, u32::MAX));
    for number in 1..FOLDER_SLOTS {
        let slot = entry(prompt(number), FILE, first, (clusters + 1) * 512);
        hostile.slot(root, number, &slot);
    }
    check(hostile.image, "tables that differ", 2).unwrap();
}

#[test]
fn folders_that_wait_for_each_other() {
    // The last entry of each leads to the next, so that all others wait. They are blank.
    let mut hostile = Hostile::fat32(560);
    let mut folder = hostile.long_root();
    let mut begin = 0;
    for _ in 0..15 {
        let next = hostile.chain(FOLDER_SLOTS / 16);
        begin_folder(&mut hostile, next);
        for number in begin..FOLDER_SLOTS {
            let first = match number {
                _ if number == FOLDER_SLOTS - 1 => next,
                _ => hostile.chain(1),
            };
            let name = format!("D{number:07}   ");
            hostile.slot(folder, number, &entry(name, FOLDER, first, 0));
        }
        (folder, begin) = (next, 2);
    }
    let error = check(hostile.image, "folders that wait", 1).unwrap_err();
    assert!(
        matches!(error, RepairError::Read(ReadError::TreeTooLarge)),
        "{error}"
    );
}

#[test]
fn one_folder_that_needs_the_whole_table_changed() {
    let mut hostile = Hostile::fat32(2700);
    let root = hostile.long_root();
    let junk = hostile.chain(1);
    let at = hostile.geometry.cluster_offset(junk).unwrap();
    hostile.put(at, &JUNK);
    for number in 0..40_000 {
        // The end of each is in a sector of the table of its own.
        let first = hostile.free + 128 * number;
        hostile.link(first, junk);
        let slot = entry(format!("D{number:07}   "), FOLDER, first, 0);
        hostile.slot(root, number, &slot);
    }
    check(hostile.image, "the whole table", 2).unwrap();
}
