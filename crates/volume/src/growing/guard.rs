//! The last look before a write: does this change set only add? And in which order is it written,
//! so that a reader in its midst sees nothing half-made?
//!
//! The edit that made the change should only add. This does not believe it.

use crate::boot::{FIRST_CLUSTER, Root};
use crate::bytes::u16_at;
use crate::change::{ChangeSet, SectorChange};
use crate::device::ReadAt;
use crate::dir::DIR_SLOT_BYTES;
use crate::error::{GrowingError, ReadError};
use crate::volume::Volume;

/// Parts of a FAT16 volume, in the order in which they are written: content before the table that
/// leads through it, the table before the entries that lead to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Data,
    Table,
    Root,
}

/// The sectors in the order in which to write them. The root's come last to first: a reader stops
/// at the first slot that is zero, so the sector with the old end mark shows all new entries.
///
/// # Errors
/// [`GrowingError::NotAppending`]: something visible would change. Nothing was written.
pub(super) fn in_order<'c, D: ReadAt>(
    volume: &Volume<D>,
    changes: &'c ChangeSet,
) -> Result<Vec<&'c SectorChange>, GrowingError> {
    let mut ordered = Vec::with_capacity(changes.sectors().len());
    for sector in changes.sectors() {
        let part = part(volume, sector.offset_bytes);
        let adds = match part {
            None => false,
            Some(Part::Root) => adds_records(sector, DIR_SLOT_BYTES as usize),
            Some(Part::Table) => {
                adds_records(sector, volume.geometry().fat_type.entry_bytes() as usize)
            }
            Some(Part::Data) => is_free(volume, sector.offset_bytes)?,
        };
        let Some(part) = part.filter(|_| adds) else {
            let offset_bytes = sector.offset_bytes;
            return Err(GrowingError::NotAppending { offset_bytes });
        };
        ordered.push((part, sector));
    }
    ordered.sort_by_key(|(part, sector)| {
        let backwards = u64::MAX - sector.offset_bytes;
        let within = if *part == Part::Root {
            backwards
        } else {
            sector.offset_bytes
        };
        (*part, within)
    });
    Ok(ordered.into_iter().map(|(_, sector)| sector).collect())
}

/// Where a sector lies; none before the tables.
fn part<D: ReadAt>(volume: &Volume<D>, offset_bytes: u64) -> Option<Part> {
    let geometry = volume.geometry();
    let Root::Fixed {
        offset_bytes: root, ..
    } = geometry.root
    else {
        return None;
    };
    if offset_bytes < geometry.fat_offset_bytes {
        None
    } else if offset_bytes < root {
        Some(Part::Table)
    } else if offset_bytes < geometry.data_offset_bytes {
        Some(Part::Root)
    } else {
        Some(Part::Data)
    }
}

/// Whether each record that changes was zero before: a free cluster, or a slot never used.
fn adds_records(sector: &SectorChange, record_bytes: usize) -> bool {
    let before = sector.before.chunks(record_bytes);
    let after = sector.after.chunks(record_bytes);
    before
        .zip(after)
        .all(|(before, after)| before == after || before.iter().all(|byte| *byte == 0))
}

/// Whether the cluster at an offset is free, in the table as it is before the change.
fn is_free<D: ReadAt>(volume: &Volume<D>, offset_bytes: u64) -> Result<bool, GrowingError> {
    let geometry = volume.geometry();
    let number = (offset_bytes - geometry.data_offset_bytes) / u64::from(geometry.cluster_bytes);
    let cluster = u32::try_from(number)
        .ok()
        .and_then(|number| number.checked_add(FIRST_CLUSTER))
        .filter(|cluster| geometry.has_cluster(*cluster));
    let Some(cluster) = cluster else {
        return Ok(false);
    };
    let mut entry = [0; 2];
    volume
        .device()
        .read_at(geometry.fat_entry_offset(0, cluster), &mut entry)
        .map_err(ReadError::Io)?;
    Ok(u16_at(&entry, 0) == 0)
}
