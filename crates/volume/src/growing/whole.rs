//! Whether a volume is what appending leaves behind, to the last slot: the condition under which
//! more may be added to it. Reads only.

use std::ops::ControlFlow;

use crate::boot::{FIRST_CLUSTER, FatType, Root};
use crate::device::ReadAt;
use crate::dir::{DELETED, DIR_SLOT_BYTES};
use crate::error::{GrowingError, ReadError};
use crate::inspect::ChainProblem;
use crate::scan;
use crate::volume::Volume;

/// How many slots of the root are in use.
pub(super) fn used_slots<D: ReadAt>(volume: &Volume<D>) -> Result<u32, GrowingError> {
    let root = root(volume)?;
    let used = root.iter().take_while(|slot| slot[0] != 0).count();
    Ok(u32::try_from(used).unwrap_or(u32::MAX))
}

/// Checks a volume that was opened.
///
/// # Errors
/// [`GrowingError::NotWhole`] with the reason.
pub(super) fn check<D: ReadAt>(volume: &Volume<D>) -> Result<(), GrowingError> {
    let not_whole = |what| Err(GrowingError::NotWhole { what });
    if volume.geometry().fat_type != FatType::Fat16 {
        return not_whole("it is not FAT16");
    }
    if !volume.dirty_marks()?.is_clean() {
        return not_whole("it is marked as in use");
    }
    let root = root(volume)?;
    let used = used_slots(volume)? as usize;
    if root.iter().any(|slot| slot[0] == DELETED) {
        return not_whole("a file was deleted from it");
    }
    if root.iter().skip(used).flatten().any(|byte| *byte != 0) {
        return not_whole("it has entries behind its end");
    }
    let entries = volume.list("")?;
    if entries.iter().any(crate::Entry::is_dir) {
        return not_whole("it has a folder");
    }
    let inspections = volume.inspect(&entries)?;
    // Bytes that are NUL because somebody wrote them so are whole: no host writes here late.
    let is_problem = |problem: &ChainProblem| !matches!(problem, ChainProblem::NulTail { .. });
    if (inspections.iter()).any(|found| found.problems.iter().any(is_problem)) {
        return not_whole("a file on it is incomplete");
    }
    let clusters = inspections
        .iter()
        .map(|found| u64::from(found.chain_clusters));
    let clusters = clusters.sum();
    if allocated_prefix(volume)? != Some(clusters) {
        return not_whole("its table and its files differ");
    }
    Ok(())
}

/// How many clusters are allocated, if they are the first ones.
fn allocated_prefix<D: ReadAt>(volume: &Volume<D>) -> Result<Option<u64>, GrowingError> {
    let geometry = volume.geometry();
    let (mut allocated, mut gap, mut is_prefix) = (0_u64, false, true);
    let all = FIRST_CLUSTER..=geometry.last_cluster();
    scan::scan(volume.device(), geometry, all, |_, raw| {
        allocated += u64::from(raw != 0);
        is_prefix &= raw == 0 || !gap;
        gap |= raw == 0;
        ControlFlow::Continue(())
    })
    .map_err(ReadError::Io)?;
    Ok(is_prefix.then_some(allocated))
}

/// All slots of the root: at most 65,535 of them.
fn root<D: ReadAt>(volume: &Volume<D>) -> Result<Vec<[u8; DIR_SLOT_BYTES as usize]>, GrowingError> {
    let Root::Fixed {
        offset_bytes,
        slots,
    } = volume.geometry().root
    else {
        return Ok(Vec::new());
    };
    let mut root = vec![[0; DIR_SLOT_BYTES as usize]; slots as usize];
    volume
        .device()
        .read_at(offset_bytes, root.as_flattened_mut())
        .map_err(ReadError::Io)?;
    Ok(root)
}
