//! Repair: `fsck.fat -n` finds nothing afterwards, every file that was complete is still the same
//! bytes, and a second repair finds nothing to do.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::rc::Rc;

use crate::support::tool;
use volume::testing::{AfterCut, CountingDevice, Fate, PagedImage, PowerLab, Random};
use volume::{ChainProblem, Fault, Geometry, ReadError, RepairError, RepairLimits, RepairReport};
use volume::{ReadAt, Volume, WriteAt};

use super::support::{self, Mkfs, TIME};

/// The kinds of volume that are damaged; both small, so that a judge is quick.
const KINDS: [Mkfs; 2] = [
    Mkfs {
        mib: 4,
        cluster_bytes: Some(512),
        ..Mkfs::FAT16
    },
    Mkfs {
        mib: 2,
        ..Mkfs::FAT32
    },
];
/// Prefixes, and subsets, of a session that are tried.
const SUBSETS: u64 = 60;
const DAMAGED: u64 = 400;
/// No damaged image of these sizes takes more rounds.
const MOST_ROUNDS: u32 = 200;

/// The complete files of a volume, by the place of their entry: path and content.
type Files = BTreeMap<u64, (String, Vec<u8>)>;

fn each_file(volume: &Volume<&Vec<u8>>, visit: &mut dyn FnMut(&str, &volume::Entry)) {
    let mut seen = std::collections::BTreeSet::new();
    let mut waiting = vec![String::new()];
    while let Some(folder) = waiting.pop() {
        for entry in volume.list(&folder).unwrap_or_default() {
            let path = format!("{folder}/{}", entry.name);
            visit(&path, &entry);
            let enters = entry.is_dir() && begins_as_folder(volume, &entry);
            if enters && seen.insert(entry.first_cluster) && path.len() < 2000 {
                waiting.push(path);
            }
        }
    }
}

/// A folder that begins as none is not believed: what it lists may be anything.
fn begins_as_folder(volume: &Volume<&Vec<u8>>, entry: &volume::Entry) -> bool {
    let mut slots = [0; 64];
    let offset = volume.geometry().cluster_offset(entry.first_cluster);
    let read = offset.map(|offset| volume.device().read_at(offset, &mut slots));
    let is_dots = |slot: &[u8], name: &[u8]| slot[..11] == *name && slot[11] & 0x18 == 0x10;
    let begins = is_dots(&slots, b".          ") || is_dots(&slots[32..], b"..         ");
    matches!(read, Some(Ok(()))) && begins
}

fn complete_files(image: &Vec<u8>) -> Files {
    let Ok(volume) = Volume::open(image) else {
        return Files::new();
    };
    let mut files = Vec::new();
    each_file(&volume, &mut |path, entry| {
        // What has no content may be anything that looks like an entry.
        if !entry.is_dir() && entry.len_bytes > 0 {
            files.push((path.to_owned(), entry.clone()));
        }
    });
    let entries: Vec<_> = files.iter().map(|(_, entry)| entry.clone()).collect();
    let Ok(inspections) = volume.inspect(&entries) else {
        return Files::new();
    };
    let whole = |inspection: &volume::Inspection| {
        let harmless = |p: &ChainProblem| matches!(p, ChainProblem::NulTail { .. });
        inspection.problems.iter().all(harmless)
    };
    files
        .into_iter()
        .zip(inspections)
        .filter(|(_, inspection)| whole(inspection))
        .map(|((path, entry), _)| {
            let content = volume.read(&entry, u64::from(u32::MAX)).unwrap();
            (entry.slot_offset_bytes, (path, content))
        })
        .collect()
}

