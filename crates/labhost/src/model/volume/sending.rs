//! What of a volume goes from the host's cache to the device, and in which order; the dirty marks,
//! which are sent at once.

use super::Volume;
use crate::Result;
use crate::model::cache::Blocks;
use crate::model::layout::Region;

/// Where a host leaves a note that the volume is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// In the boot sector and in the table, as Windows.
    Both,
    /// In the table, as macOS.
    Table,
    /// In the boot sector, as Linux.
    Boot,
}

/// What of the dirty blocks to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Clusters that are not known to belong to a folder.
    Data,
    /// The tables.
    Tables,
    /// Folders, and what else is no data and no table.
    Folders,
    /// Everything.
    All,
}

impl<B: Blocks + Clone> Volume<B> {
    /// Sets or clears the dirty marks, and sends them.
    ///
    /// # Errors
    /// The device refuses.
    pub fn mark(&mut self, marks: Marks, dirty: bool) -> Result<()> {
        if matches!(marks, Marks::Both | Marks::Boot) {
            let mut boot = self.cache.block(0)?;
            boot[self.layout.boot_mark()] = u8::from(dirty);
            self.cache.set_block(0, boot);
        }
        if marks == Marks::Boot {
            return self.cache.send(|block| block == 0);
        }
        let (offset, clean_bit) = self.layout.table_mark();
        for fat in 0..self.layout.fats {
            let at = self.layout.fat + fat * self.layout.fat_blocks;
            let mut block = self.cache.block(at)?;
            if dirty {
                block[offset] &= !clean_bit;
            } else {
                block[offset] |= clean_bit;
            }
            self.cache.set_block(at, block);
        }
        self.send_metadata()
    }

    /// Sends tables, then everything else.
    ///
    /// # Errors
    /// The device refuses.
    pub fn send_metadata(&mut self) -> Result<()> {
        let layout = self.layout;
        self.cache.send(|at| layout.region(at) == Region::Fat)?;
        self.cache.send(|_| true)
    }

    /// Blocks of a part that are not on the device yet, in order.
    pub fn dirty(&self, part: Part) -> Vec<u32> {
        let dirty = self.cache.dirty();
        dirty.filter(|&block| self.is_in(block, part)).collect()
    }

    /// Sends these blocks in this order, neighbours in one command.
    ///
    /// # Errors
    /// The device refuses; they all stay dirty then.
    pub fn send_blocks(&mut self, blocks: &[u32]) -> Result<()> {
        self.cache.send_blocks(blocks)
    }

    /// Drops clean blocks for which `which` holds from the cache, as a host does that is short of
    /// memory.
    pub fn reclaim(&mut self, which: impl FnMut(u32) -> bool) {
        self.cache.reclaim(which);
    }

    /// Whether one of these marks says that the volume is in use.
    ///
    /// # Errors
    /// The device refuses.
    pub fn is_marked(&mut self, marks: Marks) -> Result<bool> {
        let (offset, clean_bit) = self.layout.table_mark();
        let in_table = self.cache.block(self.layout.fat)?[offset] & clean_bit == 0;
        let in_boot = self.cache.block(0)?[self.layout.boot_mark()] & 1 != 0;
        Ok((in_table && marks != Marks::Boot) || (in_boot && marks != Marks::Table))
    }

    fn is_in(&self, block: u32, part: Part) -> bool {
        let of = match self.layout.region(block) {
            Region::Fat => Part::Tables,
            Region::Clusters if !self.folders.contains(&block) => Part::Data,
            _ => Part::Folders,
        };
        part == Part::All || part == of
    }
}
