//! Each way in which a chain can contradict its entry, made by hand on FAT16 and FAT32.

use volume::{ChainProblem, Entry, Geometry, Volume, WriteAt};

use super::support::{self, Mkfs, TIME};

/// A volume with three files of four clusters each, and what is needed to damage it.
struct Bench {
    image: Vec<u8>,
    geometry: Geometry,
    entries: Vec<Entry>,
}

impl Bench {
    fn new(mkfs: Mkfs) -> Self {
        let mut image = support::in_memory(mkfs);
        let len = 4 * usize::try_from(mkfs.cluster_bytes.unwrap()).unwrap();
        support::edit_bytes(&mut image, |edit| {
            edit.make_dir("folder", TIME).unwrap();
            for (seed, path) in ["a.txt", "b.txt", "folder/c.txt"].into_iter().enumerate() {
                edit.create(path, &support::content(seed as u64, len), TIME)
                    .unwrap();
            }
        });
        let volume = Volume::open(&image).unwrap();
        let geometry = volume.geometry().clone();
        let find = |path: &str| volume.find(path).unwrap().unwrap();
        let entries = vec![
            find("a.txt"),
            find("b.txt"),
            find("folder/c.txt"),
            find("folder"),
        ];
        Self {
            image,
            geometry,
            entries,
        }
    }

    fn first(&self, number: usize) -> u32 {
        self.entries[number].first_cluster
    }

    fn link(&mut self, from: u32, to: u32) {
        support::set_table_entry(&mut self.image, &self.geometry, from, to);
    }

    /// Problems of a, b, c and the folder, entries read again.
    fn problems(&self) -> [Vec<ChainProblem>; 4] {
        let volume = Volume::open(&self.image).unwrap();
        let find = |path: &str| volume.find(path).unwrap().unwrap();
        let entries = [
            find("a.txt"),
            find("b.txt"),
            find("folder/c.txt"),
            find("folder"),
        ];
        let inspections = volume.inspect(&entries).unwrap();
        let mut problems = inspections
            .into_iter()
            .map(|inspection| inspection.problems);
        std::array::from_fn(|_| problems.next().unwrap())
    }
}

fn each(test: impl Fn(Bench)) {
    for mkfs in [Mkfs::FAT16, Mkfs::FAT32] {
        test(Bench::new(mkfs));
    }
}

const NONE: Vec<ChainProblem> = Vec::new();

#[test]
fn sound_files_have_no_problem() {
    each(|bench| {
        assert_eq!(bench.problems(), [NONE, NONE, NONE, NONE]);
        let volume = Volume::open(&bench.image).unwrap();
        let twice = [bench.entries[0].clone(), bench.entries[0].clone()];
        let inspections = volume.inspect(&twice).unwrap();
        assert_eq!(inspections[0], inspections[1]);
        assert!(inspections[1].is_consistent());
        assert_eq!(inspections[1].chain_clusters, 4);
        assert_eq!(inspections[1].entry_bytes, 4 * bench.geometry.cluster_bytes);
        assert_eq!(volume.inspect(&[]).unwrap(), []);
    });
}

#[test]
fn a_chain_that_is_too_short_or_too_long() {
    each(|mut bench| {
        let first = bench.first(0);
        bench.link(first + 1, support::end_mark(&bench.geometry));
        let short = ChainProblem::TooShort {
            clusters: 2,
            needed: 4,
        };
        assert_eq!(bench.problems()[0], [short]);
    });
    each(|mut bench| {
        let slot = bench.entries[0].slot_offset_bytes;
        let len = 3 * bench.geometry.cluster_bytes;
        bench.image.write_at(slot + 28, &len.to_le_bytes()).unwrap();
        assert_eq!(bench.problems()[0], [ChainProblem::TooLong { needed: 3 }]);
        // As Windows writes it at first: no length yet, but clusters.
        bench.image.write_at(slot + 28, &[0; 4]).unwrap();
        assert_eq!(bench.problems()[0], [ChainProblem::TooLong { needed: 0 }]);
        // As Linux may: a length, but no clusters.
        bench.image.write_at(slot + 28, &len.to_le_bytes()).unwrap();
        bench.image.write_at(slot + 20, &[0; 2]).unwrap();
        bench.image.write_at(slot + 26, &[0; 2]).unwrap();
        assert_eq!(
            bench.problems()[0],
            [ChainProblem::TooShort {
                clusters: 0,
                needed: 3
            }]
        );
    });
}

#[test]
fn a_chain_that_breaks() {
    each(|mut bench| {
        let first = bench.first(0);
        let nowhere = bench.geometry.last_cluster() + 1;
        for (value, problem) in [
            (0, ChainProblem::NoEndMark),
            (
                support::end_mark(&bench.geometry) - 8,
                ChainProblem::NoEndMark,
            ),
            (1, ChainProblem::OutOfRange { cluster: 1 }),
            (nowhere, ChainProblem::OutOfRange { cluster: nowhere }),
        ] {
            bench.link(first + 1, value);
            assert_eq!(bench.problems()[0], [problem]);
            let volume = Volume::open(&bench.image).unwrap();
            let read = volume.read(&bench.entries[0], u64::from(u32::MAX));
            assert!(
                matches!(read, Err(volume::ReadError::Chain { problem: p, .. }) if p == problem)
            );
        }
        bench.link(first + 1, first);
        assert!(bench.problems()[0].contains(&ChainProblem::Loop));
        bench.link(first + 1, first + 1);
        assert!(bench.problems()[0].contains(&ChainProblem::Loop));
    });
}

