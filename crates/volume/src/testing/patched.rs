//! A borrowed image with some bytes changed: thousands of damaged images without copying one.

use std::collections::BTreeMap;
use std::io;

use crate::bytes::index;
use crate::device::ReadAt;

/// An image in memory under a few changed bytes.
#[derive(Debug)]
pub struct PatchedDevice<'a> {
    image: &'a [u8],
    len_bytes: usize,
    patches: BTreeMap<u64, u8>,
}

impl<'a> PatchedDevice<'a> {
    /// The image as it is.
    #[must_use]
    pub fn new(image: &'a [u8]) -> Self {
        Self {
            image,
            len_bytes: image.len(),
            patches: BTreeMap::new(),
        }
    }

    /// Changes one byte.
    pub fn patch(&mut self, offset: u64, byte: u8) {
        self.patches.insert(offset, byte);
    }

    /// Cuts the image off.
    pub fn truncate(&mut self, len_bytes: usize) {
        self.len_bytes = self.len_bytes.min(len_bytes);
    }
}

impl ReadAt for PatchedDevice<'_> {
    fn len(&self) -> u64 {
        self.len_bytes as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start
            .checked_add(buf.len())
            .filter(|end| *end <= self.len_bytes);
        let source = end.and_then(|end| self.image.get(start..end));
        buf.copy_from_slice(source.ok_or(io::ErrorKind::UnexpectedEof)?);
        for (at, byte) in self.patches.range(offset..offset + buf.len() as u64) {
            buf[index(at - offset)] = *byte;
        }
        Ok(())
    }
}
