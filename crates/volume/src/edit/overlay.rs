//! A device with changed sectors laid over it: what an edit reads and writes.
//!
//! Two layers: `kept` from calls that succeeded, `pending` from the one in progress, so that a
//! failed call can be undone as if it had not been made. Sectors count from the partition's start,
//! which need not be a multiple of the sector size.

use std::collections::BTreeMap;
use std::io;

use crate::boot::Geometry;
use crate::bytes::index;
use crate::change::SectorChange;
use crate::device::ReadAt;

type Layer = BTreeMap<u64, Box<[u8]>>;

pub(crate) struct Overlay<'a, D: ReadAt + ?Sized> {
    device: &'a D,
    origin_bytes: u64,
    sector_bytes: u64,
    kept: Layer,
    pending: Layer,
}

impl<'a, D: ReadAt + ?Sized> Overlay<'a, D> {
    pub(crate) fn new(device: &'a D, geometry: &Geometry) -> Self {
        Self {
            device,
            origin_bytes: geometry.partition_offset_bytes,
            sector_bytes: u64::from(geometry.sector_bytes),
            kept: Layer::new(),
            pending: Layer::new(),
        }
    }

    /// Writes at an offset of the device, at or after the partition's start.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut rest = data;
        let mut at = offset - self.origin_bytes;
        while !rest.is_empty() {
            let (number, within) = (at / self.sector_bytes, index(at % self.sector_bytes));
            let count = rest.len().min(index(self.sector_bytes) - within);
            let (part, after) = rest.split_at(count);
            let mut sector = self.sector(number, count)?;
            sector[within..within + count].copy_from_slice(part);
            self.pending.insert(number, sector);
            rest = after;
            at += count as u64;
        }
        Ok(())
    }

    /// The sector as it is now; blank where `written` bytes, all of it, are about to replace it.
    fn sector(&mut self, number: u64, written: usize) -> io::Result<Box<[u8]>> {
        if let Some(sector) = self.pending.remove(&number) {
            return Ok(sector);
        }
        let mut sector = vec![0; index(self.sector_bytes)].into_boxed_slice();
        if written < sector.len() {
            self.read_at(self.origin_bytes + number * self.sector_bytes, &mut sector)?;
        }
        Ok(sector)
    }

    /// Keeps what the call wrote.
    pub(crate) fn keep(&mut self) {
        self.kept.append(&mut self.pending);
    }

    /// Undoes the call.
    pub(crate) fn undo(&mut self) {
        self.pending.clear();
    }

    /// Bytes held for all sectors written so far.
    pub(crate) fn held_bytes(&self) -> u64 {
        (self.kept.len() + self.pending.len()) as u64 * self.sector_bytes
    }

    /// The sectors that differ from the device.
    pub(crate) fn finish(mut self) -> io::Result<Vec<SectorChange>> {
        self.keep();
        let mut changes = Vec::new();
        for (number, after) in self.kept {
            let offset_bytes = self.origin_bytes + number * self.sector_bytes;
            let mut before = vec![0; after.len()].into_boxed_slice();
            self.device.read_at(offset_bytes, &mut before)?;
            if before != after {
                changes.push(SectorChange {
                    offset_bytes,
                    before,
                    after,
                });
            }
        }
        Ok(changes)
    }

    /// Copies what a layer has of the range over `buf`.
    fn lay(&self, layer: &Layer, offset: u64, buf: &mut [u8]) {
        let Some(start) = offset.checked_sub(self.origin_bytes) else {
            return;
        };
        let end = start + buf.len() as u64;
        let first = start / self.sector_bytes;
        for (number, sector) in layer.range(first..end.div_ceil(self.sector_bytes)) {
            let sector_start = number * self.sector_bytes;
            let from = start.max(sector_start);
            let to = end.min(sector_start + self.sector_bytes);
            let source = &sector[index(from - sector_start)..index(to - sector_start)];
            buf[index(from - start)..index(to - start)].copy_from_slice(source);
        }
    }
}

impl<D: ReadAt + ?Sized> ReadAt for Overlay<'_, D> {
    fn len(&self) -> u64 {
        self.device.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.device.read_at(offset, buf)?;
        self.lay(&self.kept, offset, buf);
        self.lay(&self.pending, offset, buf);
        Ok(())
    }
}
