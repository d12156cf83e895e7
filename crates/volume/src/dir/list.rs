//! Entries of a folder, and entries by path.
//!
//! Bounds: a path has at most [`MAX_PATH_DEPTH`] parts, each of which costs one folder at most.
//! Used by [`crate::Volume`] and by edits.

use super::entry::{DirPlace, Entry};
use super::lfn::{self, LongName};
use super::short;
use super::slots::SlotReader;
use crate::device::ReadAt;
use crate::error::ReadError;
use crate::names::{self, MAX_PATH_DEPTH};
use crate::view::View;

/// What the boot sector says for "no label".
const NO_NAME: &[u8; 11] = b"NO NAME    ";

/// Calls `visit` with each entry of a folder, and its short name as stored, until it gives
/// something.
pub(crate) fn entries<D: ReadAt + ?Sized, T>(
    view: View<'_, D>,
    place: DirPlace,
    mut visit: impl FnMut(Entry, &[u8; 11]) -> Option<T>,
) -> Result<Option<T>, ReadError> {
    let mut slots = SlotReader::new(view, place);
    let mut long = LongName::new();
    while let Some(slot) = slots.next()? {
        let Some(long_name) = lfn::feed_slot(&mut long, &slot) else {
            continue;
        };
        // `.` and `..`; no other short name may begin with a dot.
        if slot.bytes[0] == b'.' {
            continue;
        }
        let entry = Entry::decode(&slot, long_name, view.geometry.fat_type, view.code_page);
        let mut short = [0; 11];
        short.copy_from_slice(&slot.bytes[..11]);
        if let Some(found) = visit(entry, &short) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// All entries of the folder at `path`.
pub(crate) fn list<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    path: &str,
) -> Result<Vec<Entry>, ReadError> {
    let place = find_folder(view, path)?;
    let mut found = Vec::new();
    entries(view, place, |entry, _| {
        found.push(entry);
        None::<()>
    })
    .map_err(|error| named(error, path))?;
    Ok(found)
}

/// The folder at `path`; the root for a path without parts.
pub(crate) fn find_folder<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    path: &str,
) -> Result<DirPlace, ReadError> {
    if parts(path)?.is_empty() {
        return Ok(DirPlace::root(view.geometry));
    }
    match find(view, path)? {
        Some(entry) if entry.is_dir() => Ok(DirPlace::of(&entry)),
        Some(_) => Err(ReadError::NotAFolder {
            path: path.to_owned(),
        }),
        None => Err(ReadError::NotFound {
            path: path.to_owned(),
        }),
    }
}

/// The entry at `path`; `None` where it, or a folder on the way, is not there.
pub(crate) fn find<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    path: &str,
) -> Result<Option<Entry>, ReadError> {
    let mut place = DirPlace::root(view.geometry);
    let mut found: Option<Entry> = None;
    for part in parts(path)? {
        if let Some(folder) = &found {
            if !folder.is_dir() {
                return Ok(None);
            }
            place = DirPlace::of(folder);
        }
        found = find_in(view, place, part).map_err(|error| named(error, path))?;
        if found.is_none() {
            return Ok(None);
        }
    }
    Ok(found)
}

/// The entry of this name in a folder: spelt exactly so, else in another case, else by short name.
fn find_in<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    place: DirPlace,
    name: &str,
) -> Result<Option<Entry>, ReadError> {
    let folded = names::fold(name);
    let mut by_case = None;
    let mut by_short = None;
    let exact = entries(view, place, |entry, _| {
        if entry.name == name {
            return Some(entry);
        }
        if by_case.is_none() && names::folds_to(&entry.name, &folded) {
            by_case = Some(entry);
        } else if by_short.is_none() && names::folds_to(&entry.short_name, &folded) {
            by_short = Some(entry);
        }
        None
    })?;
    Ok(exact.or(by_case).or(by_short))
}

/// The root directory's label, else the boot sector's.
pub(crate) fn label<D: ReadAt + ?Sized>(view: View<'_, D>) -> Result<Option<String>, ReadError> {
    let mut slots = SlotReader::new(view, DirPlace::root(view.geometry));
    while let Some(slot) = slots.next()? {
        if slot.bytes[0] != super::DELETED && lfn::is_label(&slot.bytes) {
            return Ok(short::decode_label(&slot.bytes[..11], view.code_page));
        }
    }
    let boot = view.geometry.boot_label.filter(|label| label != NO_NAME);
    Ok(boot.and_then(|label| short::decode_label(&label, view.code_page)))
}

/// A path's folder and its last part.
pub(crate) fn split_parent(path: &str) -> (&str, &str) {
    path.trim_end_matches('/')
        .rsplit_once('/')
        .unwrap_or(("", path.trim_end_matches('/')))
}

fn parts(path: &str) -> Result<Vec<&str>, ReadError> {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .take(MAX_PATH_DEPTH + 1)
        .collect();
    if parts.len() > MAX_PATH_DEPTH {
        Err(ReadError::PathTooDeep)
    } else {
        Ok(parts)
    }
}

/// Says which folder's chain is broken.
fn named(error: ReadError, path: &str) -> ReadError {
    match error {
        ReadError::Chain { problem, .. } => ReadError::Chain {
            name: path.to_owned(),
            problem,
        },
        other => other,
    }
}
