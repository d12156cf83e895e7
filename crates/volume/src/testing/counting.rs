//! Counts what is read of a device, for the bound that `docs/SPEC.md` states.

use std::cell::Cell;
use std::io;

use crate::device::ReadAt;

/// A device that counts reads and remembers the longest one.
#[derive(Debug)]
pub struct CountingDevice<D> {
    device: D,
    reads: Cell<u64>,
    longest_bytes: Cell<usize>,
}

impl<D: ReadAt> CountingDevice<D> {
    /// Counts the reads of `device`.
    pub fn new(device: D) -> Self {
        Self {
            device,
            reads: Cell::new(0),
            longest_bytes: Cell::new(0),
        }
    }

    /// Reads since the last call.
    pub fn take_reads(&self) -> u64 {
        self.reads.take()
    }

    /// Length of the longest read so far, bytes.
    pub fn longest_bytes(&self) -> usize {
        self.longest_bytes.get()
    }
}

impl<D: ReadAt> ReadAt for CountingDevice<D> {
    fn len(&self) -> u64 {
        self.device.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.reads.set(self.reads.get() + 1);
        self.longest_bytes
            .set(self.longest_bytes.get().max(buf.len()));
        self.device.read_at(offset, buf)
    }
}
