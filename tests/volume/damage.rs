//! Thousands of damaged images: no panic, no hang, and never more reads than the specification's
//! bound (docs/SPEC.md section 1). A failure prints the seed that replays it.

use volume::testing::{CountingDevice, PatchedDevice, Random};
use volume::{Geometry, MAX_DIR_SLOTS, MAX_TREE_FOLDERS, MAX_TREE_SLOTS, ReadError, Volume};

use super::support::{self, Mkfs, TIME};

const IMAGES_A_KIND: u64 = 6000;
/// Longest read that anything does.
const MAX_READ_BYTES: usize = 64 * 1024;

/// The bounds of the specification, for one volume.
struct Bounds {
    cluster_bytes: u64,
    clusters: u64,
    piece_bytes: u64,
    table_bytes: u64,
}

impl Bounds {
    const OPEN: u64 = 17;

    fn of(geometry: &Geometry) -> Self {
        let cluster_bytes = u64::from(geometry.cluster_bytes);
        Self {
            cluster_bytes,
            clusters: u64::from(geometry.clusters),
            piece_bytes: cluster_bytes.min(4096),
            table_bytes: geometry.fat_bytes,
        }
    }

    fn folder(&self) -> u64 {
        let bytes = u64::from(MAX_DIR_SLOTS) * 32;
        bytes.div_ceil(self.piece_bytes) + bytes.div_ceil(self.cluster_bytes) + 2
    }

    fn scan(&self) -> u64 {
        self.table_bytes.div_ceil(64 * 1024)
    }

    fn read(&self, len_bytes: u64) -> u64 {
        2 * len_bytes.div_ceil(self.cluster_bytes)
    }

    fn tree(&self) -> u64 {
        let slots = u64::from(MAX_TREE_SLOTS) + u64::from(MAX_DIR_SLOTS);
        2 * ((slots * 32).div_ceil(self.piece_bytes) + MAX_TREE_FOLDERS as u64 + 1)
    }

    fn inspect(&self, lens_bytes: &[u64], extents: u64) -> u64 {
        let passes = 1 + 2 * extents / 131_072;
        let most = 3 * self.clusters;
        let clusters = lens_bytes
            .iter()
            .map(|len| len.div_ceil(self.cluster_bytes));
        let followed: u64 = clusters.clone().map(|count| count + 1).sum();
        let tail = (1_u64 << 20).div_ceil(self.cluster_bytes) + 1;
        let searched: u64 = clusters.map(|count| count.min(tail)).sum();
        3 * followed.min(most + lens_bytes.len() as u64)
            + searched.min(most)
            + passes * (self.scan() + self.tree())
    }
}

/// Something of everything that a volume can hold.
fn sample(mkfs: Mkfs) -> Vec<u8> {
    let mut image = support::in_memory(mkfs);
    support::edit_bytes(&mut image, |edit| {
        edit.make_dir("prompts", TIME).unwrap();
        edit.make_dir("prompts/a folder with a long name", TIME)
            .unwrap();
        for number in 0..40_u64 {
            let folder =
                ["", "prompts/", "prompts/a folder with a long name/"][number as usize % 3];
            let path = format!("{folder}question number {number} of forty.txt");
            let len = usize::try_from(number * number * 7).unwrap();
            edit.create(&path, &support::content(number, len), TIME)
                .unwrap();
        }
    });
    image
}

/// Offsets worth damaging, more of those that matter more.
fn place(random: &mut Random, geometry: &Geometry) -> u64 {
    let (start, len) = match random.below(8) {
        0..2 => (geometry.partition_offset_bytes, 96),
        2..5 => (geometry.fat_offset_bytes, 2 * 400),
        5 => (geometry.fat_offset_bytes + geometry.fat_bytes, 2 * 400),
        // The root and the first folders' clusters.
        _ => match geometry.root {
            volume::Root::Fixed { offset_bytes, .. } => (offset_bytes, 20_000),
            volume::Root::Chain { .. } => (geometry.data_offset_bytes, 20_000),
        },
    };
    start + random.below(len) as u64
}

