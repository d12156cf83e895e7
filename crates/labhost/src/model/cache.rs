//! The block cache of a host: reads stay until they are forgotten, writes stay until the model
//! sends them. `fatfs` works on this as on a file. Used by [`volume`](super::volume).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::rc::Rc;

use crate::Result;
use crate::scsi::{BLOCK_BYTES, Scsi};

/// Blocks that are read at once: 4 KiB, a page.
const READ_BLOCKS: u32 = 8;

/// One block.
pub type Block = [u8; BLOCK_BYTES];

/// What blocks are read from and written to.
pub trait Blocks {
    /// Reads whole blocks.
    ///
    /// # Errors
    /// The device refuses.
    fn read(&self, block: u32, data: &mut [u8]) -> Result<()>;

    /// Writes whole blocks.
    ///
    /// # Errors
    /// The device refuses.
    fn write(&self, block: u32, data: &[u8]) -> Result<()>;

    /// The number of blocks.
    ///
    /// # Errors
    /// There is no medium.
    fn count(&self) -> Result<u32>;
}

impl Blocks for Rc<Scsi> {
    fn read(&self, block: u32, data: &mut [u8]) -> Result<()> {
        Scsi::read(self, block, data)
    }

    fn write(&self, block: u32, data: &[u8]) -> Result<()> {
        Scsi::write(self, block, data)
    }

    fn count(&self) -> Result<u32> {
        self.blocks()
    }
}

/// The cache of one volume; block numbers and positions count from the volume's start.
pub struct Cache<B> {
    device: B,
    start: u32,
    count: u32,
    blocks: BTreeMap<u32, Block>,
    dirty: BTreeSet<u32>,
    position: u64,
    /// A byte that writes through [`Write`] leave as it is.
    shielded: Option<u64>,
}

impl<B: Blocks> Cache<B> {
    /// An empty cache for the volume that begins at block `start`.
    ///
    /// # Errors
    /// There is no medium.
    pub fn new(device: B, start: u32) -> Result<Self> {
        let count = device.count()?.saturating_sub(start);
        Ok(Self {
            device,
            start,
            count,
            blocks: BTreeMap::new(),
            dirty: BTreeSet::new(),
            position: 0,
            shielded: None,
        })
    }

    /// Keeps the byte at this position from what is written through [`Write`];
    /// [`Cache::set_block`] still changes it.
    pub fn shield(&mut self, position: u64) {
        self.shielded = Some(position);
    }

    /// A block, from the device where it is not cached.
    ///
    /// # Errors
    /// The device refuses.
    pub fn block(&mut self, block: u32) -> Result<Block> {
        self.load(block)?;
        Ok(self.blocks.get(&block).copied().unwrap_or([0; BLOCK_BYTES]))
    }

    fn load(&mut self, block: u32) -> Result<()> {
        if self.blocks.contains_key(&block) {
            return Ok(());
        }
        let first = block - block % READ_BLOCKS;
        let blocks = READ_BLOCKS.min(self.count.saturating_sub(first));
        let mut data = vec![0; blocks as usize * BLOCK_BYTES];
        self.device.read(self.start + first, &mut data)?;
        for (number, content) in (first..).zip(data.chunks_exact(BLOCK_BYTES)) {
            let mut fresh = [0; BLOCK_BYTES];
            fresh.copy_from_slice(content);
            self.blocks.entry(number).or_insert(fresh);
        }
        Ok(())
    }

    /// Changes a block in the cache.
    pub fn set_block(&mut self, block: u32, content: Block) {
        if self.blocks.insert(block, content) != Some(content) {
            self.dirty.insert(block);
        }
    }

    /// Drops clean blocks for which `which` holds: they are read again when they are needed.
    pub fn reclaim(&mut self, mut which: impl FnMut(u32) -> bool) {
        let dirty = &self.dirty;
        self.blocks
            .retain(|&block, _| dirty.contains(&block) || !which(block));
    }

    /// Blocks that are not on the device yet.
    pub fn dirty(&self) -> impl Iterator<Item = u32> + '_ {
        self.dirty.iter().copied()
    }

    /// Sends the dirty blocks for which `which` holds, neighbours in one command.
    ///
    /// # Errors
    /// The device refuses.
    pub fn send(&mut self, which: impl Fn(u32) -> bool) -> Result<()> {
        let blocks: Vec<u32> = self.dirty().filter(|&block| which(block)).collect();
        self.send_blocks(&blocks)
    }

    /// Sends these blocks in this order, neighbours in one command.
    ///
    /// # Errors
    /// The device refuses; they all stay dirty then.
    pub fn send_blocks(&mut self, blocks: &[u32]) -> Result<()> {
        for run in blocks.chunk_by(|&one, &next| one + 1 == next) {
            let mut data = Vec::with_capacity(run.len() * BLOCK_BYTES);
            for block in run {
                data.extend(self.blocks.get(block).unwrap_or(&[0; BLOCK_BYTES]));
            }
            let first = run.first().copied().unwrap_or_default();
            self.device.write(self.start + first, &data)?;
        }
        for block in blocks {
            self.dirty.remove(block);
        }
        Ok(())
    }
}

impl<B: Blocks> Read for Cache<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((block, offset)) = self.place() else {
            return Ok(0);
        };
        self.load(block).map_err(io::Error::other)?;
        let content = self.blocks.get(&block);
        let rest = content.and_then(|content| content.get(offset..));
        let rest = rest.unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.position += len as u64;
        Ok(len)
    }
}

impl<B: Blocks> Write for Cache<B> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some((block, offset)) = self.place() else {
            return Ok(0);
        };
        let mut content = self.block(block).map_err(io::Error::other)?;
        let len = bytes.len().min(BLOCK_BYTES - offset);
        let before = content;
        content[offset..offset + len].copy_from_slice(&bytes[..len]);
        let start = u64::from(block) * BLOCK_BYTES as u64;
        let shielded = self.shielded.and_then(|at| at.checked_sub(start));
        if let Some(at) = shielded.filter(|&at| at < BLOCK_BYTES as u64) {
            let at = usize::try_from(at).unwrap_or_default();
            content[at] = before[at];
        }
        self.set_block(block, content);
        self.position += len as u64;
        Ok(len)
    }

    /// Sending is the model's business.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<B: Blocks> Seek for Cache<B> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = u64::from(self.count) * BLOCK_BYTES as u64;
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => end.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl<B: Blocks> Cache<B> {
    /// The block and the offset in it of the position; `None` at the end.
    fn place(&self) -> Option<(u32, usize)> {
        let block = u32::try_from(self.position / BLOCK_BYTES as u64).ok()?;
        let offset = usize::try_from(self.position % BLOCK_BYTES as u64).ok()?;
        (block < self.count).then_some((block, offset))
    }
}
