//! Damaged folders and entries.

use super::*;

#[test]
fn dots_that_lead_elsewhere_or_are_not_there() {
    for (number, at, bytes) in [
        (0, 26, [9, 0]),
        (1, 26, [9, 0]),
        (0, 0, [b'X', 0]),
        (1, 11, [0, 0]),
    ] {
        each(|mut bench| {
            let first = bench.first("prompts");
            let before = complete_files(&bench.image);
            let offset = bench.geometry.cluster_offset(first).unwrap();
            bench
                .image
                .write_at(offset + 32 * number + at, &bytes[..1])
                .unwrap();
            assert_eq!(bench.mend(), [Fault::Dots]);
            assert_eq!(complete_files(&bench.image), before);
        });
    }
}

#[test]
fn a_folder_whose_cluster_holds_something_else() {
    // It becomes an empty folder, and its clusters a file.
    each(|mut bench| {
        let first = bench.first("prompts/a folder with a long name");
        let offset = bench.geometry.cluster_offset(first).unwrap();
        bench
            .image
            .write_at(offset, &support::content(5, 512))
            .unwrap();
        let faults = bench.mend();
        assert_eq!(faults[0], Fault::NotAFolder);
        assert!(
            Volume::open(&bench.image)
                .unwrap()
                .list("prompts/a folder with a long name")
                .unwrap()
                .is_empty()
        );
        let kept = complete_files(&bench.image);
        assert!(
            kept.values()
                .any(|(_, now)| now.starts_with(&support::content(5, 512)))
        );
    });
}

#[test]
fn a_folder_whose_content_did_not_arrive() {
    each(|mut bench| {
        support::edit_bytes(&mut bench.image, |edit| edit.make_dir("new", TIME).unwrap());
        let offset = bench.geometry.cluster_offset(bench.first("new")).unwrap();
        bench.image.write_at(offset, &[0; 512]).unwrap();
        assert_eq!(bench.mend(), [Fault::Dots, Fault::Dots]);
    });
}

#[test]
fn a_folder_that_the_table_does_not_know() {
    each(|mut bench| {
        support::edit_bytes(&mut bench.image, |edit| {
            edit.make_dir("new", TIME).unwrap();
            edit.create("new/empty.txt", b"", TIME).unwrap();
        });
        let first = bench.first("new");
        bench.link(first, 0);
        let faults = bench.mend();
        assert_eq!(faults[0], Fault::FolderNotAllocated);
        bench.entry("new/empty.txt");
    });
}

#[test]
fn a_folder_with_a_length_or_without_a_cluster() {
    each(|mut bench| {
        let first = bench.first("prompts");
        bench.patch("prompts", 28, &[1]);
        assert_eq!(bench.mend(), [Fault::FolderLength]);
        bench.start_at("prompts", 0);
        let faults = bench.mend();
        assert_eq!(faults[0], Fault::NoStart);
        assert_ne!(bench.first("prompts"), first);
    });
}

#[test]
fn two_entries_for_one_folder() {
    // As a move leaves them.
    each(|mut bench| {
        support::edit_bytes(&mut bench.image, |edit| {
            edit.make_dir("zweite", TIME).unwrap();
        });
        let (first, spare) = (bench.first("prompts"), bench.first("zweite"));
        bench.start_at("zweite", first);
        bench.link(spare, 0);
        let faults = bench.mend();
        assert!(faults.contains(&Fault::SecondEntry), "{faults:?}");
        bench.read("prompts/question number 1 of thirty.txt");
    });
}

#[test]
fn a_stale_entry_that_leads_into_the_middle_of_a_folder() {
    // As a host leaves it that removed a folder and took its cluster for another that grew.
    for mkfs in KINDS {
        let mut image = support::in_memory(mkfs);
        let path = |number: u64| format!("prompts/question number {number} of thirty.txt");
        support::edit_bytes(&mut image, |edit| {
            edit.make_dir("old", TIME).unwrap();
            edit.make_dir("prompts", TIME).unwrap();
            for number in 0..30 {
                let content = support::content(number, 700);
                edit.create(&path(number), &content, TIME).unwrap();
            }
        });
        let geometry = Volume::open(&image).unwrap().geometry().clone();
        let mut bench = Bench { image, geometry };
        let (spare, first) = (bench.first("old"), bench.first("prompts"));
        let second = bench.next(first);
        bench.start_at("old", second);
        bench.link(spare, 0);
        assert_eq!(bench.mend(), [Fault::NotAFolder]);
        for number in 0..30 {
            assert_eq!(bench.read(&path(number)), support::content(number, 700));
        }
        assert_ne!(bench.first("old"), second);
    }
}

