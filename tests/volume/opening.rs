//! What is not a FAT16 or FAT32 volume is refused with words that say what to do; the marks of
//! each host are told apart.

use crate::support::tool;
use volume::testing::PatchedDevice;
use volume::{DirtyMarks, FatType, FormatOptions, OpenError, Volume, WriteAt};

use super::support::{self, Mkfs, TIME};

fn refusal(image: &Vec<u8>) -> OpenError {
    let error = Volume::open(image).map(|_| ()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("format"), "the text says what to do: {text}");
    error
}

#[test]
fn blank_and_foreign_images() {
    assert!(matches!(refusal(&Vec::new()), OpenError::Blank));
    assert!(matches!(refusal(&vec![0; 1 << 20]), OpenError::Blank));
    assert!(matches!(
        refusal(&vec![0x55; 1 << 20]),
        OpenError::NoFileSystem
    ));
    assert!(matches!(
        refusal(&vec![0; 100]),
        OpenError::Truncated {
            needed_bytes: 512,
            ..
        }
    ));
    for (oem, name) in [(b"EXFAT   ", "exFAT"), (b"NTFS    ", "NTFS")] {
        let mut image = vec![0; 1 << 20];
        image[..3].copy_from_slice(&[0xEB, 0x76, 0x90]);
        image[3..11].copy_from_slice(oem);
        image[510..512].copy_from_slice(&[0x55, 0xAA]);
        assert!(refusal(&image).to_string().contains(name));
        // The same inside a partition, as sticks are sold.
        let mut disk = table(0x07, 8, 2040);
        disk.resize(8 * 512, 0);
        disk.extend_from_slice(&image);
        assert!(refusal(&disk).to_string().contains(name));
    }
}

/// A first sector with one partition.
fn table(kind: u8, first: u32, sectors: u32) -> Vec<u8> {
    let mut sector = vec![0; 512];
    sector[446 + 4] = kind;
    sector[446 + 8..446 + 12].copy_from_slice(&first.to_le_bytes());
    sector[446 + 12..446 + 16].copy_from_slice(&sectors.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
    sector
}

#[test]
fn fat12_is_refused() {
    let (_folder, image) = support::made(Mkfs {
        fat: 12,
        mib: 2,
        ..Mkfs::FAT16
    });
    let error = refusal(&support::bytes(&image));
    assert!(
        matches!(error, OpenError::Fat12 { clusters: 1..4085 }),
        "{error}"
    );
}

#[test]
fn a_gpt_disk_is_refused() {
    let mut disk = table(0xEE, 1, u32::MAX);
    disk.resize(1 << 20, 0);
    assert!(matches!(refusal(&disk), OpenError::OnlyGpt));
}

#[test]
fn every_truncation_of_a_volume_is_an_error() {
    for partitioned in [false, true] {
        let mut image = vec![0; 6 << 20];
        let options = FormatOptions {
            partitioned,
            ..FormatOptions::default()
        };
        volume::format(&mut image, &options).unwrap();
        for len in (0..image.len()).step_by(77_777).chain([image.len() - 1]) {
            let mut device = PatchedDevice::new(&image);
            device.truncate(len);
            assert!(Volume::open(&device).is_err(), "{len}");
        }
        let cut = image[..image.len() - 512].to_vec();
        assert!(matches!(refusal(&cut), OpenError::Truncated { .. }));
    }
}

#[test]
fn partitions_made_elsewhere_are_found() {
    for (unit, fat, sectors_per_cluster) in [(512_u64, 16, "4"), (512, 32, "1"), (4096, 16, "1")] {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("disk.img");
        let first = 2048 * 512 / unit;
        let bytes: u64 = 48 << 20;
        let sectors = bytes / unit - first;
        let mut disk = std::fs::File::create(&image).unwrap();
        disk.set_len(bytes).unwrap();
        let kind = if fat == 16 { 0x06 } else { 0x0B };
        let sector = table(
            kind,
            u32::try_from(first).unwrap(),
            u32::try_from(sectors).unwrap(),
        );
        std::io::Write::write_all(&mut disk, &sector).unwrap();
        let mut mkfs = tool::command("mkfs.fat");
        mkfs.args(["-F", &fat.to_string(), "-S", &unit.to_string()]);
        mkfs.args(["-s", sectors_per_cluster, "--offset", &first.to_string()])
            .arg(&image);
        tool::expect(mkfs.arg((sectors * unit / 1024).to_string()));
        assert_eq!(
            support::open(&image).geometry().partition_offset_bytes,
            1 << 20
        );
        support::edit(&image, |edit| {
            edit.create("in a partition.txt", b"x", TIME).unwrap();
        });
        support::fsck_at(&image, 1 << 20);
        assert_eq!(support::our_read(&image, "in a partition.txt"), b"x");
    }
}

#[test]
fn the_marks_of_each_host() {
    for mkfs in [Mkfs::FAT16, Mkfs::FAT32] {
        let mut image = support::in_memory(mkfs);
        let geometry = Volume::open(&image).unwrap().geometry().clone();
        let marks = |image: &Vec<u8>| Volume::open(image).unwrap().dirty_marks().unwrap();
        assert!(marks(&image).is_clean());
        let (state_at, clean, no_error) = match geometry.fat_type {
            FatType::Fat16 => (0x25, 0x8000, 0x4000),
            FatType::Fat32 => (0x41, 0x0800_0000, 0x0400_0000),
        };
        let all = support::end_mark(&geometry);
        // Linux: the boot sector alone.
        image.write_at(state_at, &[1]).unwrap();
        let linux = DirtyMarks {
            boot_sector: true,
            ..DirtyMarks::default()
        };
        assert_eq!(marks(&image), linux);
        // Windows: both.
        support::set_table_entry(&mut image, &geometry, 1, all & !clean);
        assert_eq!(
            marks(&image),
            DirtyMarks {
                fat_entry: true,
                ..linux
            }
        );
        // macOS: the table alone.
        image.write_at(state_at, &[0]).unwrap();
        let mac = DirtyMarks {
            fat_entry: true,
            ..DirtyMarks::default()
        };
        assert_eq!(marks(&image), mac);
        support::set_table_entry(&mut image, &geometry, 1, all & !no_error);
        assert_eq!(
            marks(&image),
            DirtyMarks {
                io_error: true,
                ..DirtyMarks::default()
            }
        );
    }
}

#[test]
fn the_root_directory_names_the_volume() {
    let (_folder, image) = support::made(Mkfs::FAT16);
    tool::expect(
        tool::command("mlabel")
            .arg("-i")
            .arg(&image)
            .arg("::NEW NAME"),
    );
    let mut image = support::bytes(&image);
    // mlabel writes both; put something else into the boot sector.
    image.write_at(43, b"BOOT LABEL ").unwrap();
    assert_eq!(
        Volume::open(&image).unwrap().label().unwrap().as_deref(),
        Some("NEW NAME")
    );
    let geometry = Volume::open(&image).unwrap().geometry().clone();
    let volume::Root::Fixed { offset_bytes, .. } = geometry.root else {
        panic!("FAT16")
    };
    image.write_at(offset_bytes, &[0xE5]).unwrap();
    assert_eq!(
        Volume::open(&image).unwrap().label().unwrap().as_deref(),
        Some("BOOT LABEL")
    );
    image.write_at(43, b"NO NAME    ").unwrap();
    assert_eq!(Volume::open(&image).unwrap().label().unwrap(), None);
}
