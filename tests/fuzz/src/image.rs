//! Volume images as a fuzzer writes them: one of a few base images, and what is changed in it.
//!
//! An input is a byte that chooses the base, then operations. Each is a byte, of which the lower
//! four bits say what and the others in which copies of the table, and its arguments,
//! little-endian. What the volume does not have is left out, and an operation that breaks off ends
//! the input, so any bytes are an image.
//!
//! | | Operation | Arguments |
//! |---|---|---|
//! | 0 | bytes of the boot sector | offset (2), length (1), bytes |
//! | 1 | an entry of the table | cluster (2), value (4) |
//! | 2 | bytes of a slot of the root | slot (2), offset (1), length (1), bytes |
//! | 3 | bytes of a cluster | cluster (2), offset (2), length (1), bytes |
//! | 4 | clusters full of one pattern | cluster (2), how many (2), 32 bytes |
//! | 5 | a chain of neighbours | first (2), how many (2), value of the last (4) |
//! | 6 | the device ends early | by sectors (2) |
//! | 7 | the first partition's entry | offset (1), length (1), bytes |
//! | 15 | the rest happens later | after so many reads (2) |

use volume::testing::PagedImage;
use volume::{ReadAt, WriteAt};

use crate::base::{Base, bases};
use crate::input::Input;

/// Most operations of one input.
const MAX_OPERATIONS: usize = 96;
/// Most clusters that one operation fills or chains.
const MAX_RUN: u16 = 4096;
/// Of the base images.
const SECTOR_BYTES: usize = 512;
const SLOT_BYTES: u64 = 32;
const SLOT_LEN: usize = 32;
/// Where sector 0 has the first partition's entry.
const PARTITION_AT: u64 = 446;

/// Bytes that take the place of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// On the device.
    pub offset_bytes: u64,
    /// What is there from then on.
    pub bytes: Vec<u8>,
}

/// What happens to the image after so many reads of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Later {
    /// Reads from the beginning, or from the change before.
    pub reads: u32,
    /// In this order.
    pub writes: Vec<Write>,
}

/// An image, and how it changes while it is read.
#[derive(Debug)]
pub struct Recipe {
    /// As it is at first.
    pub image: PagedImage,
    /// Length of the device.
    pub len_bytes: u64,
    /// What happens then.
    pub later: Vec<Later>,
}

impl Recipe {
    /// The image that `input` stands for.
    pub fn read(input: &mut Input<'_>) -> Self {
        let bases = bases();
        let base = &bases[usize::from(input.u8().unwrap_or(0)) % bases.len()];
        let mut recipe = Self {
            image: base.image.clone(),
            len_bytes: base.image.len(),
            later: Vec::new(),
        };
        for _ in 0..MAX_OPERATIONS {
            if recipe.operation(base, input).is_none() {
                break;
            }
        }
        recipe
    }

    /// The image after everything that happens later has happened.
    pub fn final_image(self) -> PagedImage {
        let mut image = self.image;
        let writes = self.later.iter().flat_map(|later| &later.writes);
        writes.for_each(|write| apply(&mut image, write));
        image
    }

    fn operation(&mut self, base: &Base, input: &mut Input<'_>) -> Option<()> {
        let what = input.u8()?;
        match what & 0x0F {
            0 => {
                let offset = u64::from(input.u16()?) % 512;
                self.put(base.geometry.partition_offset_bytes + offset, input)
            }
            1 => {
                let (cluster, value) = (u32::from(input.u16()?), input.u32()?);
                self.set_entry(base, what, cluster, value);
                Some(())
            }
            2 => {
                let (offset_bytes, len_bytes) = base.root_bytes();
                let slot = u64::from(input.u16()?) * SLOT_BYTES % len_bytes;
                let within = u64::from(input.u8()?) % SLOT_BYTES;
                self.put(offset_bytes + slot + within, input)
            }
            3 => {
                let cluster = base.cluster(input.u16()?);
                let within = u64::from(input.u16()?) % u64::from(base.geometry.cluster_bytes);
                self.put(cluster + within, input)
            }
            4 => self.fill(base, input),
            5 => self.chain(base, what, input),
            6 => {
                let gone = u64::from(input.u16()?) * SECTOR_BYTES as u64;
                self.len_bytes = self.len_bytes.saturating_sub(gone);
                Some(())
            }
            7 => {
                let offset = u64::from(input.u8()?) % 66;
                self.put(PARTITION_AT + offset, input)
            }
            15 => {
                let reads = u32::from(input.u16()?) % 512;
                self.later.push(Later {
                    reads,
                    writes: Vec::new(),
                });
                Some(())
            }
            _ => Some(()),
        }
    }

