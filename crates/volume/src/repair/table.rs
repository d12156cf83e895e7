//! The two copies of the table become one, in which every link leads to a cluster in use.
//!
//! For each entry the copies have a say in order: the preferred one, then the other. The first
//! whose value is the end of a chain or leads to a cluster in use wins. A cluster is in use when
//! either copy says so, so that what only one copy knows is kept. The preferred copy is the first,
//! as for every operating system, unless only the second begins as a table must.

use super::report::Fault;
use super::state::{Repairer, Step};
use crate::boot::{FIRST_CLUSTER, FatType};
use crate::bytes::{index, is_zero, put, u16_at, u32_at};
use crate::device::ReadAt;
use crate::fat::{FAT32_MASK, FatValue, end_mark};

/// Offset of the media byte in the boot sector.
const MEDIA_AT: u64 = 21;

/// What both copies together say of a cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Free,
    Bad,
    InUse,
}

impl<D: ReadAt> Repairer<'_, D> {
    /// Merges the copies and ends chains that lead nowhere.
    pub(super) fn merge_tables(&mut self) -> Step {
        self.choose_copy()?;
        let (mut differing, mut broken) = (0_u32, 0_u32);
        let mut outcome = Ok(());
        let mut first = FIRST_CLUSTER;
        while first <= self.geometry.last_cluster() && outcome.is_ok() {
            let (count, copies) = self.both_windows(first)?;
            if copies.iter().all(|copy| is_zero(copy)) {
                first += count;
                continue;
            }
            for number in 0..count {
                let cluster = first + number;
                let [a, b] = copies.each_ref().map(|copy| self.full_entry(copy, number));
                if a == b && (a == 0 || self.goes_on(a, cluster, number + 1, &copies)) {
                    continue;
                }
                let entries = [a, b];
                let (wanted, led_nowhere) = self.choose(cluster, entries)?;
                broken += u32::from(led_nowhere);
                differing += u32::from(a != b);
                if a != wanted || b != wanted {
                    self.put_entry(cluster, wanted)?;
                }
            }
            outcome = self.checkpoint();
            first += count;
        }
        self.tables_differ = differing > 0;
        if differing > 0 {
            self.found("", Fault::TablesDiffer { entries: differing });
        }
        if broken > 0 {
            self.found("", Fault::BrokenLinks { entries: broken });
        }
        outcome
    }

    /// Whether an entry leads to the one behind it, and that is in use and in the window. Nearly
    /// all entries of a full volume do, and need no [`Self::choose`].
    fn goes_on(&self, entry: u32, cluster: u32, next: u32, copies: &[Vec<u8>; 2]) -> bool {
        let next = self.decode(self.full_entry(&copies[0], next) & FAT32_MASK);
        entry == cluster + 1 && !matches!(next, FatValue::Free | FatValue::Bad)
    }

    /// What the copy that is not preferred said about a cluster, on the device.
    pub(super) fn other_value(&self, cluster: u32) -> Step<FatValue> {
        let raw = self.original_raw(1 - self.preferred_copy, cluster)?;
        Ok(FatValue::decode(self.geometry, raw))
    }

    fn choose_copy(&mut self) -> Step {
        let second_only = self.geometry.fat_copies > 1
            && !self.begins_as_table(self.original_raw(0, 0)?)
            && self.begins_as_table(self.original_raw(1, 0)?);
        self.preferred_copy = u8::from(second_only);
        Ok(())
    }

    /// Entry 0 is the media byte, filled up with ones (specification, "FAT Data Structure"). As
    /// `fsck.fat`, take any media byte from 0xF8 on.
    fn begins_as_table(&self, raw: u32) -> bool {
        let ones = end_mark(self.geometry.fat_type) & !0x7;
        raw & ones == ones
    }

    /// Restores entry 0. Whoever finds it damaged in a later round prefers the same copy.
    pub(super) fn restore_first_entry(&mut self) -> Step {
        let kept = self.reserved_entry(self.preferred_copy, 0)?;
        let mut media = [0];
        self.device
            .read_at(self.geometry.partition_offset_bytes + MEDIA_AT, &mut media)?;
        let made = end_mark(self.geometry.fat_type) & !0xFF | u32::from(media[0]);
        let wanted = if self.begins_as_table(kept) {
            kept
        } else {
            made
        };
        let mut is_wrong = false;
        for copy in 0..self.geometry.fat_copies {
            is_wrong |= self.reserved_entry(copy, 0)? != wanted;
        }
        if is_wrong {
            self.found("", Fault::TableMark);
            self.put_entry(0, wanted)?;
        }
        Ok(())
    }

    /// Entry 0 or 1 of a copy on the device, with its reserved bits.
    pub(super) fn reserved_entry(&self, copy: u8, number: u32) -> Step<u32> {
        let mut entry = [0; 4];
        let len = index(u64::from(self.geometry.fat_type.entry_bytes()));
        let offset = self.geometry.fat_entry_offset(copy, number);
        self.device.read_at(offset, &mut entry[..len])?;
        Ok(u32::from_le_bytes(entry))
    }

    fn original_raw(&self, copy: u8, cluster: u32) -> Step<u32> {
        let copy = copy.min(self.geometry.fat_copies - 1);
        Ok(self
            .original
            .raw(self.device, self.geometry, copy, cluster)?)
    }

    /// The value that both copies get, all its bits, and whether it had to be made up.
    fn choose(&self, cluster: u32, entries: [u32; 2]) -> Step<(u32, bool)> {
        let preferred = entries[usize::from(self.preferred_copy)];
        let other = entries[usize::from(1 - self.preferred_copy)];
        let mask = if self.geometry.fat_type == FatType::Fat32 {
            FAT32_MASK
        } else {
            0xFFFF
        };
        let reserved = preferred & !mask;
        let (first, second) = (preferred & mask, other & mask);
        let in_use = match self.status([first, second]) {
            Status::InUse => true,
            Status::Bad if self.decode(first) == FatValue::Bad => false,
            Status::Bad => return Ok((reserved | second, false)),
            Status::Free => return Ok((reserved | first, false)),
        };
        for raw in [first, second] {
            if in_use && self.leads_somewhere(cluster, raw)? {
                return Ok((reserved | raw, false));
            }
        }
        let made_up = if in_use {
            end_mark(self.geometry.fat_type)
        } else {
            first
        };
        Ok((reserved | made_up, in_use))
    }

    /// Whether a value ends a chain or goes on to another cluster in use.
    fn leads_somewhere(&self, cluster: u32, raw: u32) -> Step<bool> {
        match self.decode(raw) {
            FatValue::End => Ok(true),
            FatValue::Next(next) if next != cluster => {
                let entries = [self.original_raw(0, next)?, self.original_raw(1, next)?];
                Ok(self.status(entries) == Status::InUse)
            }
            _ => Ok(false),
        }
    }

    fn status(&self, entries: [u32; 2]) -> Status {
        let values = entries.map(|raw| self.decode(raw));
        if values
            .iter()
            .any(|v| !matches!(v, FatValue::Free | FatValue::Bad))
        {
            Status::InUse
        } else if values.contains(&FatValue::Bad) {
            Status::Bad
        } else {
            Status::Free
        }
    }

    fn decode(&self, raw: u32) -> FatValue {
        FatValue::decode(self.geometry, raw)
    }

    /// A window of each copy, as on the device; twice the same where there is one copy.
    fn both_windows(&self, first: u32) -> Step<(u32, [Vec<u8>; 2])> {
        let (count, mut buffer) = self.window_buffer(first);
        let offset = |copy| self.geometry.fat_entry_offset(copy, first);
        self.device.read_at(offset(0), &mut buffer)?;
        let mut second = buffer.clone();
        if self.geometry.fat_copies > 1 {
            self.device.read_at(offset(1), &mut second)?;
        }
        Ok((count, [buffer, second]))
    }

    /// An entry with its reserved bits.
    fn full_entry(&self, window: &[u8], number: u32) -> u32 {
        let at = index(u64::from(number * self.geometry.fat_type.entry_bytes()));
        match self.geometry.fat_type {
            FatType::Fat16 => u32::from(u16_at(window, at)),
            FatType::Fat32 => u32_at(window, at),
        }
    }

    /// Writes an entry with its reserved bits into every copy.
    pub(super) fn put_entry(&mut self, cluster: u32, value: u32) -> Step {
        let mut entry = [0; 4];
        put(&mut entry, 0, &value.to_le_bytes());
        let entry = &entry[..index(u64::from(self.geometry.fat_type.entry_bytes()))];
        for copy in 0..self.geometry.fat_copies {
            let offset = self.geometry.fat_entry_offset(copy, cluster);
            self.edit.write(offset, entry)?;
        }
        self.edit.forget_table();
        Ok(())
    }
}