#[test]
fn a_folder_inside_itself_or_running_into_a_file() {
    each(|mut bench| {
        let first = bench.first("prompts");
        bench.start_at("prompts/a folder with a long name", first);
        let faults = bench.mend();
        assert!(faults.contains(&Fault::SecondEntry), "{faults:?}");
    });
    each(|mut bench| {
        let (a, content) = (bench.first("A.TXT"), bench.read("A.TXT"));
        support::edit_bytes(&mut bench.image, |edit| edit.make_dir("new", TIME).unwrap());
        let first = bench.first("new");
        bench.link(first, a);
        bench.mend();
        assert_eq!(bench.read("A.TXT"), content);
    });
}

#[test]
fn a_forbidden_character_in_a_short_name() {
    // It is renamed, and the long name stays.
    each(|mut bench| {
        let path = "question number 3 of thirty.txt";
        let content = bench.read(path);
        bench.patch(path, 0, b"*");
        let report = mended(&mut bench.image);
        assert!(
            matches!(report.findings()[0].fault, Fault::Renamed { .. }),
            "{report:?}"
        );
        assert_eq!(bench.read(path), content);
    });
}

#[test]
fn the_same_name_twice() {
    each(|mut bench| {
        let content = bench.read("B.TXT");
        bench.patch("B.TXT", 0, b"A");
        assert_eq!(
            bench.mend(),
            [Fault::Renamed {
                to: "A~1.TXT".to_owned()
            }]
        );
        assert_eq!(bench.read("A~1.TXT"), content);
    });
}

#[test]
fn long_names_that_are_orphans() {
    each(|mut bench| {
        let path = "question number 3 of thirty.txt";
        let content = bench.read(path);
        bench.patch(path, 0, &[0xE5]);
        let faults = bench.mend();
        assert_eq!(
            faults,
            [
                Fault::OrphanNames { slots: 3 },
                Fault::Recovered { clusters: 1 }
            ]
        );
        assert_eq!(bench.read("FSCK0000.REC")[..content.len()], content);
    });
    each(|mut bench| {
        let entry = bench.entry("question number 3 of thirty.txt");
        bench
            .image
            .write_at(entry.slot_offset_bytes - 32, &[7])
            .unwrap();
        assert_eq!(bench.mend(), [Fault::OrphanNames { slots: 3 }]);
        assert_eq!(
            bench.entry(&entry.short_name).first_cluster,
            entry.first_cluster
        );
    });
}

#[test]
fn a_file_that_looks_like_something_else() {
    each(|mut bench| {
        let content = bench.read("A.TXT");
        bench.patch("A.TXT", 11, &[0x28]);
        assert_eq!(bench.mend(), [Fault::Attributes]);
        assert_eq!(bench.read("A.TXT"), content);
        bench.patch("A.TXT", 11, &[0x30]);
        assert_eq!(bench.mend(), [Fault::IsAFile]);
        assert_eq!(bench.read("A.TXT"), content);
    });
}

#[test]
fn garbage_among_the_entries() {
    each(|mut bench| {
        support::edit_bytes(&mut bench.image, |edit| {
            edit.create("X.TXT", b"", TIME).unwrap();
        });
        let slot = bench.entry("X.TXT").slot_offset_bytes;
        bench.image.write_at(slot, &[7, 8, 9]).unwrap();
        bench.image.write_at(slot + 26, &[0xFF, 0xFF]).unwrap();
        bench.image.write_at(slot + 20, &[0xFF, 0xFF]).unwrap();
        assert_eq!(bench.mend(), [Fault::Garbage]);
    });
}

#[test]
fn something_behind_the_end_mark() {
    each(|mut bench| {
        support::edit_bytes(&mut bench.image, |edit| edit.make_dir("new", TIME).unwrap());
        let offset = bench.geometry.cluster_offset(bench.first("new")).unwrap();
        bench.image.write_at(offset + 5 * 32, &[b'x'; 64]).unwrap();
        assert_eq!(bench.mend(), [Fault::BehindEnd { slots: 2 }]);
    });
}

#[test]
fn an_end_mark_before_entries() {
    each(|mut bench| {
        let content = bench.read("B.TXT");
        bench.patch("A.TXT", 0, &[0; 32]);
        assert!(
            Volume::open(&bench.image)
                .unwrap()
                .find("B.TXT")
                .unwrap()
                .is_none()
        );
        assert_eq!(
            bench.mend(),
            [Fault::EndMark, Fault::Recovered { clusters: 5 }]
        );
        assert_eq!(bench.read("B.TXT"), content);
    });
}
