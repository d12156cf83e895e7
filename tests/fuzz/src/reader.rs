//! Targets of the FAT reader: everything that it can be asked for, on any image, within the budget.

use volume::{Entry, MAX_NAME_UNITS, ReadError, Volume};

use crate::alloc::peak_of;
use crate::base::TIME;
use crate::budget::Budget;
use crate::image::Recipe;
use crate::input::Input;
use crate::metered::Metered;

/// Paths that the base images have, and one that goes round in a folder that contains itself.
const FOLDERS: [&str; 5] = [
    "",
    "prompts",
    "ask",
    "prompts/a folder with a long name",
    "prompts/prompts/prompts",
];
const PATHS: [&str; 3] = [
    "PROMPTS/A FOLDER WITH A LONG NAME/QUESTION NUMBER 2 OF TWELVE.TXT",
    "settings.toml",
    "a.txt/b",
];
/// Most files that are read one by one.
const MAX_FILES: usize = 24;
/// What is written.
const ANSWER: &[u8] = &[b'x'; 3000];
/// Longest content that is asked for.
const CONTENT_BYTES: u64 = 64 * 1024;

/// An image that stays as it is.
pub fn fat_image(data: &[u8]) {
    let recipe = Recipe::read(&mut Input(data));
    let len_bytes = recipe.len_bytes;
    let image = recipe.final_image();
    read_everything(&Metered::new(Recipe {
        image,
        len_bytes,
        later: Vec::new(),
    }));
}

/// An image that changes between reads.
pub fn fat_changing(data: &[u8]) {
    read_everything(&Metered::new(Recipe::read(&mut Input(data))));
}

/// Uses all of a volume, each operation within its budget.
pub fn read_everything(device: &Metered) {
    let (opened, memory) = peak_of(|| Volume::open(device));
    Budget::OPEN.check("open", device, memory);
    let Ok(volume) = opened else { return };
    let budget = Budget::of(volume.geometry());
    let _ = budget
        .dirty_marks()
        .within(device, "dirty marks", || volume.dirty_marks());
    let _ = budget.label().within(device, "label", || volume.label());
    let _ = budget
        .free_bytes()
        .within(device, "free space", || volume.free_bytes());
    let mut entries = Vec::new();
    for folder in FOLDERS {
        let limit = budget.list(parts(folder));
        let listed = limit.within(device, "list", || volume.list(folder));
        entries.extend(listed.unwrap_or_default());
    }
    entries.iter().for_each(check_entry);
    for path in PATHS {
        let limit = budget.find(parts(path));
        let _ = limit.within(device, "find", || volume.find(path));
    }
    read_files(device, &volume, &budget, &entries);
    inspect(device, &volume, &budget, &entries);
    let scanned = budget
        .scan()
        .within(device, "scan", || scan::Scan::read(&volume));
    if let Ok(scan) = scanned {
        let _ = (scan.observations(), scan.as_view(), scan.exists("a.txt"));
    }
    edit(device, &volume, &budget);
}

fn parts(path: &str) -> u64 {
    path.split('/').filter(|part| !part.is_empty()).count() as u64
}

/// What a directory says is one name that a path can hold.
fn check_entry(entry: &Entry) {
    for name in [&entry.name, &entry.short_name] {
        assert!(!matches!(&name[..], "" | "." | ".."), "{entry:?}");
        assert!(!name.contains(['/', '\\', '\0', '\n', '"']), "{entry:?}");
        assert!(name.encode_utf16().count() <= MAX_NAME_UNITS, "{entry:?}");
    }
}

fn read_files(device: &Metered, volume: &Volume<&Metered>, budget: &Budget, entries: &[Entry]) {
    for entry in entries.iter().take(MAX_FILES) {
        let limit = budget.read(u64::from(entry.len_bytes).min(CONTENT_BYTES));
        let read = limit.within(device, "read", || volume.read(entry, CONTENT_BYTES));
        if let Ok(content) = read {
            assert_eq!(content.len() as u64, u64::from(entry.len_bytes));
        }
    }
}

fn inspect(device: &Metered, volume: &Volume<&Metered>, budget: &Budget, entries: &[Entry]) {
    device.take_reads();
    let (inspected, memory_bytes) = peak_of(|| volume.inspect(entries));
    match inspected {
        Ok(inspections) => {
            assert_eq!(inspections.len(), entries.len());
            let pieces: usize = inspections.iter().map(|found| found.pieces).sum();
            let limit = budget.inspect(entries, pieces as u64);
            limit.check("inspect", device, memory_bytes);
        }
        Err(ReadError::Io(_) | ReadError::TreeTooLarge) => {}
        Err(error) => panic!("an inspection has nothing else to say: {error}"),
    }
}

/// An edit of such a volume is refused or not; its change set is of whole sectors of the volume.
fn edit(device: &Metered, volume: &Volume<&Metered>, budget: &Budget) {
    let mut edit = volume.edit();
    let path = "prompts/a new response.txt";
    let limit = budget.create(parts(path), ANSWER.len() as u64);
    let _ = limit.within(device, "create", || edit.create(path, ANSWER, TIME));
    let path = "ask/new folder";
    let limit = budget.create(parts(path), 1);
    let _ = limit.within(device, "make a folder", || edit.make_dir(path, TIME));
    let limit = budget.replace(1, u64::from(u32::MAX), ANSWER.len() as u64);
    let _ = limit.within(device, "replace", || edit.replace("a.txt", ANSWER, TIME));
    let limit = budget.finish(3, 2 * ANSWER.len() as u64);
    let Ok(changes) = limit.within(device, "finish", || edit.finish()) else {
        return;
    };
    let geometry = volume.geometry();
    let volume_end = geometry.partition_offset_bytes + geometry.volume_bytes;
    let mut at = geometry.partition_offset_bytes;
    for sector in changes.sectors() {
        assert!(sector.offset_bytes >= at, "in order and in the volume");
        at = sector.offset_bytes + sector.after.len() as u64;
        assert!(at <= volume_end);
        assert_eq!(sector.before.len(), sector.after.len());
    }
}