#[test]
fn copies_of_the_table_that_differ() {
    each(|mut bench| {
        let cluster = bench.first(1) + 2;
        let at = support::table_entry_at(&bench.geometry, 1, cluster);
        bench.image[at] ^= 1;
        let problem = ChainProblem::FatCopiesDiffer { cluster };
        assert_eq!(bench.problems(), [NONE, vec![problem], NONE, NONE]);
    });
}

#[test]
fn two_chains_that_meet() {
    each(|mut bench| {
        // The third cluster of a leads on into b, which both then share; c is not concerned.
        let (a, b) = (bench.first(0), bench.first(1));
        bench.link(a + 2, b + 3);
        let linked = |cluster| vec![ChainProblem::CrossLinked { cluster }];
        assert_eq!(bench.problems(), [linked(b + 3), linked(b + 3), NONE, NONE]);
        // The same is seen when only one of them is asked about.
        let volume = Volume::open(&bench.image).unwrap();
        for entry in &bench.entries[..2] {
            let inspection = volume.inspect(std::slice::from_ref(entry)).unwrap();
            assert_eq!(inspection[0].problems, linked(b + 3), "{}", entry.name);
        }
    });
}

#[test]
fn a_lost_chain_that_leads_into_a_file() {
    each(|mut bench| {
        let b = bench.first(1);
        let stray = bench.geometry.last_cluster();
        bench.link(stray, b);
        let linked = vec![ChainProblem::CrossLinked { cluster: b }];
        assert_eq!(bench.problems(), [NONE, linked, NONE, NONE]);
    });
}

#[test]
fn an_entry_elsewhere_that_claims_the_same_clusters() {
    each(|mut bench| {
        // c, inside the folder, now starts in the middle of a.
        let shared = bench.first(0) + 1;
        let slot = bench.entries[2].slot_offset_bytes;
        let halves = shared.to_le_bytes();
        bench.image.write_at(slot + 20, &halves[2..]).unwrap();
        bench.image.write_at(slot + 26, &halves[..2]).unwrap();
        let problems = bench.problems();
        assert_eq!(problems[0], [ChainProblem::CrossLinked { cluster: shared }]);
        assert!(problems[2].contains(&ChainProblem::CrossLinked { cluster: shared }));
        assert_eq!(problems[3], NONE);
        // Asked about alone, a is still found out.
        let volume = Volume::open(&bench.image).unwrap();
        let alone = volume.inspect(&bench.entries[..1]).unwrap();
        assert_eq!(
            alone[0].problems,
            [ChainProblem::CrossLinked { cluster: shared }]
        );
    });
}

#[test]
fn a_file_in_the_clusters_of_a_folder() {
    each(|mut bench| {
        let folder = bench.first(3);
        let slot = bench.entries[0].slot_offset_bytes;
        bench
            .image
            .write_at(slot + 26, &folder.to_le_bytes()[..2])
            .unwrap();
        let problems = bench.problems();
        let linked = ChainProblem::CrossLinked { cluster: folder };
        assert!(problems[0].contains(&linked), "{problems:?}");
        assert_eq!(problems[3], [linked]);
    });
}

#[test]
fn a_folder_beside_one_that_is_the_root() {
    // The root is read once in a walk, whatever leads to it: one entry leads to the folder.
    let mut image = support::in_memory(Mkfs::FAT32);
    support::edit_bytes(&mut image, |edit| {
        edit.make_dir("ask", TIME).unwrap();
        edit.make_dir("round", TIME).unwrap();
    });
    let volume = Volume::open(&image).unwrap();
    let slot = volume.find("round").unwrap().unwrap().slot_offset_bytes;
    let volume::Root::Chain { first_cluster } = volume.geometry().root else {
        panic!("FAT32")
    };
    drop(volume);
    let start = first_cluster.to_le_bytes();
    image.write_at(slot + 26, &start[..2]).unwrap();
    let volume = Volume::open(&image).unwrap();
    volume.edit().create("ask/x.txt", b"x", TIME).unwrap();
}

#[test]
fn nul_tails_count_from_a_sector_border() {
    for mkfs in [
        Mkfs::FAT16,
        Mkfs::FAT32,
        Mkfs {
            sector_bytes: 4096,
            cluster_bytes: Some(4096),
            mib: 32,
            ..Mkfs::FAT16
        },
    ] {
        let mut image = support::in_memory(mkfs);
        let sector = usize::try_from(mkfs.sector_bytes).unwrap();
        // (bytes of text, then NULs) and the tail that is one.
        let cases = [
            (2 * sector, 0, None),
            (2 * sector - 1, 1, None),
            (2 * sector - 100, 100, None),
            (2 * sector, 1, Some(1)),
            (2 * sector, sector, Some(sector)),
            (2 * sector + 1, sector - 1, None),
            (2 * sector + 1, sector, Some(1)),
            (10, 5 * sector, Some(4 * sector + 10)),
            (0, 3, Some(3)),
            (0, 7 * sector, Some(7 * sector)),
        ];
        for (number, (text, nuls, tail)) in cases.into_iter().enumerate() {
            let name = format!("{number}.txt");
            let mut content = support::content(number as u64, text);
            content.resize(text + nuls, 0);
            support::edit_bytes(&mut image, |edit| {
                edit.create(&name, &content, TIME).unwrap();
            });
            let volume = Volume::open(&image).unwrap();
            let entry = volume.find(&name).unwrap().unwrap();
            let inspection = volume.inspect(&[entry]).unwrap();
            let expected: Vec<ChainProblem> = tail
                .map(|bytes| ChainProblem::NulTail {
                    bytes: u32::try_from(bytes).unwrap(),
                })
                .into_iter()
                .collect();
            assert_eq!(inspection[0].problems, expected, "{mkfs:?} {text} + {nuls}");
        }
    }
}
