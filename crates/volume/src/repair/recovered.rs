//! Where recovered files go: `FSCK0000.REC` and so on in the root, as `fsck.fat` names them; after
//! [`MAX_IN_ROOT`] of them, or when the root is full, in a folder `FOUND.000`.

use std::collections::BTreeSet;

use super::names::{self, ShortName};
use super::slots::{Folder, Slots};
use super::state::{Repairer, Step};
use crate::device::ReadAt;
use crate::dir::MAX_DIR_SLOTS;
use crate::dir::{ATTR_ARCHIVE, ATTR_DIRECTORY, DELETED, DIR_SLOT_BYTES, DirPlace, END, lfn};

/// Most recovered files in the root: a FAT16 root has no room for many.
const MAX_IN_ROOT: usize = 64;
/// `FSCK0000.REC` to `FSCK9999.REC`.
const NUMBERS: u16 = 10_000;
/// `FOUND.000` to `FOUND.009`, should a file have the first of these names.
const FOLDERS: u8 = 10;

/// The two places, read when the first file is recovered.
#[derive(Default)]
pub(super) struct Recovered {
    root: Option<Place>,
    folder: Option<Place>,
    /// The folder cannot be made.
    has_no_folder: bool,
}

/// A folder that takes recovered files.
struct Place {
    path: String,
    /// Offsets of its free slots, the first one last.
    free: Vec<u64>,
    slots: u32,
    last_cluster: Option<u32>,
    numbers: BTreeSet<u16>,
    next_number: u16,
    /// Entries that are named as the folder for recovered files might be, and their clusters.
    found: [Option<u32>; FOLDERS as usize],
}

impl Place {
    fn take_number(&mut self) -> Option<u16> {
        let number = (self.next_number..NUMBERS).find(|n| !self.numbers.contains(n))?;
        self.next_number = number + 1;
        self.numbers.insert(number);
        Some(number)
    }
}

