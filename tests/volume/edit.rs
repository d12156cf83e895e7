//! Edits that are refused leave nothing behind; edits that succeed touch what they name.

use crate::support::tool;
use volume::{BadName, ChangeSet, EditError, ReadError, Root, Volume, WriteAt};

use super::support::{self, Mkfs, TIME};

type MemoryEdit<'a> = volume::Edit<'a, &'a Vec<u8>>;

/// Runs `refused` between two good calls; the outcome must be as if it had not been there.
fn leaves_nothing_behind(
    image: &Vec<u8>,
    refused: impl Fn(&mut MemoryEdit<'_>) -> Result<(), EditError>,
) -> EditError {
    let run = |with: bool| -> (ChangeSet, Option<EditError>) {
        let volume = Volume::open(image).unwrap();
        let mut edit = volume.edit();
        edit.create("before.txt", &support::content(1, 5000), TIME)
            .unwrap();
        let error = with.then(|| refused(&mut edit).unwrap_err());
        edit.create("after.txt", &support::content(2, 5000), TIME)
            .unwrap();
        (edit.finish().unwrap(), error)
    };
    let (with, error) = run(true);
    let (without, _) = run(false);
    assert!(
        with == without,
        "the refused call left something: {error:?}"
    );
    error.unwrap()
}

#[test]
fn names_that_exist_or_are_not_allowed() {
    let mut image = support::in_memory(Mkfs::FAT16);
    support::edit_bytes(&mut image, |edit| {
        edit.create("A prompt with a name.txt", b"x", TIME).unwrap();
        edit.make_dir("folder", TIME).unwrap();
    });
    let create =
        |path: &'static str| leaves_nothing_behind(&image, |edit| edit.create(path, b"y", TIME));
    for taken in [
        "a PROMPT with a name.TXT",
        "before.txt",
        "APROMP~1.TXT",
        "folder",
        "FOLDER/",
    ] {
        assert!(matches!(create(taken), EditError::Exists { .. }), "{taken}");
        let error = leaves_nothing_behind(&image, |edit| edit.make_dir(taken, TIME));
        assert!(matches!(error, EditError::Exists { .. }), "{taken}");
    }
    for (name, expected) in [
        ("", BadName::Empty),
        ("folder/a:b", BadName::Character(':')),
        ("what?.txt", BadName::Character('?')),
        ("folder/trailing.", BadName::Ending),
        ("trailing ", BadName::Ending),
        ("..", BadName::Ending),
    ] {
        let error = create(name);
        assert!(
            matches!(error, EditError::BadName { why, .. } if why == expected),
            "{error}"
        );
    }
    assert!(matches!(
        create("nowhere/a.txt"),
        EditError::Read(ReadError::NotFound { .. })
    ));
    let in_file = create("before.txt/a.txt");
    assert!(matches!(
        in_file,
        EditError::Read(ReadError::NotAFolder { .. })
    ));
    let replace =
        |path: &'static str| leaves_nothing_behind(&image, |edit| edit.replace(path, b"y", TIME));
    assert!(matches!(
        replace("nothing.txt"),
        EditError::Read(ReadError::NotFound { .. })
    ));
    assert!(matches!(
        replace("folder"),
        EditError::Read(ReadError::IsAFolder { .. })
    ));
}

#[test]
fn a_full_volume() {
    for mkfs in [
        Mkfs {
            mib: 3,
            cluster_bytes: Some(512),
            ..Mkfs::FAT16
        },
        Mkfs {
            mib: 1,
            ..Mkfs::FAT32
        },
    ] {
        let mut image = support::in_memory(mkfs);
        let free = Volume::open(&image).unwrap().free_bytes().unwrap();
        let too_much = vec![1; usize::try_from(free).unwrap() - 4096];
        let error = leaves_nothing_behind(&image, |edit| edit.create("big.bin", &too_much, TIME));
        let EditError::VolumeFull {
            needed_bytes,
            free_bytes,
        } = error
        else {
            panic!("{error}")
        };
        assert!(needed_bytes > free_bytes && free_bytes > 0);
        let error =
            leaves_nothing_behind(&image, |edit| edit.replace("before.txt", &too_much, TIME));
        assert!(matches!(error, EditError::VolumeFull { .. }));
        // To the last cluster.
        let all = vec![1; usize::try_from(free).unwrap()];
        support::edit_bytes(&mut image, |edit| {
            edit.create("ALL.BIN", &all, TIME).unwrap();
        });
        assert_eq!(Volume::open(&image).unwrap().free_bytes().unwrap(), 0);
        support::fsck_bytes(&image);
        let volume = Volume::open(&image).unwrap();
        let mut edit = volume.edit();
        assert!(matches!(
            edit.make_dir("D", TIME),
            Err(EditError::VolumeFull { .. })
        ));
        edit.create("EMPTY", b"", TIME).unwrap();
    }
}

#[test]
fn a_full_root_directory_on_fat16() {
    let mut image = support::in_memory(Mkfs::FAT16);
    let Root::Fixed { slots, .. } = Volume::open(&image).unwrap().geometry().root else {
        panic!("FAT16")
    };
    // The label has one slot; leave two.
    support::edit_bytes(&mut image, |edit| {
        for number in 0..slots - 3 {
            edit.create(&format!("F{number}"), b"", TIME).unwrap();
        }
    });
    let volume = Volume::open(&image).unwrap();
    let mut edit = volume.edit();
    let error = edit
        .create("needs three slots.txt", b"x", TIME)
        .unwrap_err();
    assert!(matches!(error, EditError::RootFull), "{error}");
    edit.create("two.txt", b"x", TIME).unwrap();
    assert!(matches!(
        edit.create("ONE", b"x", TIME),
        Err(EditError::RootFull)
    ));
    let changes = edit.finish().unwrap();
    drop(volume);
    support::apply(&mut image, &changes);
    support::fsck_bytes(&image);
    assert_eq!(
        Volume::open(&image).unwrap().list("").unwrap().len(),
        slots as usize - 2
    );
}

#[test]
fn a_folder_grows_and_what_lay_after_its_end_is_not_seen() {
    for mkfs in [Mkfs::FAT16, Mkfs::FAT32] {
        let mut image = support::in_memory(mkfs);
        support::edit_bytes(&mut image, |edit| edit.make_dir("d", TIME).unwrap());
        let (geometry, first) = {
            let volume = Volume::open(&image).unwrap();
            (
                volume.geometry().clone(),
                volume.find("d").unwrap().unwrap().first_cluster,
            )
        };
        // Behind the end mark a host may leave anything.
        let garbage = vec![b'G'; usize::try_from(geometry.cluster_bytes).unwrap() - 96];
        let start = geometry.cluster_offset(first).unwrap();
        image.write_at(start + 96, &garbage).unwrap();
        // And free clusters hold old data.
        let free = geometry.cluster_offset(first + 1).unwrap();
        image.write_at(free, &vec![b'G'; 100_000]).unwrap();
        let mut expected = Vec::new();
        for number in 0..60 {
            let name = format!("response number {number}.txt");
            support::edit_bytes(&mut image, |edit| {
                edit.create(&format!("d/{name}"), b"x", TIME).unwrap();
            });
            expected.push(name);
            let listed = Volume::open(&image).unwrap().list("d").unwrap();
            let listed: Vec<String> = listed.into_iter().map(|entry| entry.name).collect();
            assert_eq!(listed, expected);
        }
        support::fsck_bytes(&image);
    }
}

#[test]
fn slots_that_were_given_up_are_used_again() {
    let (_folder, image) = support::made(Mkfs::FAT16);
    for number in 0..30 {
        support::mcopy_in(
            &image,
            b"x",
            &format!("a file with a long name {number}.txt"),
        );
    }
    for number in 10..20 {
        let name = format!("::a file with a long name {number}.txt");
        tool::expect(tool::command("mdel").arg("-i").arg(&image).arg(name));
    }
    let highest = |image: &std::path::Path| {
        let entries = support::open(image).list("").unwrap();
        entries
            .into_iter()
            .map(|entry| entry.slot_offset_bytes)
            .max()
    };
    let before = highest(&image);
    support::edit(&image, |edit| {
        for number in 0..10 {
            edit.create(
                &format!("another with a long name {number}.txt"),
                b"x",
                TIME,
            )
            .unwrap();
        }
    });
    support::fsck(&image);
    assert_eq!(highest(&image), before);
    assert_eq!(support::our_paths(&image), support::mdir(&image));
}

#[test]
fn a_damaged_file_is_not_replaced() {
    for mkfs in [Mkfs::FAT16, Mkfs::FAT32] {
        let mut image = support::in_memory(mkfs);
        support::edit_bytes(&mut image, |edit| {
            edit.create("a.txt", &support::content(1, 5000), TIME)
                .unwrap();
            edit.create("b.txt", &support::content(2, 5000), TIME)
                .unwrap();
        });
        let (geometry, a, b) = {
            let volume = Volume::open(&image).unwrap();
            let first = |path: &str| volume.find(path).unwrap().unwrap().first_cluster;
            (volume.geometry().clone(), first("a.txt"), first("b.txt"))
        };
        support::set_table_entry(&mut image, &geometry, a, b + 1);
        let volume = Volume::open(&image).unwrap();
        let mut edit = volume.edit();
        let error = edit.replace("a.txt", b"new", TIME).unwrap_err();
        assert!(matches!(error, EditError::Damaged { .. }), "{error}");
        assert!(edit.finish().unwrap().is_empty());
    }
}

#[test]
fn a_change_larger_than_a_transaction_is_refused() {
    let mut image = vec![0; 96 << 20];
    volume::format(&mut image, &volume::FormatOptions::default()).unwrap();
    let half = vec![1; 40 << 20];
    let volume = Volume::open(&image).unwrap();
    let mut edit = volume.edit();
    edit.create("a.bin", &half, TIME).unwrap();
    let error = edit.create("b.bin", &half, TIME).unwrap_err();
    assert!(matches!(error, EditError::TooLarge { .. }), "{error}");
    let error = edit.create("c.bin", &vec![1; 70 << 20], TIME).unwrap_err();
    assert!(matches!(error, EditError::TooLarge { .. }), "{error}");
}

#[test]
fn replacing_takes_other_clusters_and_keeps_names_and_attributes() {
    let mut image = support::in_memory(Mkfs::FAT32);
    support::edit_bytes(&mut image, |edit| {
        edit.create("SETTINGS.error.txt", &support::content(1, 3000), TIME)
            .unwrap();
    });
    let slot = {
        let volume = Volume::open(&image).unwrap();
        volume
            .find("SETTINGS.error.txt")
            .unwrap()
            .unwrap()
            .slot_offset_bytes
    };
    // Hidden and system, which are the host's to set.
    image.write_at(slot + 11, &[0x26]).unwrap();
    let before = Volume::open(&image)
        .unwrap()
        .find("SETTINGS.error.txt")
        .unwrap()
        .unwrap();
    let free = Volume::open(&image).unwrap().free_bytes().unwrap();
    support::edit_bytes(&mut image, |edit| {
        edit.replace("settings.ERROR.txt", &support::content(2, 700), TIME)
            .unwrap();
    });
    support::fsck_bytes(&image);
    let volume = Volume::open(&image).unwrap();
    let after = volume.find("SETTINGS.error.txt").unwrap().unwrap();
    assert_ne!(after.first_cluster, before.first_cluster);
    assert_eq!(after.attributes, 0x26);
    assert_eq!(
        (&after.name, &after.short_name),
        (&before.name, &before.short_name)
    );
    assert_eq!(volume.read(&after, 1000).unwrap(), support::content(2, 700));
    assert_eq!(volume.free_bytes().unwrap(), free + 4 * 512);
}
