//! Volumes that we format, judged by `fsck.fat`, mtools and `fatfs`.

use std::path::Path;

use crate::support::tool;
use volume::{FatType, FormatError, FormatOptions, ImageFile, PARTITION_OFFSET_BYTES, Volume};

use super::support::{self, MIB, TIME};

fn options(fat_type: Option<FatType>, cluster_bytes: Option<u32>) -> FormatOptions {
    FormatOptions {
        label: Some("PROMPTSTICK".to_owned()),
        serial: 0xCAFE_0123,
        cluster_bytes,
        fat_type,
        root_slots: None,
        partitioned: false,
    }
}

fn format(image: &Path, bytes: u64, options: &FormatOptions) {
    std::fs::File::create(image)
        .unwrap()
        .set_len(bytes)
        .unwrap();
    volume::format(&mut ImageFile::open_read_write(image).unwrap(), options).unwrap();
}

#[test]
fn the_judges_like_what_we_format() {
    let cases = [
        (5 * MIB, None, None),
        (64 * MIB, None, None),
        (64 * MIB, Some(FatType::Fat32), None),
        (128 * MIB, Some(FatType::Fat16), Some(16_384)),
        (300 * MIB, Some(FatType::Fat32), Some(4096)),
        (512 * MIB, None, None),
        (512 * MIB, Some(FatType::Fat16), Some(65_536)),
        (1024 * MIB, None, None),
        (9 * 1024 * MIB, None, None),
        (32 * 1024 * MIB, None, None),
        (32 * 1024 * MIB, None, Some(65_536)),
    ];
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("formatted.img");
    for (bytes, fat_type, cluster_bytes) in cases {
        for partitioned in [false, true] {
            let options = FormatOptions {
                partitioned,
                ..options(fat_type, cluster_bytes)
            };
            format(&image, bytes, &options);
            judge(&image, &options);
        }
    }
}

fn judge(image: &Path, options: &FormatOptions) {
    let offset_bytes = if options.partitioned {
        PARTITION_OFFSET_BYTES
    } else {
        0
    };
    let content = support::content(7, 70_000);
    support::edit(image, |edit| {
        edit.make_dir("ask", TIME).unwrap();
        edit.create("ask/a question.txt", &content, TIME).unwrap();
    });
    let volume = support::open(image);
    let geometry = volume.geometry();
    assert_eq!(volume.label().unwrap().as_deref(), Some("PROMPTSTICK"));
    assert_eq!(volume.serial(), 0xCAFE_0123);
    assert_eq!(geometry.partition_offset_bytes, offset_bytes, "{options:?}");
    if let Some(fat_type) = options.fat_type {
        assert_eq!(geometry.fat_type, fat_type);
    }
    if let Some(cluster_bytes) = options.cluster_bytes {
        assert_eq!(geometry.cluster_bytes, cluster_bytes);
    }
    // fsck reads a whole partition through a copy, so only the small ones are checked like that.
    if !options.partitioned || geometry.volume_bytes <= 128 * MIB {
        support::fsck_at(image, offset_bytes);
    }
    let name = format!("{}@@{offset_bytes}", image.display());
    assert!(support::mtype(Path::new(&name), "ask/a question.txt") == content);
    let label = tool::expect(tool::command("mlabel").args(["-s", "-i", &name, "::"]));
    let label = String::from_utf8(label.stdout).unwrap();
    assert!(label.contains("PROMPTSTICK"), "{label}");
    if !options.partitioned {
        assert!(support::fatfs_read(image, "ask/a question.txt") == content);
    }
}

#[test]
fn the_same_options_give_the_same_bytes_over_anything() {
    for partitioned in [false, true] {
        let options = FormatOptions {
            partitioned,
            ..options(None, None)
        };
        let mut blank = vec![0; 8 << 20];
        volume::format(&mut blank, &options).unwrap();
        let mut again = vec![0; 8 << 20];
        volume::format(&mut again, &options).unwrap();
        assert!(blank == again);
        let mut dirty = support::content(3, 8 << 20);
        volume::format(&mut dirty, &options).unwrap();
        let volume = Volume::open(&dirty).unwrap();
        assert_eq!(volume.list("").unwrap(), []);
        assert!(volume.dirty_marks().unwrap().is_clean());
        let start = usize::try_from(volume.geometry().partition_offset_bytes).unwrap();
        support::fsck_bytes(&dirty[start..]);
    }
}

#[test]
fn what_cannot_be_formatted_is_refused_untouched() {
    let refused = |bytes: usize, options: &FormatOptions| {
        let mut image = vec![0xAA; bytes];
        let error = volume::format(&mut image, options).unwrap_err();
        assert!(image.iter().all(|byte| *byte == 0xAA), "{error}");
        error
    };
    let small = refused(1 << 20, &options(None, None));
    let FormatError::TooSmall { minimum_bytes, .. } = small else {
        panic!("{small}")
    };
    let mut least = vec![0; usize::try_from(minimum_bytes).unwrap()];
    volume::format(&mut least, &options(None, None)).unwrap();
    support::fsck_bytes(&least);
    assert!(
        small.to_string().contains(&minimum_bytes.to_string()),
        "{small}"
    );
    let error = refused(8 << 20, &options(Some(FatType::Fat32), None));
    assert!(matches!(error, FormatError::TooSmall { .. }), "{error}");
    let error = refused(64 << 20, &options(Some(FatType::Fat16), Some(512)));
    assert!(matches!(error, FormatError::TooLarge { .. }), "{error}");
    for cluster_bytes in [0, 256, 1000, 131_072] {
        let error = refused(8 << 20, &options(None, Some(cluster_bytes)));
        assert!(matches!(error, FormatError::BadCluster { .. }), "{error}");
    }
    for label in [
        "",
        "TWELVE BYTES",
        "lower",
        "A.B",
        "ÜBER",
        " SPACE",
        "NO NAME",
    ] {
        let options = FormatOptions {
            label: Some(label.to_owned()),
            ..options(None, None)
        };
        let error = refused(8 << 20, &options);
        assert!(
            matches!(error, FormatError::BadLabel { .. }),
            "{label:?} {error}"
        );
    }
}
