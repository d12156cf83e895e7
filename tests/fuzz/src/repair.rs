//! Target of the repair: whatever a volume looks like, afterwards it is whole, a second repair
//! finds nothing, and the content of every file that was whole before is there, byte for byte: in
//! its place, or, where its folder was damaged, at the beginning of a recovered file.

use std::collections::BTreeMap;

use volume::testing::PagedImage;
use volume::{
    ChainProblem, Entry, Fault, ReadAt, RepairError, RepairLimits, RepairReport, Volume,
    repair_with,
};

use crate::base::TIME;
use crate::budget::Budget;
use crate::image::Recipe;
use crate::input::Input;
use crate::journal::MemoryJournal;
use crate::metered::Metered;

/// Most folders that are looked into for files.
const MAX_FOLDERS: usize = 64;
/// Deepest of them, bytes of its path.
const MAX_PATH_BYTES: usize = 1000;

/// The whole files of a volume by the place of their entry: path and content.
type Files = BTreeMap<u64, (String, Vec<u8>)>;

/// Repairs an image.
pub fn fat_repair(data: &[u8]) {
    let mut image = Recipe::read(&mut Input(data)).final_image();
    let (found, before) = (image.clone(), whole_files(&image));
    plan(&image);
    match repair(&mut image) {
        Ok(report) => check(&before, &image, &report),
        Err(RepairError::Open(_)) => assert_eq!(image, found),
        // Memory does not fail, and no folder of an image of some MiB is entered twice, so that
        // there are never too many.
        Err(error) => panic!("a repair has nothing else to say: {error}"),
    }
}

/// The first round, within its budget.
fn plan(image: &PagedImage) {
    let device = Metered::still(image.clone());
    let Ok(volume) = Volume::open(&device) else {
        return;
    };
    let limits = RepairLimits::default();
    let limit = Budget::of(volume.geometry()).repair(limits);
    let _ = limit.within(&device, "repair", || volume.repair(limits, TIME));
}

fn repair(image: &mut PagedImage) -> Result<RepairReport, RepairError> {
    let mut journal = MemoryJournal::default();
    let report = repair_with(image, &mut journal, RepairLimits::default(), TIME);
    assert!(journal.is_gone(), "no journal is left");
    report
}

fn check(before: &Files, image: &PagedImage, report: &RepairReport) {
    let volume = Volume::open(image).expect("it was opened to be repaired");
    assert!(!volume.repair_needed().expect("memory does not fail"));
    let again = volume.repair(RepairLimits::default(), TIME);
    let again = again.expect("a repaired volume can be repaired");
    let settled = again.is_complete && again.changes.is_empty();
    assert!(settled, "{:?}\nafter\n{report:?}", again.report);
    let left = |fault: &Fault| matches!(fault, Fault::Left { .. });
    let findings = report.findings();
    if !findings.iter().any(|finding| left(&finding.fault)) {
        let after = whole_files(image);
        for (slot, (path, content)) in before {
            let in_place = after.get(slot).is_some_and(|(_, now)| now == content);
            let mut files = after.values();
            let is_kept = in_place || files.any(|(_, now)| now.starts_with(content));
            assert!(is_kept, "{path} is gone: {report:?}");
        }
        let entries: Vec<Entry> = tree(&volume).into_iter().map(|(_, entry)| entry).collect();
        let inspections = volume.inspect(&entries).expect("the tree was walked");
        for (entry, found) in entries.iter().zip(inspections) {
            assert!(
                found.problems.iter().all(is_nul_tail),
                "{entry:?}: {found:?}"
            );
        }
    }
}

fn is_nul_tail(problem: &ChainProblem) -> bool {
    matches!(problem, ChainProblem::NulTail { .. })
}

/// Every entry that can be reached by folders that begin as such.
fn tree(volume: &Volume<&PagedImage>) -> Vec<(String, Entry)> {
    let mut found = Vec::new();
    let mut entered = std::collections::BTreeSet::new();
    let mut waiting = vec![String::new()];
    while let Some(folder) = waiting.pop() {
        for entry in volume.list(&folder).unwrap_or_default() {
            let path = format!("{folder}/{}", entry.name);
            let enters = entry.is_dir()
                && begins_as_folder(volume, &entry)
                && path.len() < MAX_PATH_BYTES
                && entered.len() < MAX_FOLDERS
                && entered.insert(entry.first_cluster);
            if enters {
                waiting.push(path.clone());
            }
            found.push((path, entry));
        }
    }
    found
}

/// A folder that begins as none is not believed: what it lists may be anything.
fn begins_as_folder(volume: &Volume<&PagedImage>, entry: &Entry) -> bool {
    let mut slots = [0; 64];
    let offset = volume.geometry().cluster_offset(entry.first_cluster);
    let read = offset.map(|offset| volume.device().read_at(offset, &mut slots));
    let is_dots = |slot: &[u8], name: &[u8]| slot[..11] == *name && slot[11] & 0x18 == 0x10;
    let begins = is_dots(&slots, b".          ") || is_dots(&slots[32..], b"..         ");
    matches!(read, Some(Ok(()))) && begins
}

/// What has no content is left out: it may be anything that looks like an entry.
fn whole_files(image: &PagedImage) -> Files {
    let Ok(volume) = Volume::open(image) else {
        return Files::new();
    };
    let mut files = tree(&volume);
    files.retain(|(_, entry)| !entry.is_dir() && entry.len_bytes > 0);
    let entries: Vec<Entry> = files.iter().map(|(_, entry)| entry.clone()).collect();
    let Ok(inspections) = volume.inspect(&entries) else {
        return Files::new();
    };
    let whole = |problems: &[ChainProblem]| problems.iter().all(is_nul_tail);
    let files = files.into_iter().zip(inspections);
    let files = files.filter(|(_, found)| whole(&found.problems));
    files
        .map(|((path, entry), _)| {
            let content = volume.read(&entry, u64::from(u32::MAX));
            let content = content.expect("its chain was followed");
            (entry.slot_offset_bytes, (path, content))
        })
        .collect()
}