impl<D: ReadAt> Repairer<'_, D> {
    /// Makes an entry for a lost chain; its path, or `None` where there is no room.
    pub(super) fn new_file(
        &mut self,
        recovered: &mut Recovered,
        first_cluster: u32,
        len_bytes: u32,
    ) -> Step<Option<String>> {
        let mut root = match recovered.root.take() {
            Some(place) => place,
            None => self.place(&Folder::root(self.geometry))?,
        };
        let mut made = None;
        if root.numbers.len() < MAX_IN_ROOT && self.leaves_room(&mut root)? {
            made = self.put_file(&mut root, first_cluster, len_bytes)?;
        }
        if made.is_none() {
            self.open_folder(recovered, &mut root)?;
            if let Some(folder) = &mut recovered.folder {
                made = self.put_file(folder, first_cluster, len_bytes)?;
            }
        }
        recovered.root = Some(root);
        Ok(made)
    }

    /// Whether the root has a slot more than the one for the folder.
    fn leaves_room(&mut self, root: &mut Place) -> Step<bool> {
        let has_folder = root.found.iter().flatten().any(|cluster| *cluster != 0);
        Ok(has_folder || root.free.len() > 1 || self.grow(root)?)
    }

    fn put_file(
        &mut self,
        place: &mut Place,
        first_cluster: u32,
        len_bytes: u32,
    ) -> Step<Option<String>> {
        if place.free.is_empty() && !self.grow(place)? {
            return Ok(None);
        }
        let Some(number) = place.take_number() else {
            return Ok(None);
        };
        let Some(offset) = place.free.pop() else {
            return Ok(None);
        };
        let name = file_name(number);
        let entry = self.entry(&name, ATTR_ARCHIVE, first_cluster, len_bytes);
        self.edit.write(offset, &entry)?;
        Ok(Some(format!("{}{}", place.path, names::shown(&name))))
    }

    /// Opens the folder for recovered files, or makes it.
    fn open_folder(&mut self, recovered: &mut Recovered, root: &mut Place) -> Step {
        if recovered.folder.is_some() || recovered.has_no_folder {
            return Ok(());
        }
        recovered.has_no_folder = true;
        let existing = (0..).zip(&root.found).find(|(_, found)| **found != Some(0));
        let Some((number, found)) = existing else {
            return Ok(());
        };
        let name = folder_name(number);
        let cluster = match *found {
            Some(cluster) => cluster,
            None => match self.make_folder(root, &name)? {
                Some(cluster) => cluster,
                None => return Ok(()),
            },
        };
        let shown = names::shown(&name);
        let mut folder = self.place(&Folder::root(self.geometry).child(cluster, &shown))?;
        folder.path = format!("{shown}/");
        recovered.folder = Some(folder);
        recovered.has_no_folder = false;
        Ok(())
    }

    fn make_folder(&mut self, root: &mut Place, name: &ShortName) -> Step<Option<u32>> {
        if root.free.is_empty() && !self.grow(root)? {
            return Ok(None);
        }
        let Some(cluster) = self.new_folder(0)? else {
            return Ok(None);
        };
        if let Some(offset) = root.free.pop() {
            let entry = self.entry(name, ATTR_DIRECTORY, cluster, 0);
            self.edit.write(offset, &entry)?;
        }
        Ok(Some(cluster))
    }

    /// Reads a folder that was checked.
    fn place(&self, folder: &Folder) -> Step<Place> {
        let mut place = Place {
            path: String::new(),
            free: Vec::new(),
            slots: 0,
            last_cluster: self.last_cluster(folder.place)?,
            numbers: BTreeSet::new(),
            next_number: 0,
            found: [None; FOLDERS as usize],
        };
        let mut slots = Slots::new(folder.place);
        while let Some(slot) = self.next_slot(&mut slots)? {
            place.slots += 1;
            if matches!(slot.bytes[0], END | DELETED) {
                place.free.push(slot.offset_bytes);
            } else if !lfn::is_long(&slot.bytes) && !lfn::is_label(&slot.bytes) {
                let mut name = [0; 11];
                name.copy_from_slice(&slot.bytes[..11]);
                place.numbers.extend(file_number(&name));
                let is_folder = slot.bytes[11] & ATTR_DIRECTORY != 0;
                let cluster = if is_folder {
                    self.start(&slot.bytes)
                } else {
                    0
                };
                for (number, found) in (0..).zip(&mut place.found) {
                    if folder_name(number) == name {
                        *found = Some(cluster);
                    }
                }
            }
        }
        place.free.reverse();
        Ok(place)
    }

    fn last_cluster(&self, place: DirPlace) -> Step<Option<u32>> {
        let DirPlace::Chain { first_cluster } = place else {
            return Ok(None);
        };
        let mut last = first_cluster;
        while let Some(next) = self.next(last)? {
            last = next;
        }
        Ok(Some(last))
    }

    /// Adds a cluster to a folder; false when it has a fixed size, or is or the volume is full.
    fn grow(&mut self, place: &mut Place) -> Step<bool> {
        let Some(last) = place.last_cluster.filter(|_| place.slots < MAX_DIR_SLOTS) else {
            return Ok(false);
        };
        let Some(cluster) = self.allocate(true)? else {
            return Ok(false);
        };
        self.edit.set_entry(last, cluster)?;
        place.last_cluster = Some(cluster);
        let count = self.geometry.cluster_bytes / DIR_SLOT_BYTES;
        place.slots += count;
        let start = self.geometry.cluster_offset(cluster).unwrap_or(u64::MAX);
        let offsets = (0..count).map(|number| start + u64::from(number * DIR_SLOT_BYTES));
        place.free.splice(0..0, offsets.rev());
        Ok(true)
    }
}

fn file_name(number: u16) -> ShortName {
    let mut name = *b"FSCK0000REC";
    name[4..8].copy_from_slice(format!("{number:04}").get(..4).unwrap_or("0000").as_bytes());
    name
}

fn file_number(name: &ShortName) -> Option<u16> {
    let digits = std::str::from_utf8(&name[4..8]).ok()?;
    let number = digits.parse().ok().filter(|number| *number < NUMBERS)?;
    (file_name(number) == *name).then_some(number)
}

fn folder_name(number: u8) -> ShortName {
    let mut name = *b"FOUND   000";
    name[10] += number % FOLDERS;
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(file_name(37), *b"FSCK0037REC");
        assert_eq!(file_number(b"FSCK0037REC"), Some(37));
        assert_eq!(file_number(b"FSCK+037REC"), None);
        assert_eq!(file_number(b"FSCK0037TXT"), None);
        assert_eq!(folder_name(3), *b"FOUND   003");
    }
}
