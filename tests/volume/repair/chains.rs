//! Files whose chains, lengths and tables contradict each other.

use volume::FatType;

use super::*;

#[test]
fn the_rest_of_a_long_chain_becomes_a_file() {
    each(|mut bench| {
        let content = bench.read("A.TXT");
        bench.patch("A.TXT", 28, &700_u32.to_le_bytes());
        assert_eq!(
            bench.mend(),
            [
                Fault::TooLong { needed: 2 },
                Fault::Recovered { clusters: 3 }
            ]
        );
        assert_eq!(bench.read("A.TXT"), content[..700]);
        assert_eq!(
            bench.read("FSCK0000.REC")[..content.len() - 1024],
            content[1024..]
        );
    });
    // As Linux leaves it when the entry is written late.
    each(|mut bench| {
        let content = bench.read("A.TXT");
        bench.patch("A.TXT", 28, &[0; 4]);
        assert_eq!(
            bench.mend(),
            [
                Fault::TooLong { needed: 0 },
                Fault::Recovered { clusters: 5 }
            ]
        );
        assert_eq!(bench.entry("A.TXT").first_cluster, 0);
        assert_eq!(bench.read("FSCK0000.REC")[..content.len()], content);
    });
}

#[test]
fn a_length_without_clusters_is_corrected() {
    each(|mut bench| {
        let content = bench.read("A.TXT");
        let first = bench.first("A.TXT");
        let end = bench.end();
        bench.link(first + 1, end);
        let faults = bench.mend();
        assert_eq!(
            faults[0],
            Fault::TooShort {
                was_bytes: 2500,
                is_bytes: 1024
            }
        );
        assert_eq!(bench.read("A.TXT"), content[..1024]);
        assert_eq!(bench.read("FSCK0000.REC")[..1476], content[1024..]);
    });
    each(|mut bench| {
        let content = bench.read("A.TXT");
        bench.start_at("A.TXT", 0);
        assert_eq!(
            bench.mend(),
            [Fault::NoStart, Fault::Recovered { clusters: 5 }]
        );
        assert_eq!(bench.read("A.TXT"), b"");
        assert_eq!(bench.read("FSCK0000.REC")[..2500], content);
    });
}

#[test]
fn starts_and_links_that_lead_nowhere_end_there() {
    for to in [1, 0x0FFF_FFF0, 0x0FFF_FFF7, 3900] {
        each(|mut bench| {
            let to = if to == 3900 {
                bench.geometry.last_cluster()
            } else {
                to & bench.end()
            };
            bench.start_at("A.TXT", to);
            let faults = bench.mend();
            assert_eq!(faults, [Fault::NoStart, Fault::Recovered { clusters: 5 }]);
        });
        each(|mut bench| {
            let to = if to == 3900 {
                bench.geometry.last_cluster()
            } else {
                to & bench.end()
            };
            let (first, content) = (bench.first("A.TXT"), bench.read("A.TXT"));
            bench.link(first + 1, to);
            bench.mend();
            let rest = if to & 7 == 7 { 1 } else { 2 };
            let kept = bench.read("A.TXT");
            assert!(
                kept.len() == 512 * 2 || kept.len() == 512 * rest,
                "{}",
                kept.len()
            );
            assert_eq!(kept, content[..kept.len()]);
        });
    }
}

#[test]
fn a_link_to_a_free_cluster_with_reserved_bits_ends_there() {
    each(|mut bench| {
        if bench.geometry.fat_type == FatType::Fat16 {
            return;
        }
        let (first, content) = (bench.first("A.TXT"), bench.read("A.TXT"));
        bench.link(first + 1, 0x1000_0000);
        let faults = bench.mend();
        assert_eq!(faults[0], Fault::BrokenLinks { entries: 1 });
        assert_eq!(bench.read("A.TXT"), content[..512]);
    });
}

#[test]
fn a_circle_is_opened() {
    each(|mut bench| {
        let (first, content) = (bench.first("A.TXT"), bench.read("A.TXT"));
        bench.link(first + 2, first);
        let faults = bench.mend();
        assert_eq!(faults[0], Fault::Loop);
        assert_eq!(bench.read("A.TXT"), content[..3 * 512]);
        assert_eq!(
            bench.read("FSCK0000.REC")[..2500 - 3 * 512],
            content[3 * 512..]
        );
    });
    // A circle that belongs to nothing.
    each(|mut bench| {
        let (first, content) = (bench.first("A.TXT"), bench.read("A.TXT"));
        bench.link(first + 4, first);
        bench.patch("A.TXT", 0, &[0xE5]);
        assert_eq!(bench.mend(), [Fault::Recovered { clusters: 5 }]);
        assert_eq!(bench.read("FSCK0000.REC")[..2500], content);
    });
}

#[test]
fn shared_clusters_are_copied() {
    each(|mut bench| {
        let (a, b) = (bench.first("A.TXT"), bench.first("B.TXT"));
        let (a_content, b_content) = (bench.read("A.TXT"), bench.read("B.TXT"));
        bench.link(b + 1, a + 2);
        let faults = bench.mend();
        assert_eq!(
            faults,
            [
                Fault::Copied { clusters: 3 },
                Fault::Recovered { clusters: 3 }
            ]
        );
        assert_eq!(bench.read("A.TXT"), a_content);
        let shared = [&b_content[..1024], &a_content[1024..]].concat();
        assert_eq!(bench.read("B.TXT"), shared);
        assert_eq!(bench.read("FSCK0000.REC")[..1476], b_content[1024..]);
    });
    // Two entries for one file, as a rename leaves them.
    each(|mut bench| {
        let content = bench.read("A.TXT");
        let first = bench.first("A.TXT");
        bench.start_at("B.TXT", first);
        let faults = bench.mend();
        assert_eq!(faults[0], Fault::Copied { clusters: 5 });
        assert_eq!(bench.read("A.TXT"), content);
        assert_eq!(bench.read("B.TXT"), content);
    });
    // A file that ends within what it shares.
    each(|mut bench| {
        let content = bench.read("A.TXT");
        let first = bench.first("A.TXT");
        bench.start_at("B.TXT", first);
        bench.patch("B.TXT", 28, &600_u32.to_le_bytes());
        let faults = bench.mend();
        assert_eq!(
            faults,
            [
                Fault::Copied { clusters: 2 },
                Fault::Recovered { clusters: 5 }
            ]
        );
        assert_eq!(bench.read("B.TXT"), content[..600]);
    });
}

