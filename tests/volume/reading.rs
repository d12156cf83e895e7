//! Volumes made by `mkfs.fat` in every size of sector and cluster, filled by mtools and by
//! `fatfs`, read by us.

use volume::Volume;

use super::support::{self, KIB, Mkfs};

/// FAT16 in every cluster size, and each sector size.
pub const FAT16: [(u64, u32, u32); 12] = [
    // MiB, sector, cluster
    (3, 512, 512),
    (8, 512, 1024),
    (16, 512, 2048),
    (32, 512, 4096),
    (64, 512, 8192),
    (128, 512, 16_384),
    (256, 512, 32_768),
    (512, 512, 65_536),
    (8, 1024, 1024),
    (64, 2048, 8192),
    (32, 4096, 4096),
    (512, 4096, 65_536),
];

/// FAT32, with as many clusters as the specification wants.
pub const FAT32: [(u64, u32, u32); 8] = [
    (40, 512, 512),
    (80, 1024, 1024),
    (160, 2048, 2048),
    (300, 512, 4096),
    (300, 4096, 4096),
    (1200, 512, 16_384),
    (2300, 512, 32_768),
    (4500, 4096, 65_536),
];

/// All of them.
pub fn matrix() -> impl Iterator<Item = Mkfs> {
    let of = |fat| {
        move |(mib, sector_bytes, cluster_bytes)| Mkfs {
            fat,
            mib,
            sector_bytes,
            cluster_bytes: Some(cluster_bytes),
        }
    };
    FAT16
        .into_iter()
        .map(of(16))
        .chain(FAT32.into_iter().map(of(32)))
}

#[test]
fn what_mtools_wrote_is_read() {
    for mkfs in matrix() {
        let (_folder, image) = support::made(mkfs);
        let cluster = usize::try_from(mkfs.cluster_bytes.unwrap()).unwrap();
        support::mmd(&image, "folder");
        support::mmd(&image, "folder/A second one with a long name");
        let files = [
            ("EMPTY.TXT", 0),
            ("One byte.txt", 1),
            ("A cluster.bin", cluster),
            ("folder/A cluster and one.bin", cluster + 1),
            (
                "folder/A second one with a long name/the größe.txt",
                3 * cluster - 1,
            ),
            ("folder/A second one with a long name/日本語の質問.txt", 100),
        ];
        for (number, (path, len)) in files.iter().enumerate() {
            support::mcopy_in(&image, &support::content(number as u64, *len), path);
        }
        support::fsck(&image);
        assert_eq!(
            support::our_paths(&image),
            support::mdir(&image),
            "{mkfs:?}"
        );
        for (number, (path, len)) in files.iter().enumerate() {
            let expected = support::content(number as u64, *len);
            assert!(
                support::our_read(&image, path) == expected,
                "{mkfs:?} {path}"
            );
        }
        let volume = support::open(&image);
        assert_eq!(volume.serial(), 0x1234_ABCD);
        assert_eq!(volume.label().unwrap().as_deref(), Some("JUDGED"));
        assert_eq!(volume.geometry().cluster_bytes, mkfs.cluster_bytes.unwrap());
        assert_eq!(volume.geometry().sector_bytes, mkfs.sector_bytes);
        assert!(volume.dirty_marks().unwrap().is_clean());
    }
}

#[test]
fn what_fatfs_wrote_is_read() {
    for mkfs in matrix() {
        let (_folder, image) = support::made(mkfs);
        let cluster = usize::try_from(mkfs.cluster_bytes.unwrap()).unwrap();
        support::fatfs_open(&image)
            .root_dir()
            .create_dir("Some folder")
            .unwrap();
        let files = [
            ("short.txt", cluster + 1),
            ("Some folder/Ünïcödé name.text", 2 * cluster),
        ];
        for (number, (path, len)) in files.iter().enumerate() {
            support::fatfs_write(&image, path, &support::content(number as u64, *len));
        }
        // `fatfs` 0.3.6 gives `.` and `..` long names, which `fsck.fat` does not like.
        let mut expected = vec!["Some folder"];
        expected.extend(files.map(|(path, _)| path));
        expected.sort_unstable();
        assert_eq!(support::our_paths(&image), expected, "{mkfs:?}");
        for (number, (path, len)) in files.iter().enumerate() {
            let expected = support::content(number as u64, *len);
            assert!(
                support::our_read(&image, path) == expected,
                "{mkfs:?} {path}"
            );
        }
    }
}