/// All rounds, each applied; what an error leaves is unchanged or a part of the repair.
fn repair(image: &mut Vec<u8>, limits: RepairLimits) -> Result<RepairReport, RepairError> {
    let before = image.clone();
    let mut report = Vec::new();
    for round in 0..MOST_ROUNDS {
        let planned = match Volume::open(&*image) {
            Ok(volume) => volume.repair(limits, TIME),
            Err(error) => Err(RepairError::Open(error)),
        };
        let planned = match planned {
            Ok(planned) => planned,
            Err(error) => {
                assert!(round > 0 || *image == before, "an error changes nothing");
                return Err(error);
            }
        };
        support::apply(image, &planned.changes);
        report.push(planned.report);
        if planned.is_complete {
            // Small images are done in one round.
            let last = report.pop().unwrap();
            return Ok(report.into_iter().next().unwrap_or(last));
        }
    }
    panic!("no end after {MOST_ROUNDS} rounds");
}

/// `fsck.fat -n`: whether it finds nothing to mend, and what it says.
fn judged(image: &[u8]) -> (bool, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(image).unwrap();
    let output = tool::output(tool::command("fsck.fat").arg("-n").arg(file.path()), b"");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text)
}

/// Repairs an image and has everything judged.
#[track_caller]
fn mended(image: &mut Vec<u8>) -> RepairReport {
    let found = image.clone();
    let before = complete_files(image);
    let report = repair(image, RepairLimits::default()).unwrap();
    check_mended(&before, image, &report, &found);
    report
}

#[track_caller]
fn check_mended(before: &Files, image: &mut Vec<u8>, report: &RepairReport, found: &[u8]) {
    let (clean, text) = judged(image);
    let left = |f: &volume::Finding| matches!(f.fault, Fault::Left { .. });
    if !clean && !report.findings().iter().any(left) {
        let said: Vec<String> = report.findings().iter().map(ToString::to_string).collect();
        panic!(
            "{text}\nafter\n{}\nbefore\n{}",
            said.join("\n"),
            judged(found).1
        );
    }
    let after = complete_files(image);
    for (slot, (path, content)) in before {
        let kept = after.get(slot);
        assert!(
            kept.is_some_and(|(_, now)| now == content),
            "{path}: {:?} of {} bytes, {:?}",
            kept.map(|(path, now)| (path, now.len())),
            content.len(),
            report.findings()
        );
    }
    let again = Volume::open(&*image).unwrap();
    let again = again.repair(RepairLimits::default(), TIME).unwrap();
    assert!(
        again.is_complete && again.changes.is_empty(),
        "{:?}",
        again.report
    );
    assert!(!Volume::open(&*image).unwrap().repair_needed().unwrap());
}

/// A volume with something of everything.
fn sample(mkfs: Mkfs) -> Vec<u8> {
    let mut image = support::in_memory(mkfs);
    support::edit_bytes(&mut image, |edit| {
        edit.make_dir("prompts", TIME).unwrap();
        edit.make_dir("prompts/a folder with a long name", TIME)
            .unwrap();
        for number in 0..30_u64 {
            let folder =
                ["", "prompts/", "prompts/a folder with a long name/"][number as usize % 3];
            let path = format!("{folder}question number {number} of thirty.txt");
            let len = usize::try_from(number * number * 7).unwrap();
            edit.create(&path, &support::content(number, len), TIME)
                .unwrap();
        }
        edit.create("A.TXT", &support::content(100, 2500), TIME)
            .unwrap();
        edit.create("B.TXT", &support::content(101, 2500), TIME)
            .unwrap();
    });
    image
}

/// A sample and the means to damage it.
struct Bench {
    image: Vec<u8>,
    geometry: Geometry,
}

impl Bench {
    fn new(mkfs: Mkfs) -> Self {
        let image = sample(mkfs);
        let geometry = Volume::open(&image).unwrap().geometry().clone();
        Self { image, geometry }
    }

    fn entry(&self, path: &str) -> volume::Entry {
        let found = Volume::open(&self.image).unwrap().find(path).unwrap();
        found.unwrap_or_else(|| panic!("{path} is not there"))
    }

    fn first(&self, path: &str) -> u32 {
        self.entry(path).first_cluster
    }

    fn read(&self, path: &str) -> Vec<u8> {
        let entry = self.entry(path);
        let volume = Volume::open(&self.image).unwrap();
        volume.read(&entry, u64::from(u32::MAX)).unwrap()
    }

    fn link(&mut self, from: u32, to: u32) {
        support::set_table_entry(&mut self.image, &self.geometry, from, to);
    }

