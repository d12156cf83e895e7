//! The last step: the hints about free space, then the marks that say that a host was not done.

use super::report::Fault;
use super::state::{Repairer, Step};
use crate::boot::{FIRST_CLUSTER, FatType};
use crate::device::ReadAt;
use crate::edit::{FsInfo, fs_info_sector};
use crate::volume::{FAT16_CLEAN, FAT16_NO_ERROR, FAT32_CLEAN, FAT32_NO_ERROR};
use crate::volume::{STATE_DIRTY, STATE_ERROR};

impl<D: ReadAt> Repairer<'_, D> {
    /// Corrects `FSInfo`. A count that is said to be unknown is none that is wrong.
    pub(super) fn correct_free_space(&mut self) -> Step {
        let Some(offset) = self.geometry.fs_info_offset_bytes else {
            return Ok(());
        };
        let mut sector = [0; FsInfo::BYTES];
        self.edit.overlay.read_at(offset, &mut sector)?;
        let (free_count, first_free) = self.count_free()?;
        let signed = sector[FsInfo::BYTES - 2..] == [0x55, 0xAA];
        let wanted = match FsInfo::decode(&sector).filter(|_| signed) {
            None => FsInfo {
                free_count,
                next_free: first_free,
            },
            Some(mut info) => {
                if info.free_count != FsInfo::UNKNOWN {
                    info.free_count = free_count;
                }
                let is_hint =
                    info.next_free == FsInfo::UNKNOWN || self.geometry.has_cluster(info.next_free);
                if !is_hint {
                    info.next_free = first_free;
                }
                info
            }
        };
        if !signed || FsInfo::decode(&sector) != Some(wanted) {
            // After any other repair it is wrong because of that.
            if self.report.is_empty() {
                self.found("", Fault::FreeSpace);
            }
            if FsInfo::decode(&sector).is_none() || !signed {
                sector = fs_info_sector(free_count, first_free);
            }
            wanted.put(&mut sector);
            self.edit.write(offset, &sector)?;
        }
        Ok(())
    }

    /// How many clusters are free, and the first of them (the first of all where there is none).
    fn count_free(&self) -> Step<(u32, u32)> {
        let (mut count, mut first_free) = (0, None);
        let mut first = FIRST_CLUSTER;
        while first <= self.geometry.last_cluster() {
            let window = self.window(first)?;
            for (cluster, raw) in (first..).zip(&window) {
                if *raw == 0 {
                    count += 1;
                    first_free = first_free.or(Some(cluster));
                }
            }
            first += u32::try_from(window.len()).unwrap_or(u32::MAX);
        }
        Ok((count, first_free.unwrap_or(FIRST_CLUSTER)))
    }

    /// Says that the volume is whole, in the boot sector and in both tables.
    pub(super) fn clear_marks(&mut self) -> Step {
        self.restore_first_entry()?;
        let (clean, no_error) = match self.geometry.fat_type {
            FatType::Fat16 => (FAT16_CLEAN, FAT16_NO_ERROR),
            FatType::Fat32 => (FAT32_CLEAN, FAT32_NO_ERROR),
        };
        let wanted = self.reserved_entry(self.preferred_copy, 1)? | clean | no_error;
        let mut is_marked = false;
        for copy in 0..self.geometry.fat_copies {
            is_marked |= self.reserved_entry(copy, 1)? != wanted;
        }
        if is_marked {
            self.put_entry(1, wanted)?;
        }
        let mut state = [0];
        let offset = self.geometry.dirty_byte_offset();
        self.device.read_at(offset, &mut state)?;
        let cleared = state[0] & !(STATE_DIRTY | STATE_ERROR);
        if cleared != state[0] {
            self.edit.write(offset, &[cleared])?;
        }
        if is_marked || cleared != state[0] {
            self.found("", Fault::Dirty);
        }
        Ok(())
    }
}