#[test]
fn free_space_is_what_fatfs_counts() {
    for mkfs in [
        Mkfs::FAT16,
        Mkfs {
            mib: 40,
            ..Mkfs::FAT32
        },
    ] {
        let (_folder, image) = support::made(mkfs);
        support::mcopy_in(&image, &support::content(1, 100 * KIB), "some.bin");
        let system = support::fatfs_open(&image);
        let stats = system.stats().unwrap();
        let expected = u64::from(stats.free_clusters()) * u64::from(stats.cluster_size());
        assert_eq!(support::open(&image).free_bytes().unwrap(), expected);
    }
}

#[test]
fn deep_folders_are_followed() {
    let (_folder, image) = support::made(Mkfs::FAT16);
    let mut path = String::new();
    for depth in 0..60 {
        path = if depth == 0 {
            "d0".to_owned()
        } else {
            format!("{path}/d{depth}")
        };
        support::mmd(&image, &path);
    }
    support::mcopy_in(&image, b"found", &format!("{path}/deep.txt"));
    assert_eq!(
        support::our_read(&image, &format!("{path}/deep.txt")),
        b"found"
    );
    let too_deep = "a/".repeat(131);
    assert!(matches!(
        support::open(&image).find(&too_deep),
        Err(volume::ReadError::PathTooDeep)
    ));
}

/// Makes a folder of ten thousand files from the slots of a hundred folders of a hundred: making
/// them one by one takes a minute, in mtools too.
fn make_ten_thousand(image: &mut Vec<u8>) {
    let mut slots = Vec::new();
    for folder in 0..100 {
        let mut scratch = image.clone();
        support::edit_bytes(&mut scratch, |edit| {
            edit.make_dir("many", support::TIME).unwrap();
            for file in 0..100 {
                let name = format!("many/file{folder:02}{file:02}.txt");
                edit.create(&name, b"", support::TIME).unwrap();
            }
        });
        let volume = Volume::open(&scratch).unwrap();
        let folder_entry = volume.find("many").unwrap().unwrap();
        let offset = volume
            .geometry()
            .cluster_offset(folder_entry.first_cluster)
            .unwrap();
        let start = usize::try_from(offset).unwrap();
        // A hundred files of two slots fit in one cluster, after `.` and `..`.
        slots.extend_from_slice(&scratch[start + 64..start + 64 + 100 * 64]);
    }
    support::edit_bytes(image, |edit| {
        edit.create("many", &[&[0; 64], &slots[..]].concat(), support::TIME)
            .unwrap();
    });
    let (entry, geometry) = {
        let volume = Volume::open(&*image).unwrap();
        (
            volume.find("many").unwrap().unwrap(),
            volume.geometry().clone(),
        )
    };
    let at = usize::try_from(entry.slot_offset_bytes).unwrap();
    image[at + 11] = 0x10;
    image[at + 28..at + 32].fill(0);
    let start = usize::try_from(geometry.cluster_offset(entry.first_cluster).unwrap()).unwrap();
    for (number, name) in [b".          ", b"..         "].into_iter().enumerate() {
        let slot = &mut image[start + number * 32..start + number * 32 + 32];
        slot[..11].copy_from_slice(name);
        slot[11] = 0x10;
    }
    image[start + 26..start + 28].copy_from_slice(&entry.first_cluster.to_le_bytes()[..2]);
}

#[test]
fn ten_thousand_entries_in_a_folder() {
    let (_folder, path) = support::made(Mkfs {
        mib: 64,
        cluster_bytes: Some(8192),
        ..Mkfs::FAT16
    });
    let mut image = support::bytes(&path);
    make_ten_thousand(&mut image);
    std::fs::write(&path, image).unwrap();
    support::edit(&path, |edit| {
        edit.create("many/ours.txt", b"x", support::TIME).unwrap();
    });
    support::fsck(&path);
    assert_eq!(support::our_paths(&path), support::mdir(&path));
    let volume = support::open(&path);
    assert_eq!(volume.list("many").unwrap().len(), 10_001);
    assert!(volume.find("MANY/File9999.TXT").unwrap().is_some());
    assert!(volume.find("many/file10000.txt").unwrap().is_none());
}
