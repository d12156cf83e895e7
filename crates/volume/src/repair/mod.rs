//! Repair of a volume that a host left in the middle of its work.
//!
//! Nothing of the user's is thrown away: what belongs to no file becomes one. The rules are in
//! `docs/SPEC.md` section 1.7. One call plans one round.

mod bitmap;
mod report;
mod rounds;

use crate::boot::Geometry;
use crate::device::ReadAt;
use crate::error::RepairError;
use crate::time::FatTime;

pub use report::{Fault, Finding, MAX_FINDINGS, Repair, RepairLimits, RepairReport};
pub use rounds::{repair, repair_with};

/// Most clusters of a volume that is repaired: two bits of memory each, 16 MiB in all.
pub const MAX_REPAIR_CLUSTERS: u32 = 1 << 26;

/// Plans one round.
pub(crate) fn round<D: ReadAt>(
    _device: &D,
    _geometry: &Geometry,
    _limits: RepairLimits,
    _time: FatTime,
) -> Result<Repair, RepairError> {
    Err(RepairError::NoEnd)
}
