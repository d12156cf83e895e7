//! The slots of a long name while they go by: which belong together, and which to nothing.
//!
//! The name itself does not matter here: a set of slots is whole when the numbers run down to 1
//! under one checksum, and it belongs to the entry that follows at once when the checksum is that
//! of the entry's short name.

use super::state::{Repairer, Step};
use crate::device::ReadAt;
use crate::dir::{DELETED, Slot, lfn};

#[derive(Default)]
pub(super) struct LongSlots {
    offsets: Vec<u64>,
    /// The number that must come next; zero once the set is whole.
    expected: u8,
    checksum: u8,
    orphans: u32,
}

impl LongSlots {
    /// How many slots belonged to nothing so far.
    pub(super) fn orphans(&self) -> u32 {
        self.orphans
    }

    fn is_whole(&self) -> bool {
        !self.offsets.is_empty() && self.expected == 0
    }
}

impl<D: ReadAt> Repairer<'_, D> {
    /// Takes the next slot of a long name.
    pub(super) fn take_long(&mut self, long: &mut LongSlots, slot: &Slot) -> Step {
        let number = slot.bytes[0] & !lfn::LAST;
        let starts = slot.bytes[0] & lfn::LAST != 0;
        let sound = (1..=lfn::MAX_SLOTS).contains(&number);
        let follows =
            !long.offsets.is_empty() && number == long.expected && slot.bytes[13] == long.checksum;
        if !sound || starts || !follows {
            self.drop_long(long)?;
        }
        if !sound || !starts && !follows {
            long.orphans += 1;
            return self.delete_slot(slot.offset_bytes);
        }
        if starts {
            long.checksum = slot.bytes[13];
        }
        long.expected = number - 1;
        long.offsets.push(slot.offset_bytes);
        self.mend_long(slot)
    }

    /// Gives up the slots collected so far: nothing that they could belong to followed.
    pub(super) fn drop_long(&mut self, long: &mut LongSlots) -> Step {
        for offset in std::mem::take(&mut long.offsets) {
            long.orphans += 1;
            self.delete_slot(offset)?;
        }
        Ok(())
    }

    /// The slots that belong to an entry with this short name; others are given up. A name that is
    /// about to be changed (`renamed`) keeps any whole set that lies before it.
    pub(super) fn owned_long(
        &mut self,
        long: &mut LongSlots,
        short: &[u8],
        renamed: bool,
    ) -> Step<Vec<u64>> {
        let mut raw = [0; 11];
        raw.copy_from_slice(short.get(..11).unwrap_or(&[0; 11]));
        if long.is_whole() && (renamed || long.checksum == lfn::checksum(&raw)) {
            return Ok(std::mem::take(&mut long.offsets));
        }
        self.drop_long(long)?;
        Ok(Vec::new())
    }

    /// Ties the slots of a long name to a new short name.
    pub(super) fn retie_long(&mut self, offsets: &[u64], short: &[u8; 11]) -> Step {
        for offset in offsets {
            self.edit.write(offset + 13, &[lfn::checksum(short)])?;
        }
        Ok(())
    }

    /// The constant fields of a long name's slot (specification, "FAT Long Directory Entries").
    fn mend_long(&mut self, slot: &Slot) -> Step {
        let mut bytes = slot.bytes;
        bytes[11] = lfn::ATTR_LONG;
        bytes[12] = 0;
        bytes[26..28].fill(0);
        self.rewrite(slot, &bytes)
    }

    /// Gives a slot up; all but its first byte stays.
    pub(super) fn delete_slot(&mut self, offset_bytes: u64) -> Step {
        Ok(self.edit.write(offset_bytes, &[DELETED])?)
    }

    /// Writes a slot where it differs.
    pub(super) fn rewrite(&mut self, slot: &Slot, bytes: &[u8; 32]) -> Step {
        if slot.bytes != *bytes {
            self.edit.write(slot.offset_bytes, bytes)?;
        }
        Ok(())
    }
}
