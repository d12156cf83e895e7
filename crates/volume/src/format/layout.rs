//! Which type and cluster size a volume of a given size gets. Pure.
//!
//! The number of clusters decides the type for every host, so it must not come near a border:
//! Microsoft's specification asks for 16 clusters' distance because some drivers are off by a few.

use crate::boot::{FatType, MAX_CLUSTER_BYTES, MIN_FAT16_CLUSTERS, MIN_FAT32_CLUSTERS};
use crate::error::FormatError;

pub(super) const SECTOR_BYTES: u64 = 512;
/// Distance from the borders between the types.
const MARGIN_CLUSTERS: u64 = 16;
/// FAT16 up to here, unless asked otherwise.
const FAT16_UP_TO_BYTES: u64 = 512 * 1024 * 1024;
/// FAT32 clusters are 4 KiB, a page of the machine that holds the image, where that leaves enough
/// of them, and larger only on volumes above 8 GiB.
const FAT32_CLUSTER_BYTES: u32 = 4096;
const FAT32_LARGE_BYTES: u64 = 8 * 1024 * 1024 * 1024;
const FAT_COPIES: u64 = 2;
/// Slots of FAT16's root, unless asked otherwise: what every formatter makes.
pub(super) const FAT16_ROOT_SLOTS: u16 = 512;
/// Slots in a sector; the root is whole sectors (specification, "`BPB_RootEntCnt`").
pub(super) const SLOTS_A_SECTOR: u16 = 16;

/// A layout that `fatfs` arrives at too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) fat_type: FatType,
    pub(super) cluster_bytes: u32,
    pub(super) sectors: u32,
    pub(super) clusters: u32,
}

/// What decides how many clusters fit a number of sectors.
#[derive(Clone, Copy)]
struct Shape {
    fat_type: FatType,
    cluster_bytes: u32,
    root_slots: u16,
}

/// Why there is no layout; offsets of a partition are not counted in yet.
pub(super) enum NoLayout {
    BadCluster(u32),
    BadRoot(u16),
    TooSmall { what: String, minimum_bytes: u64 },
    TooLarge { what: String },
}

impl NoLayout {
    pub(super) fn with_offset(self, device_bytes: u64, offset_bytes: u64) -> FormatError {
        let bytes = device_bytes;
        match self {
            Self::BadCluster(bytes) => FormatError::BadCluster { bytes },
            Self::BadRoot(slots) => FormatError::BadRoot { slots },
            Self::TooSmall {
                what,
                minimum_bytes,
            } => {
                let minimum_bytes = minimum_bytes + offset_bytes;
                FormatError::TooSmall {
                    bytes,
                    what,
                    minimum_bytes,
                }
            }
            Self::TooLarge { what } => FormatError::TooLarge { bytes, what },
        }
    }
}

impl Layout {
    /// The layout for a volume of `bytes`.
    pub(super) fn choose(
        bytes: u64,
        fat_type: Option<FatType>,
        cluster_bytes: Option<u32>,
        root_slots: Option<u16>,
    ) -> Result<Self, NoLayout> {
        let root_slots = root_slots.unwrap_or(FAT16_ROOT_SLOTS);
        if root_slots == 0 || !root_slots.is_multiple_of(SLOTS_A_SECTOR) {
            return Err(NoLayout::BadRoot(root_slots));
        }
        let default = if bytes <= FAT16_UP_TO_BYTES {
            FatType::Fat16
        } else {
            FatType::Fat32
        };
        let fat_type = fat_type.unwrap_or(default);
        if let Some(cluster_bytes) = cluster_bytes {
            let sizes = SECTOR_BYTES..=u64::from(MAX_CLUSTER_BYTES);
            if !cluster_bytes.is_power_of_two() || !sizes.contains(&u64::from(cluster_bytes)) {
                return Err(NoLayout::BadCluster(cluster_bytes));
            }
            let shape = Shape {
                fat_type,
                cluster_bytes,
                root_slots,
            };
            return Self::with_shape(bytes, shape);
        }
        Self::with_any_cluster(bytes, fat_type, root_slots)
    }

