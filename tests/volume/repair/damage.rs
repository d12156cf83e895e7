//! Random damage: no panic, bounded reads, and the judges agree. A failure prints its seed.

use volume::testing::{CountingDevice, Random};

use super::*;

/// Images of each kind.
const DAMAGED: u64 = 400;

/// Most reads of a round (docs/SPEC.md 1.4).
fn most_reads(geometry: &Geometry, change_bytes: u64) -> u64 {
    let scan = geometry.fat_bytes.div_ceil(64 * 1024);
    let clusters = u64::from(geometry.clusters);
    let cluster_bytes = u64::from(geometry.cluster_bytes);
    let root = match geometry.root {
        volume::Root::Fixed { slots, .. } => u64::from(slots),
        volume::Root::Chain { .. } => 0,
    };
    let started = (root + clusters * cluster_bytes / 32).min(volume::MAX_TREE_SLOTS.into());
    let slots = u64::from(volume::MAX_TREE_SLOTS) + u64::from(volume::MAX_DIR_SLOTS);
    let piece = u64::from(geometry.cluster_bytes.min(4096));
    let walk = 2 * ((slots * 32).div_ceil(piece) + volume::MAX_TREE_FOLDERS as u64 + 1);
    let walk = walk.min((2 * clusters * cluster_bytes + 32 * root) / piece + 2);
    let changed = (change_bytes + (2 << 20) + cluster_bytes) / u64::from(geometry.sector_bytes);
    27 * clusters + 3 * started + 8 * scan + 4 * walk + 2 * changed + 64
}

/// Damages some bytes where it matters.
fn damage(image: &mut [u8], geometry: &Geometry, random: &mut Random) {
    for _ in 0..=random.below(16) {
        let (start, len) = match random.below(9) {
            0..3 => (geometry.fat_offset_bytes, 400),
            3 => (geometry.fat_offset_bytes + geometry.fat_bytes, 400),
            4 => (geometry.fs_info_offset_bytes.unwrap_or(0x25), 1),
            5..7 => match geometry.root {
                // Not the label, which comes first: it stays as it is, also for fsck.fat.
                volume::Root::Fixed { offset_bytes, .. } => (offset_bytes + 32, 2000),
                volume::Root::Chain { .. } => (geometry.data_offset_bytes + 32, 2000),
            },
            _ => (geometry.data_offset_bytes + 512, 20_000),
        };
        let at = usize::try_from(start).unwrap() + random.below(len);
        match random.below(8) {
            // A sector that did not arrive.
            0 => {
                let at = at / 512 * 512;
                if start % 512 != 32 || at > usize::try_from(start).unwrap() {
                    image[at..at + 512].fill([0, 0xFF, b'x'][random.below(3)]);
                }
            }
            1..4 => image[at] = random.byte(),
            4..6 => image[at] = u8::try_from(2 + random.below(60)).unwrap(),
            _ => {
                image[at] =
                    [0, 1, 0x0F, 0x10, 0x2E, 0x40, 0x80, 0xE5, 0xF7, 0xF8, 0xFF][random.below(11)];
            }
        }
    }
}

fn damaged(mkfs: Mkfs) {
    let base = sample(mkfs);
    let geometry = Volume::open(&base).unwrap().geometry().clone();
    let mut repaired = 0;
    for seed in 0..DAMAGED {
        let outcome = std::panic::catch_unwind(|| {
            let mut random = Random::new(seed);
            let mut image = base.clone();
            damage(&mut image, &geometry, &mut random);
            let found = image.clone();
            let device = CountingDevice::new(&found);
            if let Ok(volume) = Volume::open(&device) {
                device.take_reads();
                let _ = volume.repair(RepairLimits::default(), TIME);
                let bound = most_reads(&geometry, RepairLimits::default().change_bytes);
                let reads = device.take_reads();
                assert!(reads <= bound, "{reads} reads, the bound is {bound}");
                assert!(device.longest_bytes() <= 64 * 1024);
            }
            let before = complete_files(&image);
            match repair(&mut image, RepairLimits::default()) {
                Ok(report) => {
                    check_mended(&before, &mut image, &report, &found);
                    true
                }
                Err(RepairError::Open(_) | RepairError::Read(ReadError::TreeTooLarge)) => false,
                Err(error) => panic!("{error}"),
            }
        });
        let outcome = outcome.unwrap_or_else(|_| panic!("replay with seed {seed} of {mkfs:?}"));
        repaired += u64::from(outcome);
    }
    assert!(repaired > DAMAGED / 2, "{repaired}");
}

#[test]
fn damaged_fat16_volumes() {
    damaged(KINDS[0]);
}

#[test]
fn damaged_fat32_volumes() {
    damaged(KINDS[1]);
}
