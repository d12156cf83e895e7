//! A part of a device as the stream that `fatfs` writes. Used by formatting only.

use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::bytes::index;
use crate::device::WriteAt;

pub(super) struct Window<'a, D: WriteAt> {
    device: &'a mut D,
    start_bytes: u64,
    len_bytes: u64,
    at: u64,
}

impl<'a, D: WriteAt> Window<'a, D> {
    pub(super) fn new(device: &'a mut D, start_bytes: u64, len_bytes: u64) -> Self {
        Self {
            device,
            start_bytes,
            len_bytes,
            at: 0,
        }
    }

    fn room(&self, wanted: usize) -> usize {
        wanted.min(index(self.len_bytes.saturating_sub(self.at)))
    }
}

impl<D: WriteAt> Read for Window<'_, D> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.room(buf.len());
        self.device
            .read_at(self.start_bytes + self.at, &mut buf[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl<D: WriteAt> Write for Window<'_, D> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = self.room(data.len());
        self.device
            .write_at(self.start_bytes + self.at, &data[..count])?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<D: WriteAt> Seek for Window<'_, D> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
            SeekFrom::End(offset) => self.len_bytes.checked_add_signed(offset),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
