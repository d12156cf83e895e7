//! A whole repair: round after round is planned, published through the journal, and planned anew
//! from what is then on the device.

use std::path::Path;

use super::report::{Repair, RepairLimits, RepairReport};
use crate::boot::Geometry;
use crate::device::WriteAt;
use crate::error::RepairError;
use crate::journal::{FileJournal, JournalStore, publish_with};
use crate::time::FatTime;
use crate::volume::Volume;

/// Rounds beyond what a volume of its size can need mean that something goes in circles.
const SPARE_ROUNDS: u64 = 64;
/// A round changes at least this much, or is the last one.
const ROUND_BYTES: u64 = RepairLimits::MIN_CHANGE_BYTES;

/// Repairs the volume on a device, through a journal file at `journal`. `time` goes into the
/// entries of recovered files.
///
/// # Errors
/// As [`repair_with`].
pub fn repair<D: WriteAt>(
    device: &mut D,
    journal: &Path,
    limits: RepairLimits,
    time: FatTime,
) -> Result<RepairReport, RepairError> {
    repair_with(device, &mut FileJournal::new(journal), limits, time)
}

/// Like [`repair`], with the journal in a store of the caller's.
///
/// # Errors
/// Before the first round is published the device is unchanged; after it the volume is no worse
/// than before and the repair may be run again. An error of publishing means what
/// [`publish_with`] says.
pub fn repair_with<D: WriteAt, J: JournalStore>(
    device: &mut D,
    journal: &mut J,
    limits: RepairLimits,
    time: FatTime,
) -> Result<RepairReport, RepairError> {
    let mut report = RepairReport::default();
    let mut rounds_left = None;
    loop {
        let volume = Volume::open(&mut *device).map_err(RepairError::Open)?;
        let left = rounds_left.get_or_insert_with(|| most_rounds(volume.geometry()));
        let Repair {
            changes,
            is_complete,
            report: found,
        } = volume.repair(limits, time)?;
        drop(volume);
        publish_with(device, journal, &changes)?;
        report.append(found);
        if is_complete {
            return Ok(report);
        }
        *left = left.checked_sub(1).ok_or(RepairError::NoEnd)?;
    }
}

/// Everything on the volume written twice.
fn most_rounds(geometry: &Geometry) -> u64 {
    geometry.volume_bytes / ROUND_BYTES * 2 + SPARE_ROUNDS
}
