//! Repair: `fsck.fat -n` finds nothing afterwards, every file that was complete is still the same
//! bytes, and a second repair finds nothing to do.

use std::collections::BTreeMap;
use std::io::Write;

use crate::support::tool;
use volume::{ChainProblem, Fault, Geometry, ReadError, RepairError, RepairLimits, RepairReport};
use volume::{ReadAt, Volume, WriteAt};

use super::support::{self, Mkfs, TIME};

mod chains;
mod damage;
mod folders;
mod lost;
mod rounds;
mod sessions;

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

    /// What the first table says of a cluster.
    fn next(&self, cluster: u32) -> u32 {
        let at = support::table_entry_at(&self.geometry, 0, cluster);
        let mut entry = [0; 4];
        let count = usize::try_from(self.geometry.fat_type.entry_bytes()).unwrap();
        entry[..count].copy_from_slice(&self.image[at..at + count]);
        u32::from_le_bytes(entry)
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
