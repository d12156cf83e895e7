//! The MBR partition table: finds the first partition that holds a FAT volume.
//!
//! Layout: the classic table of four 16-byte entries at 446. Extended partitions are not followed
//! (no host puts a stick's only volume there). Used by `boot::locate`.

use super::{BootSector, bpb, read_sector};
use crate::boot::geometry::Geometry;
use crate::bytes::u32_at;
use crate::device::ReadAt;
use crate::error::OpenError;

pub(crate) const TABLE_AT: usize = 446;
pub(crate) const ENTRY_BYTES: usize = 16;
const ENTRIES: usize = 4;
const SIGNATURE_AT: usize = 510;
/// Protective entry of a GPT disk (UEFI specification, 5.2.3).
const TYPE_GPT: u8 = 0xEE;
/// Partitions count in sectors of the disk, which an image does not say; 512 is tried first.
const UNITS_BYTES: [u32; 4] = [512, 4096, 2048, 1024];

/// Whether the sector ends in the boot signature and its four entries could be a table.
pub(crate) fn is_table(sector: &BootSector) -> bool {
    let signed = sector[SIGNATURE_AT..] == [0x55, 0xAA];
    let plausible = entries(sector).all(|entry| entry.status & 0x7F == 0);
    signed && plausible && entries(sector).any(|entry| entry.is_used())
}

/// The first partition with a FAT volume; else what the partitions are instead.
pub(crate) fn find<D: ReadAt + ?Sized>(
    device: &D,
    sector: &BootSector,
) -> Result<Geometry, OpenError> {
    let mut best = None;
    for entry in entries(sector).filter(Entry::is_used) {
        if entry.kind == TYPE_GPT {
            best.get_or_insert(OpenError::OnlyGpt);
            continue;
        }
        match volume_in(device, &entry) {
            Ok(geometry) => return Ok(geometry),
            Err(OpenError::Io(error)) => return Err(OpenError::Io(error)),
            // The first complaint about a real file system says most.
            Err(OpenError::NoFileSystem) => {}
            Err(error) => {
                best.get_or_insert(error);
            }
        }
    }
    Err(best.unwrap_or(OpenError::NoFileSystem))
}

fn volume_in<D: ReadAt + ?Sized>(device: &D, entry: &Entry) -> Result<Geometry, OpenError> {
    let mut best = OpenError::NoFileSystem;
    for unit_bytes in UNITS_BYTES {
        let offset = u64::from(entry.first_sector) * u64::from(unit_bytes);
        let sector = match read_sector(device, offset) {
            Err(error @ OpenError::Truncated { .. }) if unit_bytes == UNITS_BYTES[0] => {
                return Err(error);
            }
            Err(OpenError::Truncated { .. }) => continue,
            sector => sector?,
        };
        match bpb::parse(&sector, offset, device.len()) {
            Ok(geometry) if unit_bytes == UNITS_BYTES[0] || geometry.sector_bytes == unit_bytes => {
                return Ok(geometry);
            }
            Ok(_) | Err(OpenError::NoFileSystem) => {}
            Err(error) if unit_bytes == UNITS_BYTES[0] => best = error,
            Err(_) => {}
        }
    }
    Err(best)
}

struct Entry {
    status: u8,
    kind: u8,
    first_sector: u32,
    sectors: u32,
}

impl Entry {
    fn is_used(&self) -> bool {
        self.kind != 0 && self.first_sector != 0 && self.sectors != 0
    }
}

fn entries(sector: &BootSector) -> impl Iterator<Item = Entry> + '_ {
    (0..ENTRIES).map(|number| {
        let at = TABLE_AT + number * ENTRY_BYTES;
        Entry {
            status: sector[at],
            kind: sector[at + 4],
            first_sector: u32_at(sector, at + 8),
            sectors: u32_at(sector, at + 12),
        }
    })
}
