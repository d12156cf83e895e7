//! The volume that only grows: random additions never change what was visible before, and the
//! judges find each state whole. `proptest` prints the smallest failing sequence.

use std::fs;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};
use volume::testing::PagedImage;
use volume::{GrowingVolume, NewFile, ReadAt, Room, Root, Volume, WriteAt};

use super::support::{self, KIB, TIME};

const LABEL: &str = "ANSWERS";
const SERIAL: u32 = 0x1234_5678;
/// What the program uses for ANSWERS.
const IMAGE_BYTES: usize = 16 * KIB * KIB;
const CLUSTER_BYTES: u32 = 2048;
const ROOT_SLOTS: u16 = 2048;
const SLOT_BYTES: usize = 32;

fn blank() -> PagedImage {
    PagedImage::from(vec![0; IMAGE_BYTES].as_slice())
}

fn bytes(image: &impl ReadAt) -> Vec<u8> {
    let mut bytes = vec![0; image.len() as usize];
    image.read_at(0, &mut bytes).unwrap();
    bytes
}

/// One that is full soon, for what happens then: the smallest FAT16, with a root of one sector.
fn small(device: &mut PagedImage) -> GrowingVolume<&mut PagedImage> {
    GrowingVolume::create(device, LABEL, SERIAL, 512, 16).unwrap()
}

fn fresh(device: &mut PagedImage) -> GrowingVolume<&mut PagedImage> {
    GrowingVolume::create(device, LABEL, SERIAL, CLUSTER_BYTES, ROOT_SLOTS).unwrap()
}

fn file<'a>(name: &'a str, content: &'a [u8]) -> NewFile<'a> {
    NewFile {
        name,
        content,
        time: TIME,
    }
}

/// What a host could have cached of `before` is the same in `after`.
fn only_grew(before: &[u8], after: &[u8]) -> Result<(), TestCaseError> {
    let volume = Volume::open(before.to_vec()).unwrap();
    let geometry = volume.geometry().clone();
    let Root::Fixed { offset_bytes, .. } = geometry.root else {
        panic!("FAT16");
    };
    let (fat, root) = (geometry.fat_offset_bytes as usize, offset_bytes as usize);
    let data = geometry.data_offset_bytes as usize;
    prop_assert_eq!(&before[..fat], &after[..fat], "the boot sector");
    let zero = |record: &[u8]| record.iter().all(|byte| *byte == 0);
    let records = [(fat..root, 2), (root..data, SLOT_BYTES)];
    for (range, record_bytes) in records {
        let old = before[range.clone()].chunks(record_bytes);
        for (old, new) in old.zip(after[range].chunks(record_bytes)) {
            prop_assert!(old == new || zero(old), "{old:?} became {new:?}");
        }
    }
    let table = before[fat..].chunks(2).skip(2);
    let clusters = before[data..].chunks(geometry.cluster_bytes as usize);
    let new_clusters = after[data..].chunks(geometry.cluster_bytes as usize);
    for (entry, (old, new)) in table.zip(clusters.zip(new_clusters)) {
        prop_assert!(old == new || zero(entry), "a cluster in use was written");
    }
    Ok(())
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{1,2}\\.response\\.txt",
        "[AB]{1,2}\\.(TXT|txt)",
        "STATUS-000[1-5]\\.TXT",
        "PROMPT~[12]\\.TXT",
        "prompt number [1-3]\\.(response|error)(-[2-4])?\\.txt",
        "[äöÄÖ日ж🎈]{1,9}\\.response\\.txt",
        "[x-z]{240}\\.response\\.tx",
    ]
}

fn additions() -> impl Strategy<Value = Vec<Vec<(String, Vec<u8>)>>> {
    let len = prop_oneof![Just(0_usize), 1..600_usize, 1..9000_usize];
    let content = (any::<u8>(), len).prop_map(|(byte, len)| vec![byte; len]);
    let addition = prop::collection::vec((name(), content), 0..4);
    prop::collection::vec(addition, 1..8)
}

