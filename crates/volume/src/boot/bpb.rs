//! The boot sector of a FAT volume: parsed, checked, turned into a [`Geometry`].
//!
//! Offsets: Microsoft, *FAT32 File System Specification* 1.03, "Boot Sector and BPB". Pure.
//! Used by `boot::locate` and `boot::partition`.

use super::geometry::{FIRST_CLUSTER, FatType, Geometry, Root};
use super::{BootSector, MAX_SECTOR_BYTES, MIN_SECTOR_BYTES};
use crate::bytes::{u16_at, u32_at};
use crate::error::OpenError;

/// Largest cluster that is supported.
pub(crate) const MAX_CLUSTER_BYTES: u32 = 64 * 1024;
/// Fewer clusters than this are FAT12 (specification, "FAT Type Determination").
pub(crate) const MIN_FAT16_CLUSTERS: u32 = 4085;
/// From this many clusters on, a volume must be FAT32.
pub(crate) const MIN_FAT32_CLUSTERS: u32 = 65525;
/// The table's own values start at `0x0FFF_FFF7`, and numbering starts at 2.
const MAX_FAT32_CLUSTERS: u32 = 0x0FFF_FFF5;
const DIR_SLOT_BYTES: u64 = 32;
/// Extended boot signature: serial and label follow.
const EXTENDED_SIGNATURE: u8 = 0x29;
/// Bit 7 of the extended flags: only one copy of the table is kept.
const MIRRORING_OFF: u16 = 0x0080;

/// The fields as they lie in the sector.
struct Raw {
    sector_bytes: u32,
    sectors_per_cluster: u8,
    reserved_sectors: u16,
    fat_copies: u8,
    root_slots: u16,
    total_sectors: u32,
    sectors_per_fat_16: u16,
    sectors_per_fat_32: u32,
}

impl Raw {
    fn read(sector: &BootSector) -> Self {
        let total_sectors_16 = u32::from(u16_at(sector, 19));
        let small = total_sectors_16 != 0;
        Self {
            sector_bytes: u32::from(u16_at(sector, 11)),
            sectors_per_cluster: sector[13],
            reserved_sectors: u16_at(sector, 14),
            fat_copies: sector[16],
            root_slots: u16_at(sector, 17),
            total_sectors: if small {
                total_sectors_16
            } else {
                u32_at(sector, 32)
            },
            sectors_per_fat_16: u16_at(sector, 22),
            sectors_per_fat_32: u32_at(sector, 36),
        }
    }

    /// The layout, not the number of clusters, says FAT32: Linux, Windows and `fsck.fat` agree on
    /// that, and `mkfs.fat -F 32` makes such volumes with few clusters.
    fn is_fat32(&self) -> bool {
        self.sectors_per_fat_16 == 0
    }

    fn sectors_per_fat(&self) -> u32 {
        if self.is_fat32() {
            self.sectors_per_fat_32
        } else {
            u32::from(self.sectors_per_fat_16)
        }
    }

    /// Whether this is a FAT boot sector at all.
    fn looks_like_fat(&self, sector: &BootSector) -> bool {
        let jump = sector[0] == 0xEB || sector[0] == 0xE9;
        jump && self.sector_bytes.is_power_of_two()
            && (128..=32_768).contains(&self.sector_bytes)
            && self.sectors_per_cluster.is_power_of_two()
            && self.reserved_sectors != 0
            && self.fat_copies != 0
            && self.sectors_per_fat() != 0
            && sector[21] >= 0xF0
    }
}

/// Parses the boot sector found at `partition_offset_bytes` of a device of `device_bytes`.
pub(crate) fn parse(
    sector: &BootSector,
    partition_offset_bytes: u64,
    device_bytes: u64,
) -> Result<Geometry, OpenError> {
    refuse_other_systems(sector)?;
    let raw = Raw::read(sector);
    if !raw.looks_like_fat(sector) {
        return Err(OpenError::NoFileSystem);
    }
    refuse_unsupported(sector, &raw)?;
    let layout = Layout::compute(&raw)?;
    let volume_bytes = u64::from(raw.total_sectors) * u64::from(raw.sector_bytes);
    let needed_bytes = partition_offset_bytes.saturating_add(volume_bytes);
    if device_bytes < needed_bytes {
        return Err(OpenError::Truncated {
            image_bytes: device_bytes,
            needed_bytes,
        });
    }
    geometry(sector, &raw, &layout, partition_offset_bytes)
}

fn refuse_other_systems(sector: &BootSector) -> Result<(), OpenError> {
    match &sector[3..11] {
        b"EXFAT   " => Err(OpenError::OtherFileSystem { name: "exFAT" }),
        b"NTFS    " => Err(OpenError::OtherFileSystem { name: "NTFS" }),
        _ => Ok(()),
    }
}

fn refuse_unsupported(sector: &BootSector, raw: &Raw) -> Result<(), OpenError> {
    let unsupported = |what: String| Err(OpenError::Unsupported { what });
    if !(MIN_SECTOR_BYTES..=MAX_SECTOR_BYTES).contains(&raw.sector_bytes) {
        return unsupported(format!("sectors of {} bytes", raw.sector_bytes));
    }
    let cluster_bytes = raw.sector_bytes * u32::from(raw.sectors_per_cluster);
    if cluster_bytes > MAX_CLUSTER_BYTES {
        return unsupported(format!("clusters of {cluster_bytes} bytes"));
    }
    if raw.fat_copies > 2 {
        return unsupported(format!("{} copies of the allocation table", raw.fat_copies));
    }
    if raw.is_fat32() && u16_at(sector, 40) & MIRRORING_OFF != 0 {
        return unsupported("an allocation table that is not mirrored".to_owned());
    }
    if raw.is_fat32() && u16_at(sector, 42) != 0 {
        return unsupported("a version of FAT32 other than 0.0".to_owned());
    }
    Ok(())
}

