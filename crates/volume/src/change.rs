//! A change set: the sectors that an edit wants changed, before and after, and for which image.
//!
//! Invariant: sectors are sorted, distinct and really differ. Made by [`crate::Edit::finish`],
//! consumed by [`crate::publish`].

use crate::boot::Geometry;

/// Which volume on which image a change belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Length of the image.
    pub image_bytes: u64,
    /// Where the volume starts.
    pub partition_offset_bytes: u64,
    /// Serial number of the volume.
    pub serial: u32,
    /// Size of a sector.
    pub sector_bytes: u32,
}

impl Identity {
    pub(crate) fn of(geometry: &Geometry, image_bytes: u64) -> Self {
        Self {
            image_bytes,
            partition_offset_bytes: geometry.partition_offset_bytes,
            serial: geometry.serial,
            sector_bytes: geometry.sector_bytes,
        }
    }
}

/// One sector, as it was and as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectorChange {
    /// Offset on the device.
    pub offset_bytes: u64,
    /// What was read when the edit was made.
    pub before: Box<[u8]>,
    /// What is to be there.
    pub after: Box<[u8]>,
}

/// The outcome of an edit, not yet written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSet {
    pub(crate) identity: Identity,
    pub(crate) sectors: Vec<SectorChange>,
}

impl ChangeSet {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sectors.is_empty()
    }

    /// The image that it is for.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The sectors, by offset.
    #[must_use]
    pub fn sectors(&self) -> &[SectorChange] {
        &self.sectors
    }
}
