//! How much can still be added to a volume that only grows. Pure but for the counting.

use super::whole;
use crate::boot::Root;
use crate::device::ReadAt;
use crate::dir::lfn;
use crate::error::GrowingError;
use crate::volume::Volume;

/// Free clusters and directory slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Free bytes, in whole clusters.
    pub free_bytes: u64,
    /// Directory slots that were never used.
    pub free_slots: u32,
    /// Size of a cluster.
    pub cluster_bytes: u32,
}

impl Room {
    pub(super) fn of<D: ReadAt>(volume: &Volume<D>) -> Result<Self, GrowingError> {
        let slots = match volume.geometry().root {
            Root::Fixed { slots, .. } => slots,
            Root::Chain { .. } => 0,
        };
        let used = whole::used_slots(volume)?;
        Ok(Self {
            free_bytes: volume.free_bytes()?,
            free_slots: slots.saturating_sub(used),
            cluster_bytes: volume.geometry().cluster_bytes,
        })
    }

    /// Counts off a file; false, and nothing counted, where there is no room for it. It may be
    /// counted larger than it is, never smaller: with a number in its name, and a long name.
    pub fn take(&mut self, name: &str, len_bytes: u64) -> bool {
        let cluster_bytes = u64::from(self.cluster_bytes);
        let bytes = len_bytes
            .div_ceil(cluster_bytes)
            .saturating_mul(cluster_bytes);
        let left = (
            self.free_bytes.checked_sub(bytes),
            self.free_slots.checked_sub(Self::slots_for(name)),
        );
        let (Some(free_bytes), Some(free_slots)) = left else {
            return false;
        };
        self.free_bytes = free_bytes;
        self.free_slots = free_slots;
        true
    }

    /// The most slots that a file of that name takes: its long name with a number, and the entry.
    #[must_use]
    pub fn slots_for(name: &str) -> u32 {
        /// " (65536)".
        const NUMBER_UNITS: usize = 8;
        let units = name.encode_utf16().count() + NUMBER_UNITS;
        let units = units.min(crate::MAX_NAME_UNITS);
        u32::try_from(units.div_ceil(lfn::UNITS) + 1).unwrap_or(u32::MAX)
    }

    /// The same with only a share of it: what is left when `parts` of `of` equal parts are taken.
    #[must_use]
    pub fn share(self, parts: u32, of: u32) -> Self {
        let of = of.max(1);
        Self {
            free_bytes: self.free_bytes / u64::from(of) * u64::from(parts),
            free_slots: self.free_slots / of * parts,
            ..self
        }
    }
}
