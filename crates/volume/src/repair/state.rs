//! What the steps of a repair share: the overlay, the table through it, and the report.

use std::io;

use super::report::{Fault, Finding, RepairLimits, RepairReport};
use crate::bitmap::Bitmap;
use crate::boot::Geometry;
use crate::bytes::{index, is_zero, put};
use crate::device::ReadAt;
use crate::dir::{self, CodePage};
use crate::edit::Edit;
use crate::error::{EditError, ReadError, RepairError};
use crate::fat::{FatCache, FatValue, end_mark, raw_at};
use crate::scan::SCAN_WINDOW_BYTES;
use crate::time::FatTime;

/// Why a step stops before its end.
pub(super) enum Halt {
    /// The round has changed as much as it may.
    RoundFull,
    /// The repair cannot go on.
    Error(RepairError),
}

pub(super) type Step<T = ()> = Result<T, Halt>;

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Self::Error(RepairError::Read(ReadError::Io(error)))
    }
}

impl From<ReadError> for Halt {
    fn from(error: ReadError) -> Self {
        Self::Error(RepairError::Read(error))
    }
}

impl From<EditError> for Halt {
    fn from(error: EditError) -> Self {
        Self::Error(error.into())
    }
}

pub(super) struct Repairer<'a, D: ReadAt> {
    pub(super) edit: Edit<'a, D>,
    pub(super) device: &'a D,
    pub(super) geometry: &'a Geometry,
    /// The table as it is on the device, both copies.
    pub(super) original: FatCache,
    /// Which copy counts where the copies differ and both could.
    pub(super) preferred_copy: u8,
    /// Whether the copies differed anywhere.
    pub(super) tables_differ: bool,
    pub(super) used: Bitmap,
    /// Clusters that were looked at as the beginning of a folder, and are none. A folder may still
    /// go on there.
    pub(super) begins_none: Bitmap,
    /// Clusters that were looked at as the continuation of a folder, claimed for it or cut off.
    /// However many entries and chains lead to one, it is read once as either.
    pub(super) continued: Bitmap,
    /// No cluster is free any more; none becomes free in a repair.
    pub(super) is_full: bool,
    pub(super) report: RepairReport,
    pub(super) time: FatTime,
    change_bytes: u64,
}

impl<'a, D: ReadAt> Repairer<'a, D> {
    pub(super) fn new(
        device: &'a D,
        geometry: &'a Geometry,
        limits: RepairLimits,
        time: FatTime,
    ) -> Self {
        Self {
            edit: Edit::new(device, geometry, CodePage::default()),
            device,
            geometry,
            original: FatCache::default(),
            preferred_copy: 0,
            tables_differ: false,
            used: Bitmap::new(geometry.last_cluster()),
            begins_none: Bitmap::new(geometry.last_cluster()),
            continued: Bitmap::new(geometry.last_cluster()),
            is_full: false,
            report: RepairReport::default(),
            time,
            change_bytes: limits.change_bytes.max(RepairLimits::MIN_CHANGE_BYTES),
        }
    }

    /// Ends the round when it has changed enough. Called where the volume is no worse than before.
    pub(super) fn checkpoint(&self) -> Step {
        if self.edit.overlay.held_bytes() > self.change_bytes {
            Err(Halt::RoundFull)
        } else {
            Ok(())
        }
    }

    pub(super) fn found(&mut self, path: &str, fault: Fault) {
        self.report.add(Finding {
            path: path.to_owned(),
            fault,
        });
    }

    /// What the table, as repaired so far, says about a cluster of the volume.
    pub(super) fn value(&self, cluster: u32) -> Step<FatValue> {
        Ok(self.edit.view().fat_value(cluster)?)
    }

    /// The next cluster of a chain.
    pub(super) fn next(&self, cluster: u32) -> Step<Option<u32>> {
        match self.value(cluster)? {
            FatValue::Next(next) => Ok(Some(next)),
            _ => Ok(None),
        }
    }

    /// Whether a number is a cluster that is in use, so that a chain may start there.
    pub(super) fn is_in_use(&self, cluster: u32) -> Step<bool> {
        Ok(self.geometry.has_cluster(cluster)
            && matches!(self.value(cluster)?, FatValue::Next(_) | FatValue::End))
    }

    /// Makes a cluster the last of its chain.
    pub(super) fn end_chain(&mut self, cluster: u32) -> Step {
        Ok(self
            .edit
            .set_entry(cluster, end_mark(self.geometry.fat_type))?)
    }

    /// Allocates a cluster, filled with zeros or not at all; `None` when the volume is full.
    pub(super) fn allocate(&mut self, zeroed: bool) -> Step<Option<u32>> {
        if self.is_full {
            return Ok(None);
        }
        let allocated = if zeroed {
            self.edit.allocate_zeroed()
        } else {
            let clusters = self.edit.allocate(1);
            clusters.map(|clusters| clusters.first().copied().unwrap_or_default())
        };
        match allocated {
            Ok(cluster) => {
                self.used.set(cluster);
                Ok(Some(cluster))
            }
            Err(EditError::VolumeFull { .. }) => {
                self.is_full = true;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The raw entries from `first` on, as repaired so far: a window of the table, or what is left.
    pub(super) fn window(&self, first: u32) -> Step<Vec<u32>> {
        let fat_type = self.geometry.fat_type;
        let (count, mut buffer) = self.window_buffer(first);
        self.edit
            .overlay
            .read_at(self.geometry.fat_entry_offset(0, first), &mut buffer)?;
        if is_zero(&buffer) {
            return Ok(vec![0; index(u64::from(count))]);
        }
        let entry_bytes = index(u64::from(fat_type.entry_bytes()));
        let raw = |number| raw_at(fat_type, &buffer, number * entry_bytes);
        Ok((0..index(u64::from(count))).map(raw).collect())
    }

    /// How many entries a window from `first` on has, and room for it.
    pub(super) fn window_buffer(&self, first: u32) -> (u32, Vec<u8>) {
        let entry_bytes = u64::from(self.geometry.fat_type.entry_bytes());
        let left = u64::from(self.geometry.last_cluster() - first) + 1;
        let count = left.min(SCAN_WINDOW_BYTES / entry_bytes);
        let buffer = vec![0; index(count * entry_bytes)];
        (u32::try_from(count).unwrap_or(0), buffer)
    }

    /// The first cluster of a slot.
    pub(super) fn start(&self, slot: &[u8; 32]) -> u32 {
        dir::first_cluster(slot, self.geometry.fat_type)
    }

    /// Writes the first cluster into a slot in memory.
    pub(super) fn put_start(&self, slot: &mut [u8; 32], cluster: u32) {
        let bytes = cluster.to_le_bytes();
        put(slot, 26, &bytes[..2]);
        if self.geometry.fat_type == crate::FatType::Fat32 {
            put(slot, 20, &bytes[2..]);
        }
    }
}