    fn link_in(&mut self, copy: u64, from: u32, to: u32) {
        let at = support::table_entry_at(&self.geometry, copy, from);
        let count = usize::try_from(self.geometry.fat_type.entry_bytes()).unwrap();
        self.image[at..at + count].copy_from_slice(&to.to_le_bytes()[..count]);
    }

    fn patch(&mut self, path: &str, at: u64, bytes: &[u8]) {
        let slot = self.entry(path).slot_offset_bytes;
        self.image.write_at(slot + at, bytes).unwrap();
    }

    fn start_at(&mut self, path: &str, cluster: u32) {
        let bytes = cluster.to_le_bytes();
        self.patch(path, 26, &bytes[..2]);
        self.patch(path, 20, &bytes[2..]);
    }

    fn end(&self) -> u32 {
        support::end_mark(&self.geometry)
    }

    #[track_caller]
    fn mend(&mut self) -> Vec<Fault> {
        let report = mended(&mut self.image);
        report.findings().iter().map(|f| f.fault.clone()).collect()
    }
}

fn each(test: impl Fn(Bench)) {
    KINDS.map(Bench::new).into_iter().for_each(test);
}

#[test]
fn a_whole_volume_stays_as_it_is() {
    each(|mut bench| {
        let before = bench.image.clone();
        assert_eq!(bench.mend(), []);
        assert!(bench.image == before);
        assert!(!Volume::open(&bench.image).unwrap().repair_needed().unwrap());
    });
}

#[test]
fn dirty_marks_of_all_kinds_are_cleared() {
    for kind in 0..4 {
        each(|mut bench| {
            let at = if bench.geometry.root == (volume::Root::Chain { first_cluster: 2 }) {
                0x41
            } else {
                0x25
            };
            let clean = bench.end();
            let reserved = |fat32: u32, fat16: u32| if at == 0x41 { fat32 } else { fat16 };
            match kind {
                0 => bench.image[at] |= 1,
                1 => bench.image[at] |= 2,
                2 => bench.link(1, clean & !reserved(0x0800_0000, 0x8000)),
                _ => bench.link(1, clean & !reserved(0x0400_0000, 0x4000)),
            }
            assert!(Volume::open(&bench.image).unwrap().repair_needed().unwrap());
            assert_eq!(bench.mend(), [Fault::Dirty]);
        });
    }
}

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

