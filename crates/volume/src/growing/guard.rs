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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end this way")]
mod tests {
    use super::*;
    use crate::{Edit, FatTime, GrowingVolume, NewFile};

    /// What becomes of an edit of a volume that has one file.
    fn guarded(change: impl Fn(&mut Edit<'_, &Vec<u8>>)) -> Result<usize, GrowingError> {
        let mut image = vec![0; 4 << 20];
        let file = NewFile {
            name: "A.TXT",
            content: b"a",
            time: FatTime::FIRST,
        };
        let mut growing = GrowingVolume::create(&mut image, "ANSWERS", 1, 512, 512).unwrap();
        growing.append(&[file]).unwrap();
        let volume = Volume::open(&image).unwrap();
        let mut edit = volume.edit();
        change(&mut edit);
        let changes = edit.finish().unwrap();
        in_order(&volume, &changes).map(|sectors| sectors.len())
    }

    #[test]
    fn an_addition_passes_and_a_replacement_does_not() {
        let time = FatTime::FIRST;
        let added = guarded(|edit| edit.create("B.TXT", &[1; 600], time).unwrap());
        // Two sectors of content, one in each table, one of the root.
        assert_eq!(added.unwrap(), 5);
        let replaced = guarded(|edit| edit.replace("A.TXT", b"b", time).unwrap());
        let refused = matches!(replaced, Err(GrowingError::NotAppending { .. }));
        assert!(refused, "{replaced:?}");
    }

    #[test]
    fn a_write_to_a_cluster_in_use_or_to_the_boot_sector_does_not_pass() {
        let image = {
            let mut image = vec![0; 4 << 20];
            let mut growing = GrowingVolume::create(&mut image, "ANSWERS", 1, 512, 512).unwrap();
            let (content, time) = (&[1; 512][..], FatTime::FIRST);
            let name = "A.TXT";
            growing
                .append(&[NewFile {
                    name,
                    content,
                    time,
                }])
                .unwrap();
            image
        };
        let volume = Volume::open(&image).unwrap();
        let data = volume.geometry().data_offset_bytes;
        for (offset_bytes, passes) in [(0, false), (data, false), (data + 512, true)] {
            let sector = SectorChange {
                offset_bytes,
                before: vec![0; 512].into(),
                after: vec![7; 512].into(),
            };
            let identity = crate::Identity::of(volume.geometry(), image.len() as u64);
            let sectors = vec![sector];
            let changes = ChangeSet { identity, sectors };
            let result = in_order(&volume, &changes);
            assert_eq!(result.is_ok(), passes, "at {offset_bytes}");
        }
    }
}