/// All is there that was added, under the names that were given, which differ in every way.
fn holds(image: &PagedImage, added: &[(String, Vec<u8>)]) -> Result<(), TestCaseError> {
    let volume = Volume::open(image.clone()).unwrap();
    let entries = volume.list("").unwrap();
    prop_assert_eq!(entries.len(), added.len());
    let mut spoken_for = std::collections::HashSet::new();
    for (entry, (name, content)) in entries.iter().zip(added) {
        prop_assert_eq!(&entry.name, name);
        prop_assert_eq!(&volume.read(entry, u64::MAX).unwrap(), content);
        let long = entry.name.to_uppercase();
        prop_assert!(spoken_for.insert(entry.short_name.clone()));
        prop_assert!(long == entry.short_name || spoken_for.insert(long));
    }
    Ok(())
}

#[test]
fn random_additions_change_nothing_that_was_visible() {
    let config = Config {
        cases: 48,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..Config::default()
    };
    proptest!(config, |(additions in additions())| {
        let mut device = blank();
        fresh(&mut device);
        let mut added = Vec::new();
        for files in additions {
            let before = bytes(&device);
            let files: Vec<NewFile<'_>> =
                files.iter().map(|(name, content)| file(name, content)).collect();
            let mut growing = GrowingVolume::open(&mut device).unwrap();
            let mut room = growing.room().unwrap();
            let names = growing.append(&files).unwrap();
            for file in &files {
                prop_assert!(room.take(file.name, file.content.len() as u64));
            }
            let left = growing.room().unwrap();
            prop_assert!(left.free_bytes == room.free_bytes && left.free_slots >= room.free_slots);
            let contents = files.iter().map(|file| file.content.to_vec());
            added.extend(names.into_iter().zip(contents));
            only_grew(&before, &bytes(&device))?;
            holds(&device, &added)?;
        }
        support::fsck_bytes(&bytes(&device));
    });
}

#[test]
fn the_judges_read_it() {
    let mut device = blank();
    let mut growing = fresh(&mut device);
    for (name, content) in [
        ("poem.response.txt", &b"first"[..]),
        ("poem.response.txt", b"second"),
        ("POEM.RESPONSE.TXT", b"third"),
        ("STATUS-0001.TXT", b"status"),
    ] {
        growing.append(&[file(name, content)]).unwrap();
    }
    let image = tempfile::NamedTempFile::new().unwrap();
    fs::write(image.path(), bytes(&device)).unwrap();
    support::fsck(image.path());
    let expected = [
        ("POEM (3).RESPONSE.TXT", &b"third"[..]),
        ("STATUS-0001.TXT", b"status"),
        ("poem (2).response.txt", b"second"),
        ("poem.response.txt", b"first"),
    ];
    let names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    assert_eq!(support::mdir(image.path()), names);
    for (name, content) in expected {
        assert_eq!(support::mtype(image.path(), name), content);
    }
}

#[test]
fn what_does_not_fit_leaves_it_as_it_was() {
    let mut device = PagedImage::from(vec![0; 2200 * KIB].as_slice());
    let mut growing = small(&mut device);
    assert_eq!(growing.room().unwrap().free_slots, 15, "the label has one");
    growing.append(&[file("A.TXT", b"a")]).unwrap();
    let long = "x".repeat(200);
    let error = growing
        .append(&[file("B.TXT", b"b"), file(&long, b"c")])
        .unwrap_err();
    assert!(error.is_full() && !error.is_fatal(), "{error}");
    let too_much = vec![1; 3 * IMAGE_BYTES / 16];
    let error = growing.append(&[file("B.TXT", &too_much)]).unwrap_err();
    assert!(error.is_full() && !error.is_fatal(), "{error}");
    let error = growing.append(&[file("B?", b"b")]).unwrap_err();
    assert!(!error.is_full() && !error.is_fatal(), "{error}");
    let names: Vec<String> = growing
        .files()
        .unwrap()
        .into_iter()
        .map(|e| e.name)
        .collect();
    assert_eq!(names, ["A.TXT"]);
    GrowingVolume::open(&mut device).unwrap();
}

