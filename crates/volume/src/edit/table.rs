//! Allocation: finds free clusters, links and frees them in every copy of the table, keeps
//! `FSInfo`, and stores file content in clusters.
//!
//! `FSInfo` (specification, "FAT32 `FSInfo` Sector Structure") is a hint: it is kept when it was
//! plausible and never believed.

use std::ops::ControlFlow;

use super::Edit;
use crate::boot::{FIRST_CLUSTER, FatType};
use crate::bytes::{index, put, u32_at};
use crate::device::ReadAt;
use crate::error::{EditError, ReadError};
use crate::fat::{FAT32_MASK, end_mark};
use crate::inspect::Extent;
use crate::scan;

const LEAD_SIGNATURE: u32 = 0x4161_5252;
const SECOND_SIGNATURE: u32 = 0x6141_7272;
const SECOND_SIGNATURE_AT: usize = 484;
const FREE_COUNT_AT: usize = 488;
const NEXT_FREE_AT: usize = 492;
const FS_INFO_BYTES: usize = 512;
/// Says that the number of free clusters is not known.
const UNKNOWN: u32 = 0xFFFF_FFFF;

/// What an edit knows of free space. `None` fields of `FSInfo` are left alone.
#[derive(Clone, Default)]
pub(super) struct TableState {
    loaded: bool,
    free_count: Option<u32>,
    next_free: Option<u32>,
    /// Where to look for the next free cluster.
    search_from: u32,
    changed: bool,
}

impl<D: ReadAt> Edit<'_, D> {
    /// Stores content in newly allocated clusters; the first one, or 0 for none.
    ///
    /// The rest of the last cluster is zeroed to the next sector border only: what lies behind it
    /// is not part of the file and not worth a write.
    pub(super) fn store(&mut self, content: &[u8]) -> Result<u32, EditError> {
        self.check_size(content.len() as u64)?;
        let count = u32::try_from(self.geometry.clusters_for(content.len() as u64));
        let clusters = self.allocate(count.unwrap_or(u32::MAX))?;
        for (cluster, part) in clusters
            .iter()
            .zip(content.chunks(self.geometry.cluster_len()))
        {
            let offset = self.geometry.cluster_offset(*cluster).unwrap_or(u64::MAX);
            self.write(offset, part)?;
            let padding = part.len().next_multiple_of(self.geometry.sector_len()) - part.len();
            self.write(offset + part.len() as u64, &vec![0; padding])?;
        }
        Ok(clusters.first().copied().unwrap_or(0))
    }

    /// Allocates `count` clusters and links them into a chain.
    pub(crate) fn allocate(&mut self, count: u32) -> Result<Vec<u32>, EditError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        self.load_state()?;
        let clusters = self.find_free(count)?;
        let links = clusters.iter().skip(1).copied().map(Some).chain([None]);
        for (cluster, next) in clusters.iter().zip(links) {
            self.set_entry(*cluster, next.unwrap_or(end_mark(self.geometry.fat_type)))?;
        }
        self.count_free(|free| free.checked_sub(count));
        if let Some(last) = clusters.last().copied() {
            self.table.next_free = self.table.next_free.map(|_| last);
            self.table.search_from = last;
        }
        self.table.changed = true;
        Ok(clusters)
    }

    /// Frees the clusters of a chain that was inspected.
    pub(super) fn free(&mut self, extents: &[Extent]) -> Result<(), EditError> {
        self.load_state()?;
        for extent in extents {
            for cluster in extent.first_cluster..extent.first_cluster + extent.clusters {
                self.set_entry(cluster, 0)?;
            }
            self.count_free(|free| free.checked_add(extent.clusters));
        }
        self.table.changed = true;
        Ok(())
    }

    /// Forgets what was read of the table, after it was written.
    pub(crate) fn forget_table(&self) {
        self.cache.clear();
    }

    /// Writes a cluster's entry in every copy, keeping the upper four bits on FAT32.
    pub(crate) fn set_entry(&mut self, cluster: u32, value: u32) -> Result<(), EditError> {
        for copy in 0..self.geometry.fat_copies {
            let offset = self.geometry.fat_entry_offset(copy, cluster);
            match self.geometry.fat_type {
                FatType::Fat16 => self.write(offset, &value.to_le_bytes()[..2])?,
                FatType::Fat32 => {
                    let mut entry = [0; 4];
                    self.overlay
                        .read_at(offset, &mut entry)
                        .map_err(ReadError::Io)?;
                    let kept = u32::from_le_bytes(entry) & !FAT32_MASK;
                    self.write(offset, &(kept | value & FAT32_MASK).to_le_bytes())?;
                }
            }
        }
        self.cache.clear();
        Ok(())
    }

    /// Keeps count of free clusters. A count that leaves its range was wrong before, and is then
    /// said to be unknown.
    fn count_free(&mut self, change: impl FnOnce(u32) -> Option<u32>) {
        let clusters = self.geometry.clusters;
        let Some(free) = self.table.free_count.filter(|free| *free != UNKNOWN) else {
            return;
        };
        let counted = change(free).filter(|free| *free <= clusters);
        self.table.free_count = Some(counted.unwrap_or(UNKNOWN));
    }

    /// Updates `FSInfo` where it was plausible and clusters were allocated or freed.
    pub(super) fn write_fs_info(&mut self) -> Result<(), EditError> {
        let Some(offset) = self
            .geometry
            .fs_info_offset_bytes
            .filter(|_| self.table.changed)
        else {
            return Ok(());
        };
        if let Some(count) = self.table.free_count {
            self.write(offset + FREE_COUNT_AT as u64, &count.to_le_bytes())?;
        }
        if let Some(next) = self.table.next_free {
            self.write(offset + NEXT_FREE_AT as u64, &next.to_le_bytes())?;
        }
        Ok(())
    }

    /// First fit, from where the last search ended, once around.
    fn find_free(&self, count: u32) -> Result<Vec<u32>, EditError> {
        let last = self.geometry.last_cluster();
        let from = self.table.search_from;
        let mut found = Vec::new();
        let ranges = [
            from..=last,
            FIRST_CLUSTER..=from.saturating_sub(1).min(last),
        ];
        for range in ranges {
            scan::scan(&self.overlay, self.geometry, range, |cluster, raw| {
                if raw == 0 {
                    found.push(cluster);
                }
                // Not one more than needed: the number found also bounds the memory used.
                if found.len() >= index(u64::from(count)) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .map_err(ReadError::Io)?;
            if found.len() >= index(u64::from(count)) {
                return Ok(found);
            }
        }
        let cluster_bytes = u64::from(self.geometry.cluster_bytes);
        Err(EditError::VolumeFull {
            needed_bytes: u64::from(count) * cluster_bytes,
            free_bytes: found.len() as u64 * cluster_bytes,
        })
    }

    /// Reads `FSInfo` once.
    fn load_state(&mut self) -> Result<(), EditError> {
        if self.table.loaded {
            return Ok(());
        }
        self.table.loaded = true;
        self.table.search_from = FIRST_CLUSTER;
        let Some(offset) = self.geometry.fs_info_offset_bytes else {
            return Ok(());
        };
        let mut sector = [0; FS_INFO_BYTES];
        self.overlay
            .read_at(offset, &mut sector)
            .map_err(ReadError::Io)?;
        let Some(info) = FsInfo::decode(&sector) else {
            return Ok(());
        };
        self.table.free_count = Some(info.free_count).filter(|n| *n <= self.geometry.clusters);
        self.table.next_free = Some(info.next_free).filter(|n| self.geometry.has_cluster(*n));
        self.table.search_from = self.table.next_free.unwrap_or(FIRST_CLUSTER);
        Ok(())
    }
}

/// What an `FSInfo` sector says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FsInfo {
    pub(crate) free_count: u32,
    pub(crate) next_free: u32,
}