    fn put(&mut self, offset_bytes: u64, input: &mut Input<'_>) -> Option<()> {
        let bytes = input.short_bytes()?.to_vec();
        self.write(Write {
            offset_bytes,
            bytes,
        });
        Some(())
    }

    fn fill(&mut self, base: &Base, input: &mut Input<'_>) -> Option<()> {
        let first = base.cluster(input.u16()?);
        let clusters = input.u16()? % MAX_RUN;
        let mut pattern = input.up_to(SLOT_LEN).to_vec();
        pattern.resize(SLOT_LEN, 0);
        let len_bytes = u64::from(clusters) * u64::from(base.geometry.cluster_bytes);
        let len_bytes = len_bytes.min(base.image.len() - first);
        let slots = usize::try_from(len_bytes / SLOT_BYTES).ok()?;
        self.write(Write {
            offset_bytes: first,
            bytes: pattern.repeat(slots),
        });
        Some(())
    }

    fn chain(&mut self, base: &Base, what: u8, input: &mut Input<'_>) -> Option<()> {
        let first = u32::from(input.u16()?);
        let clusters = u32::from(input.u16()? % MAX_RUN);
        let last = input.u32()?;
        for cluster in first..first + clusters {
            self.set_entry(base, what, cluster, cluster + 1);
        }
        self.set_entry(base, what, first + clusters, last);
        Some(())
    }

    /// Sets a cluster's entry in the copies that bits 4 and 5 of the operation leave.
    fn set_entry(&mut self, base: &Base, what: u8, cluster: u32, value: u32) {
        let count = base.geometry.fat_type.entry_bytes() as usize;
        if cluster > base.geometry.last_cluster() {
            return;
        }
        for copy in 0..base.geometry.fat_copies {
            if what & (0x10 << copy) == 0 {
                let offset_bytes = base.table_entry(copy, cluster);
                let bytes = value.to_le_bytes()[..count].to_vec();
                self.write(Write {
                    offset_bytes,
                    bytes,
                });
            }
        }
    }

    fn write(&mut self, write: Write) {
        match self.later.last_mut() {
            Some(later) => later.writes.push(write),
            None => apply(&mut self.image, &write),
        }
    }
}

/// Writes as far as the image goes.
pub fn apply(image: &mut PagedImage, write: &Write) {
    let room = image.len().saturating_sub(write.offset_bytes);
    let count = usize::try_from(room)
        .unwrap_or(usize::MAX)
        .min(write.bytes.len());
    let written = image.write_at(write.offset_bytes, &write.bytes[..count]);
    written.expect("it was cut to what there is");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_change_what_they_name() {
        let input = [
            &[0_u8][..],
            &[1, 5, 0, 0xFF, 0xFF, 0, 0],
            &[0x21, 6, 0, 0x34, 0x12, 0, 0],
            &[15, 3, 0],
            &[0, 3, 0, 2, b'x', b'y'],
        ]
        .concat();
        let recipe = Recipe::read(&mut Input(&input));
        let base = &bases()[0];
        let entry = |copy, cluster| {
            let mut bytes = [0; 2];
            let at = base.table_entry(copy, cluster);
            recipe.image.read_at(at, &mut bytes).unwrap();
            u16::from_le_bytes(bytes)
        };
        assert_eq!((entry(0, 5), entry(1, 5)), (0xFFFF, 0xFFFF));
        assert_eq!(entry(0, 6), 0x1234);
        assert_ne!(entry(1, 6), 0x1234);
        let write = Write {
            offset_bytes: 3,
            bytes: b"xy".to_vec(),
        };
        let later = Later {
            reads: 3,
            writes: vec![write],
        };
        assert_eq!(recipe.later, [later]);
    }
}