/// Sector counts that follow from the raw fields.
struct Layout {
    fat_start: u64,
    sectors_per_fat: u64,
    root_start: u64,
    data_start: u64,
    clusters: u32,
}

impl Layout {
    fn compute(raw: &Raw) -> Result<Self, OpenError> {
        let corrupt = |what: &'static str| OpenError::Corrupt { what };
        let fat_start = u64::from(raw.reserved_sectors);
        let sectors_per_fat = u64::from(raw.sectors_per_fat());
        let root_start = fat_start + sectors_per_fat * u64::from(raw.fat_copies);
        let root_bytes = u64::from(raw.root_slots) * DIR_SLOT_BYTES;
        let data_start = root_start + root_bytes.div_ceil(u64::from(raw.sector_bytes));
        let data_sectors = u64::from(raw.total_sectors)
            .checked_sub(data_start)
            .ok_or(corrupt(
                "its boot sector says that its tables are larger than itself",
            ))?;
        let clusters = data_sectors / u64::from(raw.sectors_per_cluster);
        let clusters = u32::try_from(clusters).unwrap_or(u32::MAX);
        check_cluster_count(raw, clusters)?;
        let entry_bytes = fat_type(raw).entry_bytes();
        let table_bytes = u64::from(clusters + FIRST_CLUSTER) * u64::from(entry_bytes);
        if sectors_per_fat * u64::from(raw.sector_bytes) < table_bytes {
            return Err(corrupt(
                "its allocation table is too small for its clusters",
            ));
        }
        Ok(Self {
            fat_start,
            sectors_per_fat,
            root_start,
            data_start,
            clusters,
        })
    }
}

fn fat_type(raw: &Raw) -> FatType {
    if raw.is_fat32() {
        FatType::Fat32
    } else {
        FatType::Fat16
    }
}

fn check_cluster_count(raw: &Raw, clusters: u32) -> Result<(), OpenError> {
    if clusters == 0 {
        return Err(OpenError::Corrupt {
            what: "it has no room for files",
        });
    }
    if raw.is_fat32() {
        if clusters > MAX_FAT32_CLUSTERS {
            return Err(OpenError::Corrupt {
                what: "it has more clusters than FAT32 can have",
            });
        }
        return Ok(());
    }
    if clusters < MIN_FAT16_CLUSTERS {
        return Err(OpenError::Fat12 { clusters });
    }
    if clusters >= MIN_FAT32_CLUSTERS {
        return Err(OpenError::Corrupt {
            what: "it has more clusters than FAT16 can have",
        });
    }
    if raw.root_slots == 0 {
        return Err(OpenError::Corrupt {
            what: "it has no root directory",
        });
    }
    Ok(())
}

fn geometry(
    sector: &BootSector,
    raw: &Raw,
    layout: &Layout,
    partition_offset_bytes: u64,
) -> Result<Geometry, OpenError> {
    let sector_bytes = u64::from(raw.sector_bytes);
    let at = |sectors: u64| partition_offset_bytes + sectors * sector_bytes;
    let (serial, boot_label) = serial_and_label(sector, raw.is_fat32());
    let geometry = Geometry {
        fat_type: fat_type(raw),
        sector_bytes: raw.sector_bytes,
        cluster_bytes: raw.sector_bytes * u32::from(raw.sectors_per_cluster),
        clusters: layout.clusters,
        partition_offset_bytes,
        volume_bytes: u64::from(raw.total_sectors) * sector_bytes,
        fat_offset_bytes: at(layout.fat_start),
        fat_bytes: layout.sectors_per_fat * sector_bytes,
        fat_copies: raw.fat_copies,
        root: if raw.is_fat32() {
            Root::Chain {
                first_cluster: u32_at(sector, 44),
            }
        } else {
            Root::Fixed {
                offset_bytes: at(layout.root_start),
                slots: u32::from(raw.root_slots),
            }
        },
        data_offset_bytes: at(layout.data_start),
        fs_info_offset_bytes: fs_info_sector(sector, raw).map(at),
        serial,
        boot_label,
    };
    match geometry.root {
        Root::Chain { first_cluster } if !geometry.has_cluster(first_cluster) => {
            Err(OpenError::Corrupt {
                what: "its root directory lies outside of it",
            })
        }
        _ => Ok(geometry),
    }
}

fn fs_info_sector(sector: &BootSector, raw: &Raw) -> Option<u64> {
    let number = u16_at(sector, 48);
    let plausible = raw.is_fat32() && number != 0 && number < raw.reserved_sectors;
    plausible.then(|| u64::from(number))
}

fn serial_and_label(sector: &BootSector, is_fat32: bool) -> (u32, Option<[u8; 11]>) {
    let signature_at = if is_fat32 { 66 } else { 38 };
    if sector[signature_at] != EXTENDED_SIGNATURE {
        return (0, None);
    }
    let mut label = [0; 11];
    label.copy_from_slice(&sector[signature_at + 5..signature_at + 16]);
    (u32_at(sector, signature_at + 1), Some(label))
}

/// Offset in the boot sector of the hidden-sectors field: where the partition starts, in sectors.
pub(crate) const HIDDEN_SECTORS_AT: usize = 28;
