//! Where things are on a FAT volume, as far as a host must know to order its writes (Microsoft's
//! FAT specification 1.03, "BPB"). Pure. Used by [`volume`](super::volume).

use crate::scsi::BLOCK_BYTES;
use crate::{Failure, Result};

/// Offset of the first partition's entry in a partition table, and in that of its first block.
const FIRST_PARTITION: usize = 446;
const PARTITION_START: usize = FIRST_PARTITION + 8;

/// Below this number of clusters a volume is not FAT32.
const FAT32_CLUSTERS: u32 = 65_525;

/// What a block is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// The boot sector and what else is reserved.
    Boot,
    /// A file allocation table.
    Fat,
    /// The top folder of a FAT12 or FAT16 volume.
    TopFolder,
    /// Clusters: files, and folders as well.
    Clusters,
}

/// The places, in blocks from the start of the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// First block of the first table.
    pub fat: u32,
    /// Blocks of one table.
    pub fat_blocks: u32,
    /// Number of tables.
    pub fats: u32,
    /// First block of the clusters.
    pub clusters: u32,
    /// Whether entries have 32 bits.
    pub is_fat32: bool,
}

impl Layout {
    /// Reads a boot sector.
    ///
    /// # Errors
    /// It is none of a volume with 512-byte sectors.
    pub fn parse(boot: &[u8]) -> Result<Self> {
        let no_volume = || Failure::Wrong("the medium holds no FAT volume that is known".into());
        let u16_at = |at: usize| Some(u32::from(u16::from_le_bytes(bytes(boot, at)?)));
        let u32_at = |at: usize| Some(u32::from_le_bytes(bytes(boot, at)?));
        let read = || {
            let [per_cluster] = bytes(boot, 13)?;
            let [fats] = bytes(boot, 16)?;
            let reserved = u16_at(14)?;
            let top_blocks = (u16_at(17)? * 32).div_ceil(512);
            let all = Some(u16_at(19)?).filter(|&all| all > 0).or(u32_at(32))?;
            let fat_blocks = Some(u16_at(22)?).filter(|&len| len > 0).or(u32_at(36))?;
            let sector_bytes = u16_at(11)? as usize;
            let fats = u32::from(fats);
            let top = fats.checked_mul(fat_blocks)?.checked_add(reserved)?;
            let clusters = top.checked_add(top_blocks)?;
            let count = all
                .checked_sub(clusters)?
                .checked_div(u32::from(per_cluster))?;
            (sector_bytes == BLOCK_BYTES && fats > 0).then_some(Self {
                fat: reserved,
                fat_blocks,
                fats,
                clusters,
                is_fat32: count >= FAT32_CLUSTERS,
            })
        };
        read().ok_or_else(no_volume)
    }

    /// What a block of the volume is for.
    pub fn region(&self, block: u32) -> Region {
        if block < self.fat {
            Region::Boot
        } else if block < self.fat + self.fats * self.fat_blocks {
            Region::Fat
        } else if block < self.clusters {
            Region::TopFolder
        } else {
            Region::Clusters
        }
    }

    /// Offset in the boot sector of the byte whose lowest bit is Linux's and Windows' dirty mark
    /// (`BS_Reserved1`).
    pub fn boot_mark(&self) -> usize {
        if self.is_fat32 { 0x41 } else { 0x25 }
    }

    /// Offset in the table, and bit, of the mark in entry 1: set means clean
    /// (`ClnShutBitMask`).
    pub fn table_mark(&self) -> (usize, u8) {
        if self.is_fat32 { (7, 0x08) } else { (3, 0x80) }
    }
}

/// The first block of the volume: 0, or where the first partition begins.
pub fn volume_start(first_block: &[u8]) -> u32 {
    let is_volume = matches!(first_block.first(), Some(0xeb | 0xe9));
    let start = bytes(first_block, PARTITION_START).map_or(0, u32::from_le_bytes);
    if is_volume { 0 } else { start }
}

fn bytes<const N: usize>(block: &[u8], at: usize) -> Option<[u8; N]> {
    block.get(at..at + N)?.try_into().ok()
}
