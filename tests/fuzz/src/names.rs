//! Target of names: slots that a host wrote become names that a path can hold; a name that we write
//! comes back as it was; and the name of every answer can be written beside its prompt.

use mailbox::name::split_path;
use mailbox::{EntryFacts, error_path, question_in_name, response_path, role};
use volume::testing::PagedImage;
use volume::{EditError, Entry, Geometry, MAX_NAME_UNITS, Root, Volume, WriteAt};

use crate::base::{TIME, bases};
use crate::input::Input;

const SLOT_BYTES: usize = 32;
/// Slots of a root that a fuzzer writes.
const MAX_SLOTS: usize = 64;
/// Longest name that is tried, UTF-16 units: some more than there may be.
const MAX_UNITS: usize = 300;

/// The first byte says what the rest is: slots of a root directory, or a name in UTF-8 or UTF-16.
pub fn long_name(data: &[u8]) {
    let mut input = Input(data);
    match input.u8().map(|kind| kind % 3) {
        Some(0) => slots(input.0),
        Some(1) => name(&String::from_utf8_lossy(input.0)),
        Some(_) => {
            let (pairs, _) = input.0.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
            name(&String::from_utf16_lossy(&units));
        }
        None => {}
    }
}

/// A volume whose root has these slots and no others.
fn with_root(slots: &[u8]) -> (PagedImage, Geometry) {
    let base = &bases()[0];
    let Root::Fixed { offset_bytes, .. } = base.geometry.root else {
        unreachable!("the first base image is FAT16");
    };
    let mut image = base.image.clone();
    let mut root = vec![0; (MAX_SLOTS + 1) * SLOT_BYTES];
    root[..slots.len()].copy_from_slice(slots);
    let written = image.write_at(offset_bytes, &root);
    written.expect("a root has more slots than that");
    (image, base.geometry.clone())
}

fn slots(bytes: &[u8]) {
    let whole = bytes.len().min(MAX_SLOTS * SLOT_BYTES) / SLOT_BYTES * SLOT_BYTES;
    let (image, _) = with_root(&bytes[..whole]);
    let volume = Volume::open(&image).expect("the boot sector is sound");
    let entries = volume.list("").expect("a fixed root has no chain");
    for entry in &entries {
        assert!(
            !entry.name.is_empty() && !entry.name.contains('/'),
            "{entry:?}"
        );
        let found = volume.find(&entry.name).expect("a fixed root has no chain");
        let found = found.expect("a name that is listed is found");
        let first = entries.iter().find(|other| other.name == entry.name);
        assert_eq!(Some(&found), first);
        answers(&entry.name);
        written_again(entry);
    }
}

/// A name that a volume has can be written to another, unless hosts would not open it there.
fn written_again(entry: &Entry) {
    let hosts_drop = entry.name.ends_with(['.', ' ']);
    let is_long = entry.name.encode_utf16().count() > MAX_NAME_UNITS;
    assert!(!is_long, "{entry:?}");
    assert_eq!(written(&entry.name), !hosts_drop, "{entry:?}");
}

fn name(text: &str) {
    let text: String = text.chars().take(MAX_UNITS).collect();
    let plain = !text.contains('/') && !text.is_empty();
    if plain && written(&text) {
        answers(&text);
    }
}

/// Whether a file of this name can be made; if so it is there by that name, and only once.
fn written(name: &str) -> bool {
    let (mut image, _) = with_root(&[]);
    let volume = Volume::open(&image).expect("the boot sector is sound");
    let mut edit = volume.edit();
    match edit.create(name, b"x", TIME) {
        Ok(()) => {}
        Err(EditError::BadName { .. }) => return false,
        Err(error) => panic!("{name:?}: {error}"),
    }
    let again = edit.create(name, b"y", TIME);
    assert!(matches!(again, Err(EditError::Exists { .. })), "{name:?}");
    let changes = edit.finish().expect("memory does not fail");
    drop(volume);
    for sector in changes.sectors() {
        let written = image.write_at(sector.offset_bytes, &sector.after);
        written.expect("a sector of the volume");
    }
    let volume = Volume::open(&image).expect("the boot sector is sound");
    let entries = volume.list("").expect("a fixed root has no chain");
    let names: Vec<&str> = entries.iter().map(|entry| &entry.name[..]).collect();
    assert_eq!(names, [name]);
    for other in [name.to_uppercase(), entries[0].short_name.clone()] {
        let found = volume.find(&other).expect("a fixed root has no chain");
        // Some capitals are more than one character; FAT keeps those apart.
        let same_length = other.chars().count() == name.chars().count();
        assert!(found.is_some() || !same_length, "{name:?} as {other:?}");
    }
    true
}

/// What the stick makes of a prompt of this name, and the names of its answers.
fn answers(name: &str) {
    for folder in ["", "prompts/", "ask/", "elsewhere/"] {
        let path = format!("{folder}{name}");
        for len_bytes in [0, 5] {
            let facts = EntryFacts {
                len_bytes,
                ..EntryFacts::default()
            };
            let role = role(&path, facts);
            assert!(!(role.is_prompt() && folder == "elsewhere/"), "{path:?}");
            if !role.is_prompt() {
                continue;
            }
            assert!(question_in_name(&path).len() <= name.len());
            for answer in [
                response_path(&path, &|_| false),
                error_path(&path, &|_| false),
            ] {
                let answer = answer.expect("none is taken");
                assert!(answer.starts_with(folder), "{path:?}: {answer:?}");
                assert!(written(split_path(&answer).1), "{path:?}: {answer:?}");
                let ours = mailbox::role(&answer, facts);
                assert_eq!(ours, mailbox::Role::Ours, "{answer:?}");
            }
        }
    }
}