/// An earlier entry that leads into a whole file gets copies of what it needs, and no more: what
/// is behind them is the whole file's.
#[test]
fn a_whole_file_loses_nothing_to_a_damaged_entry_before_it() {
    // An entry with a shorter length; and one that hosts do not show, for it is marked as a label.
    for attributes in [0x20, 0x28] {
        each(|mut bench| {
            let content = bench.read("B.TXT");
            let slot = bench.entry("A.TXT").slot_offset_bytes;
            bench.patch("A.TXT", 28, &700_u32.to_le_bytes());
            bench.start_at("A.TXT", bench.first("B.TXT"));
            bench.image.write_at(slot + 11, &[attributes]).unwrap();
            let inspected = Volume::open(&bench.image).unwrap();
            let inspected = inspected.inspect(&[bench.entry("B.TXT")]).unwrap();
            assert!(
                matches!(
                    inspected[0].problems[..],
                    [ChainProblem::CrossLinked { .. }]
                ),
                "{attributes:#x}: {inspected:?}"
            );
            let faults = bench.mend();
            assert!(
                faults.contains(&Fault::Copied { clusters: 2 }),
                "{faults:?}"
            );
            assert_eq!(bench.read("B.TXT"), content);
            assert_eq!(bench.read("A.TXT"), content[..700]);
        });
    }
}

#[test]
fn shared_clusters_on_a_full_volume_end_the_later_file() {
    each(|mut bench| {
        let free = Volume::open(&bench.image).unwrap().free_bytes().unwrap();
        let fill = support::content(1, usize::try_from(free).unwrap() - 2 * 512);
        support::edit_bytes(&mut bench.image, |edit| {
            edit.create("FILL", &fill, TIME).unwrap();
        });
        let (a, content) = (bench.first("A.TXT"), bench.read("A.TXT"));
        bench.start_at("B.TXT", a);
        let faults = bench.mend();
        assert!(faults.contains(&Fault::NotCopied), "{faults:?}");
        assert_eq!(bench.read("A.TXT"), content);
        assert_eq!(bench.read("B.TXT"), content[..2 * 512]);
    });
}

#[test]
fn tables_that_differ() {
    // Only the second table has a chain: it is kept.
    each(|mut bench| {
        let (first, content) = (bench.first("A.TXT"), bench.read("A.TXT"));
        (first..first + 5).for_each(|cluster| bench.link_in(0, cluster, 0));
        assert_eq!(bench.mend(), [Fault::TablesDiffer { entries: 5 }]);
        assert_eq!(bench.read("A.TXT"), content);
    });
    each(|mut bench| {
        let (first, content) = (bench.first("A.TXT"), bench.read("A.TXT"));
        (first..first + 5).for_each(|cluster| bench.link_in(0, cluster, 0));
        bench.patch("A.TXT", 0, &[0xE5]);
        let faults = bench.mend();
        assert_eq!(
            faults,
            [
                Fault::TablesDiffer { entries: 5 },
                Fault::Recovered { clusters: 5 }
            ]
        );
        assert_eq!(bench.read("FSCK0000.REC")[..2500], content);
    });
    // The second table was never written: the first counts.
    each(|mut bench| {
        let (first, content) = (bench.first("A.TXT"), bench.read("A.TXT"));
        (first..first + 5).for_each(|cluster| bench.link_in(1, cluster, 0));
        assert_eq!(bench.mend(), [Fault::TablesDiffer { entries: 5 }]);
        assert_eq!(bench.read("A.TXT"), content);
    });
    // The first ends the chain too early, the second fits the length.
    each(|mut bench| {
        let (first, content) = (bench.first("A.TXT"), bench.read("A.TXT"));
        let end = bench.end();
        bench.link_in(0, first + 2, end);
        let faults = bench.mend();
        assert_eq!(
            faults,
            [Fault::TablesDiffer { entries: 1 }, Fault::SecondTable]
        );
        assert_eq!(bench.read("A.TXT"), content);
    });
    // The second ends the chain too early: no reason to look at it.
    each(|mut bench| {
        let (first, content) = (bench.first("A.TXT"), bench.read("A.TXT"));
        let end = bench.end();
        bench.link_in(1, first + 2, end);
        assert_eq!(bench.mend(), [Fault::TablesDiffer { entries: 1 }]);
        assert_eq!(bench.read("A.TXT"), content);
    });
    // The first table's beginning is lost.
    each(|mut bench| {
        let at = support::table_entry_at(&bench.geometry, 0, 0);
        bench.image[at..at + 512].fill(0);
        let before = bench.read("prompts/question number 1 of thirty.txt");
        let faults = bench.mend();
        assert!(faults.contains(&Fault::TableMark), "{faults:?}");
        assert_eq!(
            bench.read("prompts/question number 1 of thirty.txt"),
            before
        );
    });
}
