//! Written by us; read back by mtools and `fatfs`; `fsck.fat -n` after every publication.

use crate::support::tool;
use volume::{FatTime, FatType};

use super::reading::matrix;
use super::support::{self, Mkfs, TIME};

/// The parts of a volume that no edit may touch: boot sector to the tables, less `FSInfo`.
fn untouchable(image: &[u8], volume: &volume::Geometry) -> Vec<u8> {
    let end = usize::try_from(volume.fat_offset_bytes).unwrap();
    let mut reserved = image[..end].to_vec();
    if let Some(at) = volume.fs_info_offset_bytes {
        let at = usize::try_from(at).unwrap();
        reserved[at..at + 512].fill(0);
    }
    reserved
}

fn head(image: &std::path::Path) -> Vec<u8> {
    let volume = support::open(image);
    let mut head = vec![0; usize::try_from(volume.geometry().fat_offset_bytes).unwrap()];
    volume::ReadAt::read_at(volume.device(), 0, &mut head).unwrap();
    untouchable(&head, volume.geometry())
}

#[test]
fn what_we_write_is_read_by_mtools_and_fatfs() {
    for mkfs in matrix() {
        let (_folder, image) = support::made(mkfs);
        let before = head(&image);
        let cluster = usize::try_from(mkfs.cluster_bytes.unwrap()).unwrap();
        let files = [
            ("EMPTY.TXT", 0),
            ("one byte.txt", 1),
            ("prompt.response.txt", cluster),
            ("folder/prompt.response.txt", cluster + 1),
            ("folder/größe in 日本語.response-2.txt", 3 * cluster - 1),
        ];
        support::edit(&image, |edit| edit.make_dir("folder", TIME).unwrap());
        support::fsck(&image);
        for (number, (path, len)) in files.iter().enumerate() {
            let content = support::content(number as u64, *len);
            support::edit(&image, |edit| edit.create(path, &content, TIME).unwrap());
            support::fsck(&image);
        }
        support::edit(&image, |edit| {
            edit.replace("one byte.txt", b"two", TIME).unwrap();
        });
        support::fsck(&image);
        check(&image, mkfs, &files);
        assert_eq!(head(&image), before, "{mkfs:?}");
    }
}

fn check(image: &std::path::Path, mkfs: Mkfs, files: &[(&str, usize)]) {
    assert_eq!(support::our_paths(image), support::mdir(image), "{mkfs:?}");
    for (number, (path, len)) in files.iter().enumerate() {
        let replaced = *path == "one byte.txt";
        let expected = if replaced {
            b"two".to_vec()
        } else {
            support::content(number as u64, *len)
        };
        assert!(
            support::our_read(image, path) == expected,
            "{mkfs:?} {path}"
        );
        assert!(
            support::mtype(image, path) == expected,
            "mtools, {mkfs:?} {path}"
        );
        assert!(
            support::fatfs_read(image, path) == expected,
            "fatfs, {mkfs:?} {path}"
        );
    }
}

#[test]
fn on_one_allocation_table_too() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("one.img");
    std::fs::File::create(&image)
        .unwrap()
        .set_len(8 << 20)
        .unwrap();
    let mut mkfs = tool::command("mkfs.fat");
    tool::expect(mkfs.args(["-F", "16", "-f", "1", "-s", "2"]).arg(&image));
    support::edit(&image, |edit| {
        edit.create("a file.txt", b"content", TIME).unwrap();
    });
    support::fsck(&image);
    assert_eq!(support::our_read(&image, "a file.txt"), b"content");
    assert_eq!(support::mtype(&image, "a file.txt"), b"content");
}

