//! As many entries as folders can have: all of them prompts, pieces of long names, deleted; and as
//! many folders.

use std::time::Duration;

use volume::testing::CountingDevice;
use volume::{ReadError, Volume};

use super::craft::{self, Craft, FAT32, FILE, FOLDER, Slot};
use super::look::look;
use super::siege::{Budget, HONEST, Siege, withstand};
use crate::volume::support::{Mkfs, TIME};

/// Slots of the largest folder.
const MOST: usize = 65_536;
/// Prompts that are followed.
const FOLLOWED: usize = 10_000;

/// A budget for what is read many times over: 65,536 slots a folder.
const CROWDED: Budget = Budget {
    peak_mib: 64,
    cpu: Duration::from_secs(10),
    prompts: 4,
};

fn crowd(more: usize, slot: impl Fn(u32) -> Slot) -> Craft {
    let mut craft = Craft::with(FAT32, &[("honest.txt", HONEST)]);
    for folder in ["prompts", "ask"] {
        craft.put(&format!("{folder}/"), b"");
        let slots: Vec<Slot> = (0..more as u32).map(&slot).collect();
        craft.append(folder, &slots);
    }
    craft
}

#[test]
fn folders_of_nothing_but_files_that_are_no_prompts() {
    let craft = crowd(MOST - 2, |n| {
        craft::short(&craft::numbered(n, b"BIN"), FILE, 0, 1)
    });
    let seen = look(&craft.bytes);
    assert_eq!(seen.names.len(), 2 * (MOST - 2) + 3);
    withstand("2 x 65,536 files", &craft, CROWDED);
}

#[test]
fn folders_of_nothing_but_pieces_of_long_names() {
    let piece = craft::long(
        &[u16::from(b'x'); 255],
        craft::short(b"X       TXT", FILE, 0, 0),
    );
    // Without the end that each of them needs.
    let craft = crowd(MOST - 2, |n| piece[n as usize % (piece.len() - 1)]);
    let seen = look(&craft.bytes);
    assert_eq!(seen.names, ["honest.txt", "prompts", "ask"]);
    withstand("2 x 65,536 pieces of long names", &craft, CROWDED);
}

#[test]
fn folders_of_nothing_but_deleted_slots() {
    let craft = crowd(MOST - 2, |_| craft::short(b"\xE5       TXT", FILE, 9, 9));
    assert_eq!(look(&craft.bytes).names.len(), 3);
    withstand("2 x 65,536 deleted slots", &craft, CROWDED);
}

/// As many answers as are published at a time, into a folder that is nearly full: its names are
/// read once, and it is looked for room once for each.
#[test]
fn room_in_a_crowded_folder_is_found_at_a_price() {
    const ANSWERS: u64 = 64;
    let craft = crowd(MOST - 1_000, |n| {
        craft::short(&craft::numbered(n, b"TXT"), FILE, 0, 0)
    });
    let device = CountingDevice::new(&craft.bytes);
    let volume = Volume::open(&device).unwrap();
    device.take_reads();
    volume.list("prompts").unwrap();
    let folder = device.take_reads();
    let mut edit = volume.edit();
    for number in 0..ANSWERS {
        edit.create(&format!("prompts/P{number:07}.error.txt"), b"x", TIME)
            .unwrap();
    }
    let reads = device.take_reads();
    assert!(
        reads < (ANSWERS + 8) * folder,
        "{reads} reads, {folder} for the folder"
    );
}

/// All names as long as they can be.
#[test]
fn folders_of_the_longest_names() {
    let craft = {
        let mut craft = Craft::with(FAT32, &[("honest.txt", HONEST), ("prompts/", b"")]);
        let name = |n: u32| format!("{n:05}{}.bin", "\u{2603}".repeat(246));
        let slots = (0..MOST as u32 / 21 - 1).flat_map(|n| {
            craft::long_text(
                &name(n),
                craft::short(&craft::numbered(n, b"BIN"), FILE, 0, 0),
            )
        });
        craft.append("prompts", &slots.collect::<Vec<_>>());
        craft
    };
    withstand("3,119 names of 255 units", &craft, CROWDED);
}

