//! Where the volume is and how it is laid out: partition table, then boot sector.
//!
//! [`locate`] reads at most 17 sectors and returns a [`Geometry`] in which
//! every number has been checked against the length of the device. Everything else trusts it.

mod bpb;
mod geometry;
mod partition;

use std::io;

pub use geometry::{FatType, Geometry, Root};

pub(crate) use bpb::{
    HIDDEN_SECTORS_AT, MAX_CLUSTER_BYTES, MIN_FAT16_CLUSTERS, MIN_FAT32_CLUSTERS,
};
pub(crate) use geometry::FIRST_CLUSTER;
pub(crate) use partition::{ENTRY_BYTES as PARTITION_ENTRY_BYTES, TABLE_AT as PARTITION_TABLE_AT};

use crate::bytes::is_zero;
use crate::device::ReadAt;
use crate::error::OpenError;

/// Smallest sector, and the size of everything read here.
pub(crate) const MIN_SECTOR_BYTES: u32 = 512;
/// Largest sector.
pub(crate) const MAX_SECTOR_BYTES: u32 = 4096;

/// One 512-byte sector.
pub(crate) type BootSector = [u8; 512];

/// Finds the volume on a device: a boot sector at its start, or else in its first partition that
/// has one.
pub(crate) fn locate<D: ReadAt + ?Sized>(device: &D) -> Result<Geometry, OpenError> {
    if device.is_empty() {
        return Err(OpenError::Blank);
    }
    let first = read_sector(device, 0)?;
    match bpb::parse(&first, 0, device.len()) {
        Err(OpenError::NoFileSystem) => {}
        found => return found,
    }
    if !partition::is_table(&first) {
        return Err(what_is_there(&first));
    }
    partition::find(device, &first)
}

/// Reads one sector; a device that ends before it is a truncated one.
fn read_sector<D: ReadAt + ?Sized>(device: &D, offset: u64) -> Result<BootSector, OpenError> {
    let mut sector: BootSector = [0; 512];
    let needed_bytes = offset.saturating_add(u64::from(MIN_SECTOR_BYTES));
    if device.len() < needed_bytes {
        return Err(OpenError::Truncated {
            image_bytes: device.len(),
            needed_bytes,
        });
    }
    match device.read_at(offset, &mut sector) {
        Ok(()) => Ok(sector),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(OpenError::Truncated {
            image_bytes: device.len(),
            needed_bytes,
        }),
        Err(error) => Err(OpenError::Io(error)),
    }
}

/// What a first sector that is neither FAT nor a partition table says.
fn what_is_there(sector: &BootSector) -> OpenError {
    if is_zero(sector) {
        OpenError::Blank
    } else {
        OpenError::NoFileSystem
    }
}
