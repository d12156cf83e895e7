//! Edits: files and folders are made or replaced on top of a volume, and the outcome is a change
//! set. Nothing is written here.
//!
//! Invariants: a call that fails leaves the edit as it was; the boot sector, the label and whatever
//! a call does not name stay bit-identical; clusters that a call frees are not used by that call.
//! `overlay` holds the sectors, `table` the allocation, `folder` the slots, `short_name` and
//! `taken` the names.

mod folder;
mod overlay;
mod short_name;
mod table;
mod taken;

use crate::boot::Geometry;
use crate::change::{ChangeSet, Identity};
use crate::device::ReadAt;
use crate::dir::{self, ATTR_ARCHIVE, ATTR_DIRECTORY, CodePage, Entry};
use crate::error::{EditError, ReadError};
use crate::fat::FatCache;
use crate::inspect;
use crate::names;
use crate::time::FatTime;
use crate::view::View;

pub(crate) use folder::{NewEntry, encode_entry};
pub(crate) use overlay::Overlay;
pub(crate) use short_name::free_number;
pub(crate) use table::{FsInfo, fs_info_sector};

use table::TableState;
use taken::Taken;

/// Most bytes that one edit changes: it is held in memory, before and after, and journalled.
pub const MAX_CHANGE_BYTES: u64 = 64 * 1024 * 1024;

/// Changes to a volume that see each other and are published together.
pub struct Edit<'a, D: ReadAt> {
    pub(crate) overlay: Overlay<'a, D>,
    geometry: &'a Geometry,
    cache: FatCache,
    code_page: CodePage,
    table: TableState,
    table_before_call: TableState,
    /// The names in the folders into which something was put.
    taken: Vec<Taken>,
}

impl<D: ReadAt> std::fmt::Debug for Edit<'_, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edit")
            .field("held_bytes", &self.overlay.held_bytes())
            .finish()
    }
}

impl<'a, D: ReadAt> Edit<'a, D> {
    pub(crate) fn new(device: &'a D, geometry: &'a Geometry, code_page: CodePage) -> Self {
        Self {
            overlay: Overlay::new(device, geometry),
            geometry,
            cache: FatCache::default(),
            code_page,
            table: TableState::default(),
            table_before_call: TableState::default(),
            taken: Vec::new(),
        }
    }

    /// Makes a file. All three of its times become `time`.
    ///
    /// # Errors
    /// The name exists or is not allowed, the folder is not there, or there is no room.
    pub fn create(&mut self, path: &str, content: &[u8], time: FatTime) -> Result<(), EditError> {
        self.call(|edit| {
            let place = edit.place_for(path)?;
            edit.expect_free(place, path)?;
            let first_cluster = edit.store(content)?;
            let len_bytes = edit.checked_len(content)?;
            let entry = NewEntry {
                attributes: ATTR_ARCHIVE,
                first_cluster,
                len_bytes,
                time,
            };
            edit.insert(place, path, &entry)
        })
    }

    /// Makes a folder. All its times become `time`.
    ///
    /// # Errors
    /// As [`Edit::create`].
    pub fn make_dir(&mut self, path: &str, time: FatTime) -> Result<(), EditError> {
        self.call(|edit| {
            let place = edit.place_for(path)?;
            edit.expect_free(place, path)?;
            let first_cluster = edit.store_folder(place, time)?;
            let attributes = ATTR_DIRECTORY;
            let entry = NewEntry {
                attributes,
                first_cluster,
                len_bytes: 0,
                time,
            };
            edit.insert(place, path, &entry)
        })
    }

    /// Gives an existing file new content and the modification time `time`. The new content takes
    /// other clusters than the old one had, which are freed; names and attributes stay.
    ///
    /// # Errors
    /// The file is not there, is a folder, is damaged, or there is no room for old and new.
    pub fn replace(&mut self, path: &str, content: &[u8], time: FatTime) -> Result<(), EditError> {
        self.call(|edit| {
            let entry = edit.existing_file(path)?;
            let mut chain = Vec::new();
            let keep = |extents| chain = extents;
            let one = std::slice::from_ref(&entry);
            let inspections = inspect::inspect_and_keep(edit.view(), one, keep)?;
            let old = inspections.into_iter().next().unwrap_or_default();
            let harmless =
                |p: &&inspect::ChainProblem| !matches!(p, inspect::ChainProblem::NulTail { .. });
            if let Some(problem) = old.problems.iter().find(harmless) {
                let problem = *problem;
                return Err(EditError::Damaged {
                    name: path.to_owned(),
                    problem,
                });
            }
            let first_cluster = edit.store(content)?;
            let len_bytes = edit.checked_len(content)?;
            edit.free(&chain)?;
            edit.rewrite_entry(&entry, first_cluster, len_bytes, time)
        })
    }

    /// Ends the edit: the sectors that change, as they are and as they shall be.
    ///
    /// # Errors
    /// The device failed, or the edit holds more than [`MAX_CHANGE_BYTES`].
    pub fn finish(mut self) -> Result<ChangeSet, EditError> {
        self.write_fs_info()?;
        let device_bytes = self.overlay.len();
        let identity = Identity::of(self.geometry, device_bytes);
        let sectors = self.overlay.finish().map_err(ReadError::Io)?;
        Ok(ChangeSet { identity, sectors })
    }

    /// Runs one call: all of it or none of it.
    fn call(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<(), EditError>,
    ) -> Result<(), EditError> {
        self.table_before_call = self.table.clone();
        let outcome = change(self).and_then(|()| self.check_size(0));
        if outcome.is_ok() {
            self.overlay.keep();
        } else {
            self.overlay.undo();
            self.taken.clear();
            self.table = self.table_before_call.clone();
        }
        self.cache.clear();
        outcome
    }

    /// Refuses what would make the edit larger than one transaction holds.
    fn check_size(&self, more_bytes: u64) -> Result<(), EditError> {
        let bytes = self.overlay.held_bytes().saturating_add(more_bytes);
        if bytes > MAX_CHANGE_BYTES {
            return Err(EditError::TooLarge {
                bytes,
                limit_bytes: MAX_CHANGE_BYTES,
            });
        }
        Ok(())
    }

    fn checked_len(&self, content: &[u8]) -> Result<u32, EditError> {
        let too_large = EditError::TooLarge {
            bytes: content.len() as u64,
            limit_bytes: MAX_CHANGE_BYTES,
        };
        u32::try_from(content.len()).map_err(|_| too_large)
    }

    /// The folder of something to be made, its name being allowed.
    fn place_for(&self, path: &str) -> Result<dir::DirPlace, EditError> {
        let (parent, name) = dir::split_parent(path);
        names::check(name).map_err(|why| EditError::BadName {
            name: name.to_owned(),
            why,
        })?;
        Ok(dir::find_folder(self.view(), parent)?)
    }

    fn existing_file(&self, path: &str) -> Result<Entry, EditError> {
        match dir::find(self.view(), path)? {
            Some(entry) if entry.is_dir() => Err(ReadError::IsAFolder {
                name: path.to_owned(),
            }
            .into()),
            Some(entry) => Ok(entry),
            None => Err(ReadError::NotFound {
                path: path.to_owned(),
            }
            .into()),
        }
    }

    pub(crate) fn view(&self) -> View<'_, Overlay<'a, D>> {
        View {
            device: &self.overlay,
            geometry: self.geometry,
            cache: &self.cache,
            code_page: self.code_page,
        }
    }

    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), EditError> {
        self.overlay
            .write(offset, data)
            .map_err(|error| ReadError::Io(error).into())
    }
}
