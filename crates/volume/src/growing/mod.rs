//! A FAT16 volume that only grows: files are added to its root, and nothing else ever happens to
//! it.
//!
//! For a read-only drive whose host may have cached any earlier state. Invariants, checked before
//! each write (`guard`) and when a volume is opened (`whole`):
//! * the boot sector, the label and all that was once written stay bit-identical; only free
//!   clusters, table entries that say "free" and directory slots never used are written;
//! * so no cluster, no slot, no long and no short name ever means two things in the volume's life;
//! * a reader in the midst of a write sees the files from before, or those and some new ones.
//!
//! No journal and no sync: the device can make the volume again from what it stands for, and
//! does so after a power cut. Used by the program for the drive `ANSWERS`.

mod guard;
mod number;
mod room;
mod whole;

use crate::boot::FatType;
use crate::device::{ReadAt, WriteAt};
use crate::dir::Entry;
use crate::error::{EditError, GrowingError};
use crate::format::{FormatOptions, format};
use crate::time::FatTime;
use crate::volume::Volume;

pub use room::Room;

/// Most numbers that are tried to make a name unique; a root has fewer slots.
const NAME_TRIES_MAX: u32 = 1 << 16;

/// A file to add.
#[derive(Clone, Copy, Debug)]
pub struct NewFile<'a> {
    /// The name that it should have.
    pub name: &'a str,
    /// Its bytes.
    pub content: &'a [u8],
    /// All three of its times.
    pub time: FatTime,
}

/// A volume that only grows, on a device of its own.
#[derive(Debug)]
pub struct GrowingVolume<D> {
    device: D,
}

impl<D: WriteAt> GrowingVolume<D> {
    /// Makes an empty one that fills the device. Everything that was there is lost, so the device
    /// is a fresh one that no host has seen.
    ///
    /// # Errors
    /// The label is none, the device's size does not suit FAT16, or the device failed.
    pub fn create(
        mut device: D,
        label: &str,
        serial: u32,
        cluster_bytes: u32,
        root_slots: u16,
    ) -> Result<Self, GrowingError> {
        let options = FormatOptions {
            label: Some(label.to_owned()),
            serial,
            cluster_bytes: Some(cluster_bytes),
            fat_type: Some(FatType::Fat16),
            root_slots: Some(root_slots),
            partitioned: false,
        };
        format(&mut device, &options)?;
        Ok(Self { device })
    }

    /// Adds files to the root, all of them or none, and returns the names that they got: the ones
    /// asked for, or `NAME (2).response.txt` and so on where the volume has seen that name.
    ///
    /// # Errors
    /// There is no room for all of them ([`Room::take`] says so beforehand), FAT cannot store a
    /// name, or the device failed. Only in the last case, or where a bug would have changed what
    /// is visible, is the volume to be made again; see [`GrowingError::is_fatal`].
    pub fn append(&mut self, files: &[NewFile<'_>]) -> Result<Vec<String>, GrowingError> {
        let volume = Volume::open(&self.device)?;
        let mut edit = volume.edit();
        let mut names = Vec::with_capacity(files.len());
        for file in files {
            names.push(add(&mut edit, file)?);
        }
        let changes = edit.finish()?;
        let ordered = guard::in_order(&volume, &changes)?;
        for sector in ordered {
            self.device
                .write_at(sector.offset_bytes, &sector.after)
                .map_err(GrowingError::Write)?;
        }
        Ok(names)
    }
}

impl<D: ReadAt> GrowingVolume<D> {
    /// Takes one that was made earlier. Nothing is written.
    ///
    /// # Errors
    /// It is not one, or was left in the midst of a write: make another.
    pub fn open(device: D) -> Result<Self, GrowingError> {
        let volume = Volume::open(&device)?;
        whole::check(&volume)?;
        Ok(Self { device })
    }

    /// The volume's serial number.
    ///
    /// # Errors
    /// The device failed.
    pub fn serial(&self) -> Result<u32, GrowingError> {
        Ok(Volume::open(&self.device)?.serial())
    }

    /// The files, in the order in which they were added.
    ///
    /// # Errors
    /// The device failed.
    pub fn files(&self) -> Result<Vec<Entry>, GrowingError> {
        Ok(Volume::open(&self.device)?.list("")?)
    }

    /// What can still be added.
    ///
    /// # Errors
    /// The device failed.
    pub fn room(&self) -> Result<Room, GrowingError> {
        Room::of(&Volume::open(&self.device)?)
    }
}

/// Adds one file under the first name that is free.
fn add<D: ReadAt>(
    edit: &mut crate::Edit<'_, D>,
    file: &NewFile<'_>,
) -> Result<String, GrowingError> {
    for number in 1..=NAME_TRIES_MAX {
        let name = number::numbered(file.name, number);
        match edit.create(&name, file.content, file.time) {
            Ok(()) => return Ok(name),
            Err(EditError::Exists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(EditError::FolderFull.into())
}