    /// The preferred cluster size, else the nearest larger one, else the nearest smaller one.
    fn with_any_cluster(bytes: u64, fat_type: FatType, root_slots: u16) -> Result<Self, NoLayout> {
        let preferred = match fat_type {
            FatType::Fat32 if bytes > FAT32_LARGE_BYTES => 4 * FAT32_CLUSTER_BYTES,
            FatType::Fat32 => FAT32_CLUSTER_BYTES,
            FatType::Fat16 => 2048,
        };
        let powers = || (9..=16).map(|power| 1_u32 << power);
        let larger = powers().filter(|size| *size >= preferred);
        let smaller = powers().rev().filter(|size| *size < preferred);
        let mut last = NoLayout::BadCluster(preferred);
        for cluster_bytes in larger.chain(smaller) {
            let shape = Shape {
                fat_type,
                cluster_bytes,
                root_slots,
            };
            match Self::with_shape(bytes, shape) {
                Ok(layout) => return Ok(layout),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn with_shape(bytes: u64, shape: Shape) -> Result<Self, NoLayout> {
        let Shape {
            fat_type,
            cluster_bytes,
            ..
        } = shape;
        let what = || format!("{fat_type} with clusters of {cluster_bytes} bytes");
        let least = match fat_type {
            FatType::Fat16 => u64::from(MIN_FAT16_CLUSTERS) + MARGIN_CLUSTERS,
            FatType::Fat32 => u64::from(MIN_FAT32_CLUSTERS) + MARGIN_CLUSTERS,
        };
        let most = match fat_type {
            FatType::Fat16 => u64::from(MIN_FAT32_CLUSTERS) - MARGIN_CLUSTERS,
            FatType::Fat32 => 0x0FFF_FFF5 - MARGIN_CLUSTERS,
        };
        let too_large = || NoLayout::TooLarge { what: what() };
        let sectors = u32::try_from(bytes / SECTOR_BYTES).map_err(|_| too_large())?;
        let clusters = clusters(u64::from(sectors), shape);
        if clusters < least {
            let minimum_bytes = minimum_bytes(least, shape);
            return Err(NoLayout::TooSmall {
                what: what(),
                minimum_bytes,
            });
        }
        if clusters >= most {
            return Err(too_large());
        }
        let clusters = u32::try_from(clusters).map_err(|_| too_large())?;
        Ok(Self {
            fat_type,
            cluster_bytes,
            sectors,
            clusters,
        })
    }
}

/// Sectors before the tables and in the root directory, as `fatfs` lays them out.
fn fixed_sectors(shape: Shape) -> u64 {
    match shape.fat_type {
        FatType::Fat16 => 1 + u64::from(shape.root_slots / SLOTS_A_SECTOR),
        FatType::Fat32 => 8,
    }
}

/// How many clusters `sectors` sectors hold beside the tables that they need. The tables' size is
/// the specification's "FAT size" formula with the two reserved entries counted in.
fn clusters(sectors: u64, shape: Shape) -> u64 {
    let a_cluster = u64::from(shape.cluster_bytes) / SECTOR_BYTES;
    let entries_a_sector = SECTOR_BYTES / u64::from(shape.fat_type.entry_bytes());
    let rest = sectors.saturating_sub(fixed_sectors(shape));
    let table = (rest + 2 * a_cluster).div_ceil(a_cluster * entries_a_sector + FAT_COPIES);
    rest.saturating_sub(FAT_COPIES * table) / a_cluster
}

/// The least size with `least` clusters.
fn minimum_bytes(least: u64, shape: Shape) -> u64 {
    let a_cluster = u64::from(shape.cluster_bytes) / SECTOR_BYTES;
    let entries_a_sector = SECTOR_BYTES / u64::from(shape.fat_type.entry_bytes());
    let table = (least + 2).div_ceil(entries_a_sector);
    let mut sectors = fixed_sectors(shape) + FAT_COPIES * table + least * a_cluster;
    // The formula may give the tables a sector more than they need.
    while clusters(sectors, shape) < least {
        sectors += 1;
    }
    sectors * SECTOR_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_size_is_enough_and_one_sector_less_is_not() {
        for fat_type in [FatType::Fat16, FatType::Fat32] {
            for power in 9..=16 {
                let size = 1_u32 << power;
                let Err(NoLayout::TooSmall { minimum_bytes, .. }) =
                    Layout::choose(0, Some(fat_type), Some(size), None)
                else {
                    panic!("zero bytes are too small");
                };
                assert!(Layout::choose(minimum_bytes, Some(fat_type), Some(size), None).is_ok());
                let less = minimum_bytes - SECTOR_BYTES;
                assert!(Layout::choose(less, Some(fat_type), Some(size), None).is_err());
            }
        }
    }

    #[test]
    fn usual_sizes() {
        let mib = 1024 * 1024;
        let of = |bytes, fat_type| {
            Layout::choose(bytes, fat_type, None, None)
                .ok()
                .map(|l| (l.fat_type, l.cluster_bytes))
        };
        assert_eq!(of(64 * mib, None), Some((FatType::Fat16, 2048)));
        assert_eq!(of(3 * mib, None), Some((FatType::Fat16, 512)));
        assert_eq!(of(512 * mib, None), Some((FatType::Fat16, 8192)));
        assert_eq!(
            of(64 * mib, Some(FatType::Fat32)),
            Some((FatType::Fat32, 512))
        );
        assert_eq!(of(1024 * mib, None), Some((FatType::Fat32, 4096)));
        assert_eq!(of(32 * 1024 * mib, None), Some((FatType::Fat32, 16 * 1024)));
        assert_eq!(of(mib, None), None);
    }
}