#[test]
fn names_of_every_kind_are_read_back_by_mtools() {
    let (_folder, image) = support::made(Mkfs {
        mib: 40,
        ..Mkfs::FAT32
    });
    let longest = "x".repeat(251) + ".txt";
    let names = [
        "README.TXT",
        "lower.txt",
        "Mixed.Txt",
        "two.dots.txt",
        "no extension",
        ".leading dot",
        "{braces}+plus,comma;semi=eq.txt",
        "ends in thirteen",
        "exactly13char",
        "Ελληνικά.txt",
        "Кириллица.txt",
        "中文文件名.txt",
        "~tilde~1.txt",
        "LONGNA~1.TXT",
        "long name.txt",
        &longest,
    ];
    support::edit(&image, |edit| {
        for (number, name) in names.iter().enumerate() {
            edit.create(name, &support::content(number as u64, 700), TIME)
                .unwrap();
        }
    });
    support::fsck(&image);
    assert_eq!(support::our_paths(&image), support::mdir(&image));
    for (number, name) in names.iter().enumerate() {
        assert!(
            support::mtype(&image, name) == support::content(number as u64, 700),
            "{name}"
        );
    }
    let volume = support::open(&image);
    let mut shorts: Vec<String> = volume
        .list("")
        .unwrap()
        .into_iter()
        .map(|entry| entry.short_name)
        .collect();
    shorts.sort();
    shorts.dedup();
    assert_eq!(
        shorts.len(),
        names.len(),
        "short names are unique: {shorts:?}"
    );
}

#[test]
fn surrogate_pairs_are_read_back_by_fatfs() {
    let (_folder, image) = support::made(Mkfs {
        mib: 40,
        ..Mkfs::FAT32
    });
    let name = "What is 🎈 in 𝕌nicode?".replace('?', "") + ".txt";
    support::edit(&image, |edit| {
        edit.create(&name, b"a balloon", TIME).unwrap();
    });
    support::fsck(&image);
    assert_eq!(support::fatfs_read(&image, &name), b"a balloon");
    assert_eq!(support::our_paths(&image), [name]);
}

#[test]
fn times_are_what_was_passed() {
    let (_folder, image) = support::made(Mkfs::FAT16);
    let later = FatTime::after([TIME]);
    support::edit(&image, |edit| {
        edit.make_dir("folder", TIME).unwrap();
        edit.create("folder/a.txt", b"first", TIME).unwrap();
        edit.replace("folder/a.txt", b"second", later).unwrap();
    });
    let entry = support::open(&image).find("folder/a.txt").unwrap().unwrap();
    assert_eq!((entry.created, entry.modified), (TIME, later));
    let system = support::fatfs_open(&image);
    let seen = system.root_dir().open_dir("folder").unwrap().iter();
    let seen = seen
        .map(Result::unwrap)
        .find(|entry| entry.file_name() == "a.txt")
        .unwrap();
    let modified = seen.modified();
    assert_eq!(
        (modified.date.year, modified.date.month, modified.date.day),
        (2024, 5, 6)
    );
    assert_eq!(
        (modified.time.hour, modified.time.min, modified.time.sec),
        (7, 8, 12)
    );
}

#[test]
fn fs_info_is_kept_only_where_it_was_plausible() {
    let (_folder, image) = support::made(Mkfs {
        mib: 40,
        ..Mkfs::FAT32
    });
    let at = support::open(&image)
        .geometry()
        .fs_info_offset_bytes
        .unwrap();
    let field = |image: &std::path::Path, offset: u64| {
        let mut field = [0; 4];
        let volume = support::open(image);
        volume::ReadAt::read_at(volume.device(), at + offset, &mut field).unwrap();
        u32::from_le_bytes(field)
    };
    assert_eq!(support::open(&image).geometry().fat_type, FatType::Fat32);
    let free = field(&image, 488);
    support::edit(&image, |edit| {
        edit.create("a.txt", &[1; 1025], TIME).unwrap();
    });
    assert_eq!(field(&image, 488), free - 3);
    support::edit(&image, |edit| edit.replace("a.txt", &[1; 1], TIME).unwrap());
    assert_eq!(field(&image, 488), free - 1);
    support::fsck(&image);
    for implausible in [u32::MAX, 0xFFFF_0000] {
        let mut device = volume::ImageFile::open_read_write(&image).unwrap();
        let bytes = implausible.to_le_bytes();
        volume::WriteAt::write_at(&mut device, at + 488, &bytes).unwrap();
        let name = format!("{implausible:x}.txt");
        support::edit(&image, |edit| edit.create(&name, b"x", TIME).unwrap());
        assert_eq!(field(&image, 488), implausible);
    }
}
