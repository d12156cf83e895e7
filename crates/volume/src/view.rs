//! What all reading needs: a device, the layout of the volume on it, and the table's cache.
//!
//! Lent by a [`crate::Volume`] over its device and by an [`crate::Edit`] over the device with the
//! edit's sectors laid on top, so that both read with the same code.

use std::io;

use crate::boot::Geometry;
use crate::device::ReadAt;
use crate::dir::CodePage;
use crate::fat::{FatCache, FatValue};

pub(crate) struct View<'a, D: ReadAt + ?Sized> {
    pub(crate) device: &'a D,
    pub(crate) geometry: &'a Geometry,
    pub(crate) cache: &'a FatCache,
    pub(crate) code_page: CodePage,
}

impl<D: ReadAt + ?Sized> Clone for View<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D: ReadAt + ?Sized> Copy for View<'_, D> {}

impl<D: ReadAt + ?Sized> View<'_, D> {
    /// What the first copy of the table says about a cluster of the volume.
    pub(crate) fn fat_value(&self, cluster: u32) -> io::Result<FatValue> {
        let raw = self.cache.raw(self.device, self.geometry, 0, cluster)?;
        Ok(FatValue::decode(self.geometry, raw))
    }

    /// Whether both copies of the table say the same about a cluster (true with one copy).
    pub(crate) fn copies_agree(&self, cluster: u32) -> io::Result<bool> {
        if self.geometry.fat_copies < 2 {
            return Ok(true);
        }
        let first = self.cache.raw(self.device, self.geometry, 0, cluster)?;
        Ok(first == self.cache.raw(self.device, self.geometry, 1, cluster)?)
    }
}