fn damage<'a>(image: &'a [u8], geometry: &Geometry, random: &mut Random) -> PatchedDevice<'a> {
    let mut device = PatchedDevice::new(image);
    for _ in 0..=random.below(12) {
        let at = place(random, geometry);
        let byte = match random.below(3) {
            0 => random.byte(),
            1 => [0, 1, 2, 0x0F, 0x10, 0x40, 0x7F, 0x80, 0xE5, 0xF8, 0xFF][random.below(11)],
            // A small cluster number, which makes loops and cross-links.
            _ => u8::try_from(2 + random.below(60)).unwrap(),
        };
        device.patch(at, byte);
    }
    if random.below(50) == 0 {
        device.truncate(random.below(image.len()));
    }
    device
}

/// Uses all of a damaged image; each step within its bound.
fn use_all(device: &CountingDevice<PatchedDevice<'_>>) {
    let within = |what: &str, bound: u64| {
        let reads = device.take_reads();
        assert!(
            reads <= bound,
            "{what}: {reads} reads, the bound is {bound}"
        );
    };
    let opened = Volume::open(device);
    within("open", Bounds::OPEN);
    let Ok(volume) = opened else { return };
    let bounds = Bounds::of(volume.geometry());
    let _ = volume.label();
    within("label", bounds.folder());
    let _ = volume.dirty_marks();
    within("dirty marks", 2);
    let _ = volume.free_bytes();
    within("free space", bounds.scan());
    let mut entries = Vec::new();
    for (depth, folder) in ["", "prompts", "prompts/a folder with a long name"]
        .iter()
        .enumerate()
    {
        if let Ok(found) = volume.list(folder) {
            entries.extend(found);
        }
        within("list", (depth as u64 + 1) * bounds.folder());
    }
    let _ = volume.find("prompts/a folder with a long name/question number 2 of forty.txt");
    within("find", 3 * bounds.folder());
    for entry in entries.iter().take(20) {
        if let Ok(content) = volume.read(entry, 1 << 20) {
            assert_eq!(content.len() as u64, u64::from(entry.len_bytes));
        }
        within("read", bounds.read(u64::from(entry.len_bytes).min(1 << 20)));
    }
    inspect(&volume, &entries, &bounds, device);
    edit(&volume);
}

fn inspect(
    volume: &Volume<&CountingDevice<PatchedDevice<'_>>>,
    entries: &[volume::Entry],
    bounds: &Bounds,
    device: &CountingDevice<PatchedDevice<'_>>,
) {
    device.take_reads();
    let lens: Vec<u64> = entries
        .iter()
        .map(|entry| match entry.is_dir() {
            true => u64::from(MAX_DIR_SLOTS) * 32,
            false => u64::from(entry.len_bytes),
        })
        .collect();
    match volume.inspect(entries) {
        Ok(inspections) => {
            let pieces: usize = inspections.iter().map(|i| i.pieces).sum();
            let bound = bounds.inspect(&lens, pieces as u64);
            let reads = device.take_reads();
            assert!(
                reads <= bound,
                "inspect: {reads} reads, the bound is {bound}"
            );
        }
        Err(ReadError::Io(_) | ReadError::TreeTooLarge) => {}
        Err(error) => panic!("{error}"),
    }
}

/// An edit of a damaged volume is refused or not, but never harms a file that it does not name.
fn edit(volume: &Volume<&CountingDevice<PatchedDevice<'_>>>) {
    let mut edit = volume.edit();
    let _ = edit.create("prompts/a new response.txt", &[b'x'; 3000], TIME);
    let _ = edit.make_dir("prompts/new folder", TIME);
    let _ = edit.replace("question number 3 of forty.txt", b"other", TIME);
    let _ = edit.finish();
}

fn run(mkfs: Mkfs) {
    let image = sample(mkfs);
    let geometry = Volume::open(&image).unwrap().geometry().clone();
    for seed in 0..IMAGES_A_KIND {
        let outcome = std::panic::catch_unwind(|| {
            let mut random = Random::new(seed);
            let device = CountingDevice::new(damage(&image, &geometry, &mut random));
            use_all(&device);
            assert!(device.longest_bytes() <= MAX_READ_BYTES);
        });
        assert!(outcome.is_ok(), "replay with seed {seed} of {mkfs:?}");
    }
}

#[test]
fn damaged_fat16_volumes() {
    run(Mkfs {
        mib: 4,
        cluster_bytes: Some(512),
        ..Mkfs::FAT16
    });
}

