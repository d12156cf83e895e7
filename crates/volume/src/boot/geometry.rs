//! The layout of a volume in bytes of the device, after every check.
//!
//! Invariant: built only by `bpb::parse`, so each range lies within the device and each product
//! below fits. Used by everything that turns a cluster into an offset.

use std::fmt;

use crate::bytes::index;

/// Number of the first data cluster; 0 and 1 are reserved (specification, "FAT Data Structure").
pub(crate) const FIRST_CLUSTER: u32 = 2;

/// How wide the entries of the file allocation table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FatType {
    /// 16 bits; 4085 to 65524 clusters.
    Fat16,
    /// 28 of 32 bits.
    Fat32,
}

impl FatType {
    /// Bytes of one entry of the table.
    #[must_use]
    pub const fn entry_bytes(self) -> u32 {
        match self {
            Self::Fat16 => 2,
            Self::Fat32 => 4,
        }
    }
}

impl fmt::Display for FatType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fat16 => "FAT16",
            Self::Fat32 => "FAT32",
        })
    }
}

/// Where the root directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// FAT16: a fixed area of the volume.
    Fixed {
        /// Offset on the device, bytes.
        offset_bytes: u64,
        /// How many 32-byte slots there are.
        slots: u32,
    },
    /// FAT32: a chain like any other folder's.
    Chain {
        /// Its first cluster.
        first_cluster: u32,
    },
}

/// The layout of a volume. All offsets are from the start of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Geometry {
    /// Width of a table entry.
    pub fat_type: FatType,
    /// Bytes of a sector: 512, 1024, 2048 or 4096.
    pub sector_bytes: u32,
    /// Bytes of a cluster: a power of two from one sector to 64 KiB.
    pub cluster_bytes: u32,
    /// How many clusters the volume has; they are numbered from 2.
    pub clusters: u32,
    /// Where the volume starts on the device; 0 without a partition table.
    pub partition_offset_bytes: u64,
    /// Length of the volume.
    pub volume_bytes: u64,
    /// Where the first copy of the table starts.
    pub fat_offset_bytes: u64,
    /// Length of one copy of the table.
    pub fat_bytes: u64,
    /// How many copies there are: 1 or 2.
    pub fat_copies: u8,
    /// Where the root directory is.
    pub root: Root,
    /// Where cluster 2 starts.
    pub data_offset_bytes: u64,
    /// Where the `FSInfo` sector is, on FAT32 volumes that have one.
    pub fs_info_offset_bytes: Option<u64>,
    /// The volume's serial number.
    pub serial: u32,
    /// The label as the boot sector has it, padded with spaces; hosts prefer the root directory's.
    pub boot_label: Option<[u8; 11]>,
}

impl Geometry {
    /// Number of the last cluster.
    #[must_use]
    pub fn last_cluster(&self) -> u32 {
        // `clusters` is at most 0x0FFF_FFF5, checked when the boot sector was parsed.
        self.clusters + FIRST_CLUSTER - 1
    }

    /// Whether the volume has this cluster.
    #[must_use]
    #[inline]
    pub fn has_cluster(&self, cluster: u32) -> bool {
        (FIRST_CLUSTER..=self.last_cluster()).contains(&cluster)
    }

    /// Where a cluster starts; `None` where the volume has no such cluster.
    #[must_use]
    pub fn cluster_offset(&self, cluster: u32) -> Option<u64> {
        self.has_cluster(cluster).then(|| {
            let before = u64::from(cluster - FIRST_CLUSTER) * u64::from(self.cluster_bytes);
            self.data_offset_bytes + before
        })
    }

    /// How many clusters hold `len_bytes` bytes.
    #[must_use]
    pub fn clusters_for(&self, len_bytes: u64) -> u64 {
        len_bytes.div_ceil(u64::from(self.cluster_bytes))
    }

    /// Where the table entry of `cluster` is in copy `copy` (from 0).
    #[inline]
    pub(crate) fn fat_entry_offset(&self, copy: u8, cluster: u32) -> u64 {
        let in_copy = u64::from(cluster) * u64::from(self.fat_type.entry_bytes());
        self.fat_offset_bytes + u64::from(copy) * self.fat_bytes + in_copy
    }

    /// Where the "not unmounted" byte of the boot sector is (Linux `struct fat_boot_sector`,
    /// `state`; 0x25 on FAT16, 0x41 on FAT32).
    pub(crate) fn dirty_byte_offset(&self) -> u64 {
        let in_sector = match self.fat_type {
            FatType::Fat16 => 0x25,
            FatType::Fat32 => 0x41,
        };
        self.partition_offset_bytes + in_sector
    }

    /// `cluster_bytes` as a buffer size.
    pub(crate) fn cluster_len(&self) -> usize {
        index(u64::from(self.cluster_bytes))
    }

    /// `sector_bytes` as a buffer size.
    pub(crate) fn sector_len(&self) -> usize {
        index(u64::from(self.sector_bytes))
    }
}
