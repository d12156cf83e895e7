//! Long names: collected from the slots before an entry, and laid out in slots.
//!
//! Rules: specification, "FAT Long Directory Entries". A set of slots counts only when it is whole,
//! in order, of one checksum and that of the short name that follows; else the short name stands.
//! Used by listing and by edits.

use super::entry::ATTR_LABEL;
use super::slots::Slot;
use crate::bytes::{put, u16_at};
use crate::names::{self, MAX_NAME_UNITS};

/// Read-only, hidden, system and label together: no entry of DOS has that.
pub(crate) const ATTR_LONG: u8 = 0x0F;
/// The attribute bits that are compared.
const ATTR_LONG_MASK: u8 = 0x3F;
/// Marks the slot with the end of the name, which comes first.
pub(crate) const LAST: u8 = 0x40;
/// UTF-16 units in a slot.
pub(crate) const UNITS: usize = 13;
/// 255 units need 20 slots.
pub(crate) const MAX_SLOTS: u8 = 20;
/// Where a slot has its units.
const UNIT_OFFSETS: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
const PADDING: u16 = 0xFFFF;

/// Whether a slot is a part of a long name.
pub(crate) fn is_long(slot: &[u8; 32]) -> bool {
    slot[11] & ATTR_LONG_MASK == ATTR_LONG
}

/// Whether a slot is the volume's label.
pub(crate) fn is_label(slot: &[u8; 32]) -> bool {
    slot[11] & ATTR_LABEL != 0 && !is_long(slot)
}

/// Sum over the eleven bytes of a short name, which ties a long name to it.
pub(crate) fn checksum(short: &[u8; 11]) -> u8 {
    short
        .iter()
        .fold(0, |sum: u8, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// A long name while its slots go by.
pub(crate) struct LongName {
    units: [u16; MAX_SLOTS as usize * UNITS],
    slots: u8,
    /// The slot number that must come next; zero once the name is whole.
    expected: u8,
    checksum: u8,
}

impl LongName {
    pub(crate) fn new() -> Self {
        Self {
            units: [0; MAX_SLOTS as usize * UNITS],
            slots: 0,
            expected: 0,
            checksum: 0,
        }
    }

    /// Takes the next slot of a long name. A slot out of order makes an orphan of all before it.
    pub(crate) fn feed(&mut self, slot: &[u8; 32]) {
        let number = slot[0] & !LAST;
        let starts = slot[0] & LAST != 0;
        let follows = self.slots != 0 && number == self.expected && slot[13] == self.checksum;
        let sound = (1..=MAX_SLOTS).contains(&number) && slot[12] == 0 && (starts || follows);
        if !sound {
            self.forget();
            return;
        }
        if starts {
            self.slots = number;
            self.checksum = slot[13];
        }
        self.expected = number - 1;
        let first = usize::from(number - 1) * UNITS;
        for (unit, at) in self.units[first..first + UNITS]
            .iter_mut()
            .zip(UNIT_OFFSETS)
        {
            *unit = u16_at(slot, at);
        }
    }

    /// Forgets an unfinished name.
    pub(crate) fn forget(&mut self) {
        self.slots = 0;
        self.expected = 0;
    }

    /// The name that belongs to the short name after it, if it is whole and allowed. Half a
    /// surrogate pair becomes U+FFFD.
    pub(crate) fn take(&mut self, short: &[u8; 11]) -> Option<String> {
        let whole = self.slots != 0 && self.expected == 0 && self.checksum == checksum(short);
        let units = &self.units[..usize::from(self.slots) * UNITS];
        let len = units
            .iter()
            .position(|unit| *unit == 0)
            .unwrap_or(units.len());
        // The end must lie in the last slot, and only padding may follow it.
        let in_last_slot = len > units.len().saturating_sub(UNITS) && len <= MAX_NAME_UNITS;
        let padded = units.iter().skip(len + 1).all(|unit| *unit == PADDING);
        let name =
            (whole && in_last_slot && padded).then(|| String::from_utf16_lossy(&units[..len]));
        self.forget();
        name.filter(|name| names::can_be_shown(name))
    }
}

/// The slots of a long name, in the order in which they lie before the short one.
pub(crate) fn encode(name: &str, short: &[u8; 11]) -> Vec<[u8; 32]> {
    let units: Vec<u16> = name.encode_utf16().collect();
    let count = units.len().div_ceil(UNITS);
    let sum = checksum(short);
    let mut slots = Vec::with_capacity(count);
    for (index, part) in units.chunks(UNITS).enumerate().rev() {
        let mut slot = [0; 32];
        // At most 20: the name was checked against MAX_NAME_UNITS.
        let number = u8::try_from(index + 1).unwrap_or(MAX_SLOTS);
        slot[0] = if index + 1 == count {
            number | LAST
        } else {
            number
        };
        slot[11] = ATTR_LONG;
        slot[13] = sum;
        let end_and_padding = std::iter::once(0).chain(std::iter::repeat(PADDING));
        let filled = part.iter().copied().chain(end_and_padding);
        for (at, unit) in UNIT_OFFSETS.into_iter().zip(filled) {
            put(&mut slot, at, &unit.to_le_bytes());
        }
        slots.push(slot);
    }
    slots
}

/// Feeds a slot to the name being collected; gives the long name when the slot is an entry.
pub(crate) fn feed_slot(long: &mut LongName, slot: &Slot) -> Option<Option<String>> {
    if is_long(&slot.bytes) {
        long.feed(&slot.bytes);
        return None;
    }
    if slot.bytes[0] == super::DELETED || is_label(&slot.bytes) {
        long.forget();
        return None;
    }
    let mut short = [0; 11];
    short.copy_from_slice(&slot.bytes[..11]);
    Some(long.take(&short))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: [u8; 11] = *b"SHORT   TXT";

    fn read_back(slots: &[[u8; 32]], short: &[u8; 11]) -> Option<String> {
        let mut long = LongName::new();
        slots.iter().for_each(|slot| long.feed(slot));
        long.take(short)
    }

    #[test]
    fn names_of_every_length_come_back() {
        for len in 1..=MAX_NAME_UNITS {
            let name: String = ('a'..='z').cycle().take(len).collect();
            let slots = encode(&name, &SHORT);
            assert_eq!(slots.len(), len.div_ceil(UNITS));
            assert_eq!(read_back(&slots, &SHORT), Some(name));
        }
    }

    #[test]
    fn a_surrogate_pair_across_two_slots_comes_back() {
        let name = "twelve_units\u{1F600}.txt";
        assert_eq!(
            read_back(&encode(name, &SHORT), &SHORT).as_deref(),
            Some(name)
        );
    }

    #[test]
    fn any_missing_swapped_or_foreign_slot_makes_an_orphan() {
        let slots = encode("a name that needs three slots.txt", &SHORT);
        assert_eq!(slots.len(), 3);
        for missing in 0..3 {
            let mut rest = slots.clone();
            rest.remove(missing);
            assert_eq!(read_back(&rest, &SHORT), None, "without slot {missing}");
        }
        let mut swapped = slots.clone();
        swapped.swap(1, 2);
        assert_eq!(read_back(&swapped, &SHORT), None);
        assert_eq!(read_back(&slots, b"OTHER   TXT"), None);
        let mut sum = slots;
        sum[1][13] ^= 1;
        assert_eq!(read_back(&sum, &SHORT), None);
    }

    #[test]
    fn a_name_that_would_break_a_path_is_not_used() {
        for name in ["a/b", "..", ".", "a\u{1}b", "x:y"] {
            assert_eq!(read_back(&encode(name, &SHORT), &SHORT), None, "{name:?}");
        }
    }
}