#[test]
fn shared_clusters_on_a_full_volume_end_the_later_file() {
    each(|mut bench| {
        let free = Volume::open(&bench.image).unwrap().free_bytes().unwrap();
        let fill = support::content(1, usize::try_from(free).unwrap() - 2 * 512);
        support::edit_bytes(&mut bench.image, |edit| {
            edit.create("FILL", &fill, TIME).unwrap()
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

#[test]
fn folders_that_are_damaged() {
    // `.` and `..`, leading elsewhere or not there.
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
    // A folder whose cluster holds something else: an empty folder, and its clusters as a file.
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
    // Its content did not arrive.
    each(|mut bench| {
        support::edit_bytes(&mut bench.image, |edit| edit.make_dir("new", TIME).unwrap());
        let offset = bench.geometry.cluster_offset(bench.first("new")).unwrap();
        bench.image.write_at(offset, &[0; 512]).unwrap();
        assert_eq!(bench.mend(), [Fault::Dots, Fault::Dots]);
    });
    // The table did not arrive.
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
    // No cluster, and a length.
    each(|mut bench| {
        let first = bench.first("prompts");
        bench.patch("prompts", 28, &[1]);
        assert_eq!(bench.mend(), [Fault::FolderLength]);
        bench.start_at("prompts", 0);
        let faults = bench.mend();
        assert_eq!(faults[0], Fault::NoStart);
        assert_ne!(bench.first("prompts"), first);
    });
    // Two entries for one folder, as a move leaves them.
    each(|mut bench| {
        support::edit_bytes(&mut bench.image, |edit| {
            edit.make_dir("zweite", TIME).unwrap()
        });
        let (first, spare) = (bench.first("prompts"), bench.first("zweite"));
        bench.start_at("zweite", first);
        bench.link(spare, 0);
        let faults = bench.mend();
        assert!(faults.contains(&Fault::SecondEntry), "{faults:?}");
        bench.read("prompts/question number 1 of thirty.txt");
    });
    // A folder inside itself, and one that runs on into a file.
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
fn entries_that_are_damaged() {
    // A forbidden character in a short name: renamed, and the long name stays.
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
    // The same name twice.
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
    // A long name whose short name has gone, and one whose parts are out of order.
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
    // A file that looks like a label, or like a folder.
    each(|mut bench| {
        let content = bench.read("A.TXT");
        bench.patch("A.TXT", 11, &[0x28]);
        assert_eq!(bench.mend(), [Fault::Attributes]);
        assert_eq!(bench.read("A.TXT"), content);
        bench.patch("A.TXT", 11, &[0x30]);
        assert_eq!(bench.mend(), [Fault::IsAFile]);
        assert_eq!(bench.read("A.TXT"), content);
    });
    // Garbage.
    each(|mut bench| {
        support::edit_bytes(&mut bench.image, |edit| {
            edit.create("X.TXT", b"", TIME).unwrap()
        });
        let slot = bench.entry("X.TXT").slot_offset_bytes;
        bench.image.write_at(slot, &[7, 8, 9]).unwrap();
        bench.image.write_at(slot + 26, &[0xFF, 0xFF]).unwrap();
        bench.image.write_at(slot + 20, &[0xFF, 0xFF]).unwrap();
        assert_eq!(bench.mend(), [Fault::Garbage]);
    });
    // Something behind the end mark.
    each(|mut bench| {
        support::edit_bytes(&mut bench.image, |edit| edit.make_dir("new", TIME).unwrap());
        let offset = bench.geometry.cluster_offset(bench.first("new")).unwrap();
        bench.image.write_at(offset + 5 * 32, &[b'x'; 64]).unwrap();
        assert_eq!(bench.mend(), [Fault::BehindEnd { slots: 2 }]);
    });
    // An end mark before entries.
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

#[test]
fn free_space_is_counted_again() {
    let mut bench = Bench::new(KINDS[1]);
    let sector = usize::try_from(bench.geometry.fs_info_offset_bytes.unwrap()).unwrap();
    for (at, bytes) in [
        (488, [1, 2]),
        (492, [0xFF, 0x7F]),
        (0, [0, 0]),
        (484, [0, 0]),
        (510, [0, 0]),
    ] {
        bench.image[sector + at..sector + at + 2].copy_from_slice(&bytes);
        assert_eq!(bench.mend(), [Fault::FreeSpace], "{at}");
        let free = Volume::open(&bench.image).unwrap().free_bytes().unwrap() / 512;
        let said = u32::from_le_bytes(bench.image[sector + 488..sector + 492].try_into().unwrap());
        assert_eq!(u64::from(said), free);
    }
}

#[test]
fn many_lost_chains_go_to_a_folder() {
    each(|mut bench| {
        let count = 300;
        let last = bench.geometry.last_cluster();
        let end = bench.end();
        for number in 0..count {
            bench.link(last - 2 * number, end);
            let offset = bench.geometry.cluster_offset(last - 2 * number).unwrap();
            bench
                .image
                .write_at(offset, &support::content(u64::from(number), 512))
                .unwrap();
        }
        let report = mended(&mut bench.image);
        let recovered = |f: &&volume::Finding| matches!(f.fault, Fault::Recovered { .. });
        assert_eq!(
            report.findings().iter().filter(recovered).count(),
            count as usize
        );
        assert_eq!(
            Volume::open(&bench.image)
                .unwrap()
                .list("FOUND.000")
                .unwrap()
                .len(),
            count as usize - 64
        );
        assert_eq!(
            bench.read("FSCK0000.REC"),
            support::content(u64::from(count - 1), 512)
        );
        assert_eq!(
            bench.read("FOUND.000/FSCK0000.REC"),
            support::content(u64::from(count - 65), 512)
        );
        // More of them later.
        bench.link(last - 2 * count, end);
        mended(&mut bench.image);
        assert_eq!(
            Volume::open(&bench.image)
                .unwrap()
                .list("FOUND.000")
                .unwrap()
                .len(),
            count as usize - 63
        );
    });
}

#[test]
fn without_room_for_an_entry_the_chain_stays() {
    let mut bench = Bench::new(KINDS[0]);
    let volume::Root::Fixed { slots, .. } = bench.geometry.root else {
        panic!()
    };
    // Fill the root with short names.
    support::edit_bytes(&mut bench.image, |edit| {
        for number in 0..slots {
            if edit.create(&format!("R{number}"), b"", TIME).is_err() {
                break;
            }
        }
    });
    let (last, end) = (bench.geometry.last_cluster(), bench.end());
    bench.link(last, end);
    bench.image[0x25] |= 1;
    let faults = bench.mend();
    assert!(
        faults.contains(&Fault::Left {
            first_cluster: last,
            clusters: 1
        }),
        "{faults:?}"
    );
}

/// A device that remembers what is written to it.
struct Recorder {
    image: Vec<u8>,
    at: u64,
    writes: Rc<std::cell::RefCell<Vec<(u64, Vec<u8>)>>>,
}

impl Read for Recorder {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.image.read_at(self.at, buf)?;
        self.at += buf.len() as u64;
        Ok(buf.len())
    }
}

impl Write for Recorder {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.image.write_at(self.at, buf)?;
        self.writes.borrow_mut().push((self.at, buf.to_vec()));
        self.at += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Recorder {
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        let base = |base: u64, by: i64| base.checked_add_signed(by);
        let at = match pos {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => base(self.at, by),
            SeekFrom::End(by) => base(self.image.as_slice().len() as u64, by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

type Writes = Vec<(u64, Vec<u8>)>;

/// Somebody works with the volume: copies, overwrites, appends, makes folders, renames, removes.
fn fatfs_session(image: &[u8]) -> Writes {
    let writes = Rc::default();
    let device = Recorder {
        image: image.to_vec(),
        at: 0,
        writes: Rc::clone(&writes),
    };
    let system = fatfs::FileSystem::new(device, fatfs::FsOptions::new()).unwrap();
    let root = system.root_dir();
    let put = |path: &str, content: &[u8]| {
        let mut file = root.create_file(path).unwrap();
        file.truncate().unwrap();
        file.write_all(content).unwrap();
        file.flush().unwrap();
    };
    put(
        "prompts/a new prompt with a long name.txt",
        &support::content(50, 3000),
    );
    root.create_dir("prompts/another").unwrap();
    put("prompts/another/inside.txt", &support::content(51, 700));
    put("A.TXT", &support::content(52, 6000));
    let mut file = root.open_file("B.TXT").unwrap();
    file.seek(SeekFrom::End(0)).unwrap();
    file.write_all(&support::content(53, 2000)).unwrap();
    drop(file);
    root.remove("prompts/question number 1 of thirty.txt")
        .unwrap();
    root.rename("question number 3 of thirty.txt", &root, "renamed.txt")
        .unwrap();
    root.rename("prompts/a folder with a long name", &root, "moved")
        .unwrap();
    for number in 0..20 {
        put(
            &format!("prompts/another/file number {number}.txt"),
            &support::content(number, 100),
        );
    }
    drop(root);
    system.unmount().unwrap();
    by_sector(image, &writes.take())
}

/// The writes as a host sends them: whole sectors, and what changes in one without a pause at once.
fn by_sector(image: &[u8], writes: &Writes) -> Writes {
    let mut image = image.to_vec();
    let mut sectors: Writes = Vec::new();
    for (at, data) in writes {
        image.write_at(*at, data).unwrap();
        let last = at + data.len().max(1) as u64 - 1;
        for sector in at / 512..=last / 512 {
            let start = usize::try_from(sector * 512).unwrap();
            let content = image[start..start + 512].to_vec();
            match sectors.last_mut() {
                Some((same, before)) if *same == start as u64 => *before = content,
                _ => sectors.push((start as u64, content)),
            }
        }
    }
    sectors
}

/// The same with mtools, whose writes are known as the sectors that each command changed.
fn mtools_session(image: &[u8]) -> Writes {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(image).unwrap();
    let path = file.path().to_owned();
    let mut writes = Vec::new();
    let mut before = image.to_vec();
    let mut step = |act: &dyn Fn()| {
        act();
        let after = support::bytes(&path);
        for (number, (old, new)) in before.chunks(512).zip(after.chunks(512)).enumerate() {
            if old != new {
                writes.push((number as u64 * 512, new.to_vec()));
            }
        }
        before = after;
    };
    let mtools = |name: &str, arguments: &[&str]| {
        let mut command = tool::command(name);
        tool::expect(command.arg("-i").arg(&path).args(arguments));
    };
    step(&|| {
        support::mcopy_in(
            &path,
            &support::content(60, 4000),
            "prompts/with mtools.txt",
        )
    });
    step(&|| support::mmd(&path, "folder of mtools"));
    step(&|| support::mcopy_in(&path, &support::content(61, 1500), "folder of mtools/x.txt"));
    step(&|| mtools("mdel", &["::A.TXT"]));
    step(&|| {
        mtools(
            "mmove",
            &["::prompts/a folder with a long name", "::folder of mtools"],
        )
    });
    step(&|| mtools("mren", &["::B.TXT", "::C.TXT"]));
    step(&|| support::mcopy_in(&path, &support::content(62, 9000), "reuses.txt"));
    writes
}

/// What the host had not touched must be as it was, whatever is judged complete in between.
#[track_caller]
fn cut_session(base: &[u8], writes: &Writes, geometry: &Geometry) {
    let dirty_at = if geometry.fs_info_offset_bytes.is_some() {
        0x41
    } else {
        0x25
    };
    let prefixes = (0..=writes.len()).step_by((writes.len() / SUBSETS as usize).max(1));
    for prefix in prefixes {
        let mut image = base.to_vec();
        for (at, data) in &writes[..prefix] {
            image.write_at(*at, data).unwrap();
        }
        image[dirty_at] |= 1;
        mended(&mut image);
    }
    for seed in 0..SUBSETS {
        let mut random = Random::new(seed);
        let mut image = base.to_vec();
        // Everything up to a point is there, or most; of what follows, any part; sectors are whole.
        let until = random.below(writes.len());
        for (number, (at, data)) in writes.iter().enumerate() {
            if number < until && random.below(10) > 0 || random.below(3) == 0 {
                let len = if random.below(4) == 0 {
                    data.len().min(512)
                } else {
                    data.len()
                };
                image.write_at(*at, &data[..len]).unwrap();
            }
        }
        image[dirty_at] |= 1;
        println!("subset with seed {seed}");
        mended(&mut image);
    }
}

#[test]
fn a_session_of_fatfs_cut_anywhere() {
    // `fatfs` takes FAT32 only with as many clusters as it should have.
    let fat32 = Mkfs {
        mib: 34,
        ..Mkfs::FAT32
    };
    for mkfs in [KINDS[0], fat32] {
        let base = sample(mkfs);
        let geometry = Volume::open(&base).unwrap().geometry().clone();
        let writes = fatfs_session(&base);
        assert!(writes.len() > 100, "{}", writes.len());
        cut_session(&base, &writes, &geometry);
    }
}

#[test]
fn a_session_of_mtools_cut_anywhere() {
    let base = sample(KINDS[0]);
    let geometry = Volume::open(&base).unwrap().geometry().clone();
    let writes = mtools_session(&base);
    assert!(writes.len() > 40, "{}", writes.len());
    cut_session(&base, &writes, &geometry);
}

/// Most reads of a round (docs/SPEC.md 1.4).
fn most_reads(geometry: &Geometry, change_bytes: u64) -> u64 {
    let scan = geometry.fat_bytes.div_ceil(64 * 1024);
    let clusters = u64::from(geometry.clusters);
    let slots = u64::from(volume::MAX_TREE_SLOTS) + u64::from(volume::MAX_DIR_SLOTS);
    let piece = u64::from(geometry.cluster_bytes.min(4096));
    let walk = 2 * ((slots * 32).div_ceil(piece) + volume::MAX_TREE_FOLDERS as u64 + 1);
    let changed = change_bytes / u64::from(geometry.sector_bytes);
    32 * clusters + 8 * scan + 2 * walk + 16 * changed + 64
}

/// Damages some bytes where it matters.
fn damage(image: &mut [u8], geometry: &Geometry, random: &mut Random) {
    for _ in 0..=random.below(16) {
        let (start, len) = match random.below(9) {
            0..3 => (geometry.fat_offset_bytes, 400),
            3 => (geometry.fat_offset_bytes + geometry.fat_bytes, 400),
            4 => (geometry.fs_info_offset_bytes.unwrap_or(0x25), 1),
            5..7 => match geometry.root {
                // Not the label, which comes first: it stays as it is, also for fsck.fat.
                volume::Root::Fixed { offset_bytes, .. } => (offset_bytes + 32, 2000),
                volume::Root::Chain { .. } => (geometry.data_offset_bytes + 32, 2000),
            },
            _ => (geometry.data_offset_bytes + 512, 20_000),
        };
        let at = usize::try_from(start).unwrap() + random.below(len);
        match random.below(8) {
            // A sector that did not arrive.
            0 => {
                let at = at / 512 * 512;
                if start % 512 != 32 || at > usize::try_from(start).unwrap() {
                    image[at..at + 512].fill([0, 0xFF, b'x'][random.below(3)]);
                }
            }
            1..4 => image[at] = random.byte(),
            4..6 => image[at] = u8::try_from(2 + random.below(60)).unwrap(),
            _ => {
                image[at] =
                    [0, 1, 0x0F, 0x10, 0x2E, 0x40, 0x80, 0xE5, 0xF7, 0xF8, 0xFF][random.below(11)]
            }
        }
    }
}

fn damaged(mkfs: Mkfs) {
    let base = sample(mkfs);
    let geometry = Volume::open(&base).unwrap().geometry().clone();
    let mut repaired = 0;
    for seed in 0..DAMAGED {
        let outcome = std::panic::catch_unwind(|| {
            let mut random = Random::new(seed);
            let mut image = base.clone();
            damage(&mut image, &geometry, &mut random);
            let found = image.clone();
            let device = CountingDevice::new(&found);
            if let Ok(volume) = Volume::open(&device) {
                device.take_reads();
                let _ = volume.repair(RepairLimits::default(), TIME);
                let bound = most_reads(&geometry, RepairLimits::default().change_bytes);
                let reads = device.take_reads();
                assert!(reads <= bound, "{reads} reads, the bound is {bound}");
                assert!(device.longest_bytes() <= 64 * 1024);
            }
            let before = complete_files(&image);
            match repair(&mut image, RepairLimits::default()) {
                Ok(report) => {
                    check_mended(&before, &mut image, &report, &found);
                    true
                }
                Err(RepairError::Open(_) | RepairError::Read(ReadError::TreeTooLarge)) => false,
                Err(error) => panic!("{error}"),
            }
        });
        let outcome = outcome.unwrap_or_else(|_| panic!("replay with seed {seed} of {mkfs:?}"));
        repaired += u64::from(outcome);
    }
    assert!(repaired > DAMAGED / 2, "{repaired}");
}

#[test]
fn damaged_fat16_volumes() {
    damaged(KINDS[0]);
}

#[test]
fn damaged_fat32_volumes() {
    damaged(KINDS[1]);
}

/// A volume with a fault of most kinds.
fn wreck(mkfs: Mkfs) -> Vec<u8> {
    let mut bench = Bench::new(mkfs);
    let (a, b, end) = (bench.first("A.TXT"), bench.first("B.TXT"), bench.end());
    bench.link(b + 1, a + 2);
    bench.link_in(1, a, end);
    let last = bench.geometry.last_cluster();
    bench.link(last, end);
    bench.patch("question number 21 of thirty.txt", 28, &[0; 4]);
    bench.patch("question number 24 of thirty.txt", 0, b"*");
    bench.patch("prompts/question number 28 of thirty.txt", 0, &[0xE5]);
    let dirty_at = if mkfs.fat == 32 { 0x41 } else { 0x25 };
    bench.image[dirty_at] |= 1;
    bench.image
}

#[test]
fn the_power_goes_while_repairing() {
    for mkfs in KINDS {
        let image = wreck(mkfs);
        let before = complete_files(&image);
        let paged: PagedImage = image[..].into();
        let limits = RepairLimits::default();
        let mut random = Random::new(11);
        for cut_at in 0.. {
            let lab = PowerLab::new(AfterCut::image_only(paged.clone()), Some(cut_at));
            let first = volume::repair_with(&mut lab.device(), &mut lab.journal(), limits, TIME);
            if !lab.was_cut() {
                first.unwrap();
                break;
            }
            for fate in [
                Fate::Lost,
                Fate::Kept,
                Fate::Torn(100),
                Fate::Random(random.bits()),
            ] {
                let lab = PowerLab::new(lab.after_cut(fate), None);
                volume::recover_with(&mut lab.device(), &mut lab.journal()).unwrap();
                let report =
                    volume::repair_with(&mut lab.device(), &mut lab.journal(), limits, TIME);
                let mut after = vec![0; image.len()];
                lab.device().read_at(0, &mut after).unwrap();
                check_mended(&before, &mut after, &report.unwrap(), &image);
            }
        }
    }
}

#[test]
fn a_large_repair_takes_several_rounds() {
    let mkfs = Mkfs {
        mib: 16,
        ..KINDS[0]
    };
    let mut bench = Bench {
        image: support::in_memory(mkfs),
        geometry: Bench::new(mkfs).geometry,
    };
    let content = support::content(7, 5 << 20);
    support::edit_bytes(&mut bench.image, |edit| {
        edit.create("LARGE", &content, TIME).unwrap();
        edit.create("OTHER", b"x", TIME).unwrap();
    });
    let first = bench.first("LARGE");
    bench.start_at("OTHER", first);
    bench.patch("OTHER", 28, &(5_u32 << 20).to_le_bytes());
    bench.image[0x25] |= 1;
    let mut rounds = 0;
    loop {
        let limits = RepairLimits::with_change_bytes(1 << 20);
        let planned = Volume::open(&bench.image)
            .unwrap()
            .repair(limits, TIME)
            .unwrap();
        let bytes = planned.changes.sectors().len() as u64 * 512;
        assert!(bytes <= (1 << 20) + (1 << 16), "{bytes}");
        support::apply(&mut bench.image, &planned.changes);
        rounds += 1;
        // Whole after every round, and dirty until the last.
        assert!(bench.read("LARGE") == content);
        assert!(bench.read("OTHER") == content);
        let is_dirty = Volume::open(&bench.image).unwrap().repair_needed().unwrap();
        assert_eq!(is_dirty, !planned.is_complete);
        if planned.is_complete {
            break;
        }
    }
    assert!(rounds > 4, "{rounds}");
    assert_eq!(bench.mend(), []);
}

/// What `fsck.fat -a` throws away is kept here.
#[test]
fn more_is_kept_than_fsck_keeps() {
    for mkfs in KINDS {
        let image = wreck(mkfs);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&image).unwrap();
        let _ = tool::output(tool::command("fsck.fat").arg("-a").arg(file.path()), b"");
        let theirs = support::bytes(file.path());
        let mut ours = image.clone();
        mended(&mut ours);
        let used = |image: &Vec<u8>| {
            let volume = Volume::open(image).unwrap();
            u64::from(volume.geometry().clusters) - volume.free_bytes().unwrap() / 512
        };
        // Two lost chains, the rest of a file with length 0, the shared clusters of the later file.
        assert!(
            used(&ours) > used(&theirs) + 5,
            "{} {}",
            used(&ours),
            used(&theirs)
        );
        assert!(used(&ours) >= used(&image));
    }
}