#[test]
fn room_is_never_counted_too_large() {
    let mut device = PagedImage::from(vec![0; 2200 * KIB].as_slice());
    let mut growing = small(&mut device);
    let mut room: Room = growing.room().unwrap();
    let mut count = 0;
    while room.take("A.TXT", 1) {
        growing.append(&[file("A.TXT", b"a")]).unwrap();
        count += 1;
    }
    assert!(count >= 5, "{count}");
}

/// A write that stops after `writes` sectors.
struct Stopping<'a> {
    image: &'a mut PagedImage,
    writes: usize,
}

impl ReadAt for Stopping<'_> {
    fn len(&self) -> u64 {
        self.image.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        self.image.read_at(offset, buf)
    }
}

impl WriteAt for Stopping<'_> {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.writes = self
            .writes
            .checked_sub(1)
            .ok_or(std::io::ErrorKind::Other)?;
        self.image.write_at(offset, data)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_in_the_midst_of_a_write_sees_whole_files() {
    let mut device = blank();
    fresh(&mut device)
        .append(&[file("old.response.txt", &[1; 5000])])
        .unwrap();
    let content = vec![2; 5000];
    let names: Vec<String> = (0..9)
        .map(|n| format!("new answer {n}.response.txt"))
        .collect();
    let files: Vec<NewFile<'_>> = names.iter().map(|name| file(name, &content)).collect();
    for writes in 0.. {
        let mut cut = device.clone();
        let image = &mut cut;
        let stopped = GrowingVolume::open(Stopping { image, writes })
            .unwrap()
            .append(&files);
        let volume = Volume::open(cut.clone()).unwrap();
        let entries = volume.list("").unwrap();
        assert_eq!(entries[0].name, "old.response.txt");
        for found in volume.inspect(&entries).unwrap() {
            assert_eq!(found.problems, []);
        }
        for (entry, name) in entries[1..].iter().zip(&names) {
            assert_eq!(&entry.name, name);
            assert_eq!(volume.read(entry, u64::MAX).unwrap(), content);
        }
        if stopped.is_ok() {
            assert!(writes > 50, "{writes} writes are too few to be a test");
            assert_eq!(entries.len(), 1 + files.len());
            return;
        }
        assert!(stopped.unwrap_err().is_fatal());
        // What is left is added to only if the cut left no table entry without a file.
        let is_whole = GrowingVolume::open(&mut cut).is_ok();
        assert_eq!(is_whole, only_data(&cut, &device), "after {writes} writes");
    }
}

/// Whether the two differ in content alone, which no table leads to yet.
fn only_data(a: &PagedImage, b: &PagedImage) -> bool {
    let volume = Volume::open(b.clone()).unwrap();
    let data = volume.geometry().data_offset_bytes as usize;
    bytes(a)[..data] == bytes(b)[..data]
}

#[test]
fn what_a_stranger_changed_is_not_added_to() {
    let mut device = blank();
    fresh(&mut device)
        .append(&[file("a.response.txt", b"a")])
        .unwrap();
    let image = tempfile::NamedTempFile::new().unwrap();
    fs::write(image.path(), bytes(&device)).unwrap();
    let opened = |path: &std::path::Path| GrowingVolume::open(fs::read(path).unwrap());
    opened(image.path()).unwrap();
    support::mcopy_in(image.path(), b"b", "B.TXT");
    opened(image.path()).unwrap();
    support::mmd(image.path(), "FOLDER");
    assert!(opened(image.path()).is_err(), "a folder");
    fs::write(image.path(), bytes(&device)).unwrap();
    crate::support::tool::run(
        "mdel",
        [
            "-i".as_ref(),
            image.path().as_os_str(),
            "::a.response.txt".as_ref(),
        ],
    );
    assert!(opened(image.path()).is_err(), "a deleted file");
}