impl FsInfo {
    /// Length of the structure.
    pub(crate) const BYTES: usize = FS_INFO_BYTES;
    /// Stands for "not known" in both fields.
    pub(crate) const UNKNOWN: u32 = UNKNOWN;

    /// `None` without the two signatures that hosts check.
    pub(crate) fn decode(sector: &[u8; FS_INFO_BYTES]) -> Option<Self> {
        let signed = u32_at(sector, 0) == LEAD_SIGNATURE
            && u32_at(sector, SECOND_SIGNATURE_AT) == SECOND_SIGNATURE;
        signed.then(|| Self {
            free_count: u32_at(sector, FREE_COUNT_AT),
            next_free: u32_at(sector, NEXT_FREE_AT),
        })
    }

    /// Writes both fields, leaving the rest of the sector.
    pub(crate) fn put(self, sector: &mut [u8; FS_INFO_BYTES]) {
        put(sector, FREE_COUNT_AT, &self.free_count.to_le_bytes());
        put(sector, NEXT_FREE_AT, &self.next_free.to_le_bytes());
    }
}

/// An `FSInfo` sector (the first 512 bytes of it) that says how many clusters are free.
pub(crate) fn fs_info_sector(free_count: u32, next_free: u32) -> [u8; FS_INFO_BYTES] {
    let mut sector = [0; FS_INFO_BYTES];
    put(&mut sector, 0, &LEAD_SIGNATURE.to_le_bytes());
    put(
        &mut sector,
        SECOND_SIGNATURE_AT,
        &SECOND_SIGNATURE.to_le_bytes(),
    );
    put(&mut sector, FREE_COUNT_AT, &free_count.to_le_bytes());
    put(&mut sector, NEXT_FREE_AT, &next_free.to_le_bytes());
    put(&mut sector, FS_INFO_BYTES - 2, &[0x55, 0xAA]);
    sector
}