#[test]
fn damaged_fat32_volumes() {
    run(Mkfs {
        mib: 2,
        ..Mkfs::FAT32
    });
}

#[test]
fn a_tree_that_contains_itself_ends() {
    for mkfs in [Mkfs::FAT16, Mkfs::FAT32] {
        let mut image = support::in_memory(mkfs);
        support::edit_bytes(&mut image, |edit| {
            edit.make_dir("a", TIME).unwrap();
            for number in 0..10 {
                edit.make_dir(&format!("a/{number}"), TIME).unwrap();
            }
            edit.create("file.txt", b"x", TIME).unwrap();
        });
        let slots: Vec<u64> = {
            let volume = Volume::open(&image).unwrap();
            volume
                .list("a")
                .unwrap()
                .iter()
                .map(|entry| entry.slot_offset_bytes)
                .collect()
        };
        let first = Volume::open(&image)
            .unwrap()
            .find("a")
            .unwrap()
            .unwrap()
            .first_cluster;
        for slot in slots {
            volume::WriteAt::write_at(&mut image, slot + 26, &first.to_le_bytes()[..2]).unwrap();
        }
        let device = CountingDevice::new(&image);
        let volume = Volume::open(&device).unwrap();
        let file = volume.find("file.txt").unwrap().unwrap();
        device.take_reads();
        assert!(volume.inspect(&[file]).unwrap()[0].is_consistent());
        assert!(device.take_reads() < 100);
        // A path may go round in it, up to its bound.
        assert!(
            volume
                .find(&format!("a/{}", "1/".repeat(120)))
                .unwrap()
                .is_some()
        );
    }
}

#[test]
fn a_folder_without_end_is_refused() {
    for mkfs in [Mkfs::FAT16, Mkfs::FAT32] {
        let mut image = support::in_memory(mkfs);
        let names: Vec<String> = (0..200).map(|number| format!("ask/{number}.txt")).collect();
        support::edit_bytes(&mut image, |edit| {
            edit.make_dir("ask", TIME).unwrap();
            names
                .iter()
                .for_each(|name| edit.create(name, b"", TIME).unwrap());
        });
        let (geometry, folder) = {
            let volume = Volume::open(&image).unwrap();
            (
                volume.geometry().clone(),
                volume.find("ask").unwrap().unwrap(),
            )
        };
        let last = support::last_cluster(&image, &geometry, folder.first_cluster);
        // Fill the end mark with entries, then lead back to the start.
        let offset = geometry.cluster_offset(last).unwrap();
        let full = [0xE5].repeat(usize::try_from(geometry.cluster_bytes).unwrap());
        volume::WriteAt::write_at(&mut image, offset, &full).unwrap();
        support::set_table_entry(&mut image, &geometry, last, folder.first_cluster);
        let device = CountingDevice::new(&image);
        let volume = Volume::open(&device).unwrap();
        let error = volume.list("ask").unwrap_err();
        assert!(
            matches!(error, ReadError::Chain { .. } | ReadError::FolderTooLong),
            "{error}"
        );
        let mut edit = volume.edit();
        assert!(edit.create("ask/new.txt", b"", TIME).is_err());
        assert!(edit.finish().unwrap().is_empty());
    }
}

#[test]
fn a_size_of_4_gib_costs_nothing() {
    let mut image = sample(Mkfs::FAT16);
    let entry = {
        let volume = Volume::open(&image).unwrap();
        volume
            .find("question number 3 of forty.txt")
            .unwrap()
            .unwrap()
    };
    volume::WriteAt::write_at(&mut image, entry.slot_offset_bytes + 28, &[0xFF; 4]).unwrap();
    let device = CountingDevice::new(&image);
    let volume = Volume::open(&device).unwrap();
    let entry = volume
        .find("question number 3 of forty.txt")
        .unwrap()
        .unwrap();
    device.take_reads();
    let read = volume.read(&entry, u64::MAX);
    assert!(matches!(read, Err(ReadError::Chain { .. })));
    assert!(device.take_reads() < 10);
    let read = volume.read(&entry, 1 << 20);
    assert!(matches!(
        read,
        Err(ReadError::TooLarge {
            limit_bytes: 1_048_576,
            ..
        })
    ));
    assert_eq!(device.take_reads(), 0);
}