/// More prompts than are followed, all of them empty: an error file each, for hours on the board.
/// The daemon is never gone for long meanwhile, and when they are gone it is at once as it was.
#[test]
fn a_root_of_nothing_but_prompts() {
    let honest = Craft::with(FAT32, &[("honest.txt", HONEST)]);
    let mut craft = honest.clone();
    let slots: Vec<Slot> = (0..20_000)
        .map(|n| craft::short(&craft::numbered(n, b"TXT"), FILE, 0, 0))
        .collect();
    craft.append("", &slots);
    let siege = Siege::lay("20,001 prompts in the root", &craft);
    siege.daemon().wait_logged("too many prompts");
    siege.wait_for("P0000100.error.txt");
    siege.replace(&honest.bytes);
    siege.is_answered("afterwards");
    let budget = Budget {
        prompts: FOLLOWED,
        ..CROWDED
    };
    siege.end(budget);
}

/// Ten thousand prompts change their names while nobody has let go: each is looked up among those
/// that were there.
#[test]
fn ten_thousand_prompts_under_other_names() {
    let size = FAT32.cluster_bytes.unwrap() as usize;
    let mut empty = Craft::with(FAT32, &[("prompts/", b"")]);
    // In use: nothing is published, so that only the readings are measured.
    empty.boot(0x41, &[1]);
    let content = [HONEST, &vec![0; size - HONEST.len()]].concat();
    let clusters = empty.store(&content.repeat(FOLLOWED));
    for n in 0..FOLLOWED as u32 {
        empty.link(clusters + n, empty.end_mark());
    }
    let crowd = |first: u32| {
        let mut craft = empty.clone();
        let slot = |n: u32| {
            let name = craft::numbered(first + n, b"TXT");
            craft::short(&name, FILE, clusters + n, HONEST.len() as u32)
        };
        craft.append("", &(0..FOLLOWED as u32).map(slot).collect::<Vec<_>>());
        craft
    };
    let siege = Siege::lay("10,000 prompts renamed", &crowd(0));
    siege.daemon().wait_logged("thinking");
    for round in 1..4 {
        siege.replace(&crowd(round * 100_000).bytes);
        std::thread::sleep(Duration::from_millis(1_200));
    }
    siege.replace(&Craft::new(FAT32).bytes);
    siege.is_answered("afterwards");
    siege.end(Budget {
        prompts: FOLLOWED,
        ..CROWDED
    });
}

/// A volume with so many folders, all of them blank, in folders of at most 40,000.
fn attics(folders: u32) -> Craft {
    let mkfs = Mkfs { mib: 48, ..FAT32 };
    let mut craft = Craft::with(mkfs, &[("honest.txt", HONEST)]);
    let cluster = craft.store(&vec![0; folders as usize * 512]);
    let numbers: Vec<u32> = (0..folders).collect();
    for (attic, numbers) in numbers.chunks(40_000).enumerate() {
        let path = format!("attic{attic}");
        craft.put(&format!("{path}/"), b"");
        let slot = |n: &u32| craft::short(&craft::numbered(*n, b"   "), FOLDER, cluster + n, 0);
        craft.append(&path, &numbers.iter().map(slot).collect::<Vec<_>>());
    }
    craft
}

/// Each is entered once in a walk.
#[test]
fn twenty_thousand_folders() {
    let craft = attics(20_000);
    let seen = look(&craft.bytes);
    // A folder that nobody has written costs a look into the table and one at its first slots.
    assert!(seen.reads < 3 * 20_000, "{} reads", seen.reads);
    withstand("20,000 folders", &craft, CROWDED);
}

/// More than a walk enters: nothing can be said of any prompt, and nothing is written until they
/// are gone.
#[test]
fn more_folders_than_are_entered() {
    let craft = attics(MOST as u32 + 1);
    let volume = Volume::open(&craft.bytes).unwrap();
    let entry = volume.find("honest.txt").unwrap().unwrap();
    let inspected = volume.inspect(&[entry]);
    assert!(
        matches!(inspected, Err(ReadError::TreeTooLarge)),
        "{inspected:?}"
    );
    let siege = Siege::lay("65,537 folders", &craft);
    siege.wait_for_rest();
    assert!(siege.bytes() == craft.bytes, "the image changed");
    siege.replace(&Craft::new(Mkfs { mib: 48, ..FAT32 }).bytes);
    siege.is_answered("afterwards");
    siege.end(CROWDED);
}
