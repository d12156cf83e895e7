//! Formatting: a FAT16 or FAT32 volume, never FAT12, the same bytes for the same options.
//!
//! `layout` decides the type and the cluster size, `fatfs` writes the structures, and what it
//! leaves out is put in here: a counted `FSInfo` with its backup, and the partition table. Used for
//! the stick's own image and by `volume format`.

mod label;
mod layout;
mod window;

use std::io;

use crate::boot::{FIRST_CLUSTER, FatType, HIDDEN_SECTORS_AT, PARTITION_ENTRY_BYTES};
use crate::boot::{PARTITION_TABLE_AT, locate};
use crate::bytes::put;
use crate::device::WriteAt;
use crate::edit::fs_info_sector;
use crate::error::FormatError;

use layout::{Layout, SECTOR_BYTES};
use window::Window;

/// Where the volume starts on a partitioned image: 1 MiB, as partitioning tools do.
pub const PARTITION_OFFSET_BYTES: u64 = 1024 * 1024;
/// Partition types for volumes that are addressed by sector number.
const TYPE_FAT16_LBA: u8 = 0x0E;
const TYPE_FAT32_LBA: u8 = 0x0C;
/// Cylinder, head and sector of what lies beyond them.
const CHS_BEYOND: [u8; 3] = [0xFE, 0xFF, 0xFF];
const DISK_SIGNATURE_AT: usize = 440;
/// Sectors of `fatfs`'s FAT32 layout: the backup of sectors 0 to 2 starts at 6.
const FS_INFO_SECTOR: u64 = 1;
const BACKUP_SECTOR: u64 = 6;
const SECTOR: usize = 512;

/// What to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormatOptions {
    /// The label: up to 11 capital letters, digits and a few signs.
    pub label: Option<String>,
    /// The serial number. Hosts tell volumes apart by it.
    pub serial: u32,
    /// Size of a cluster; chosen by the size of the volume if `None`.
    pub cluster_bytes: Option<u32>,
    /// FAT16 or FAT32; if `None`, FAT16 up to 512 MiB.
    pub fat_type: Option<FatType>,
    /// FAT16: how many 32-byte slots the root has, in whole sectors; 512 if `None`.
    pub root_slots: Option<u16>,
    /// Whether to put the volume in a partition of an MBR table, 1 MiB in.
    pub partitioned: bool,
}

/// Makes an empty volume that fills the device. Everything that was there is lost.
///
/// # Errors
/// The options do not fit the device (nothing was written then), or the device failed.
pub fn format<D: WriteAt>(device: &mut D, options: &FormatOptions) -> Result<(), FormatError> {
    let label = options.label.as_deref().map(label::encode).transpose()?;
    let offset_bytes = if options.partitioned {
        PARTITION_OFFSET_BYTES
    } else {
        0
    };
    let device_bytes = device.len();
    let volume_bytes = device_bytes.saturating_sub(offset_bytes);
    let layout = Layout::choose(
        volume_bytes,
        options.fat_type,
        options.cluster_bytes,
        options.root_slots,
    )
    .map_err(|error| error.with_offset(device_bytes, offset_bytes))?;
    let fatfs_options = fatfs_options(&layout, label, options);
    write_volume(device, offset_bytes, &layout, fatfs_options).map_err(FormatError::Io)?;
    if options.partitioned {
        write_table(device, &layout, options.serial).map_err(FormatError::Io)?;
    }
    device.sync().map_err(FormatError::Io)?;
    check(device, &layout)
}

fn fatfs_options(
    layout: &Layout,
    label: Option<[u8; 11]>,
    options: &FormatOptions,
) -> fatfs::FormatVolumeOptions {
    let root_slots = options.root_slots.unwrap_or(layout::FAT16_ROOT_SLOTS);
    let mut fatfs_options = fatfs::FormatVolumeOptions::new()
        .bytes_per_cluster(layout.cluster_bytes)
        .total_sectors(layout.sectors)
        .max_root_dir_entries(root_slots)
        .volume_id(options.serial);
    if let Some(label) = label {
        fatfs_options = fatfs_options.volume_label(label);
    }
    fatfs_options
}

fn write_volume<D: WriteAt>(
    device: &mut D,
    offset_bytes: u64,
    layout: &Layout,
    options: fatfs::FormatVolumeOptions,
) -> io::Result<()> {
    let volume_bytes = u64::from(layout.sectors) * SECTOR_BYTES;
    let mut window = Window::new(device, offset_bytes, volume_bytes);
    // An image may have been a volume before, and FAT16's reserved area is one sector only.
    fatfs::format_volume(&mut window, options)?;
    if layout.fat_type == FatType::Fat32 {
        let sector = fs_info_sector(layout.clusters - 1, FIRST_CLUSTER);
        for first in [0, BACKUP_SECTOR] {
            let at = offset_bytes + (first + FS_INFO_SECTOR) * SECTOR_BYTES;
            device.write_at(at, &sector)?;
        }
    }
    let hidden_sectors = u32::try_from(offset_bytes / SECTOR_BYTES).unwrap_or(0);
    let backup = (layout.fat_type == FatType::Fat32).then_some(BACKUP_SECTOR);
    for sector in [Some(0), backup].into_iter().flatten() {
        let at = offset_bytes + sector * SECTOR_BYTES + HIDDEN_SECTORS_AT as u64;
        device.write_at(at, &hidden_sectors.to_le_bytes())?;
    }
    Ok(())
}

/// The first sector, and nothing else before the partition: what another table left there goes.
fn write_table<D: WriteAt>(device: &mut D, layout: &Layout, serial: u32) -> io::Result<()> {
    let mut sector = [0; SECTOR];
    put(&mut sector, DISK_SIGNATURE_AT, &serial.to_le_bytes());
    let mut entry = [0; PARTITION_ENTRY_BYTES];
    entry[4] = match layout.fat_type {
        FatType::Fat16 => TYPE_FAT16_LBA,
        FatType::Fat32 => TYPE_FAT32_LBA,
    };
    put(&mut entry, 1, &CHS_BEYOND);
    put(&mut entry, 5, &CHS_BEYOND);
    let first = u32::try_from(PARTITION_OFFSET_BYTES / SECTOR_BYTES).unwrap_or(0);
    put(&mut entry, 8, &first.to_le_bytes());
    put(&mut entry, 12, &layout.sectors.to_le_bytes());
    put(&mut sector, PARTITION_TABLE_AT, &entry);
    put(&mut sector, SECTOR - 2, &[0x55, 0xAA]);
    let blank = [0; SECTOR];
    for number in 1..PARTITION_OFFSET_BYTES / SECTOR_BYTES {
        device.write_at(number * SECTOR_BYTES, &blank)?;
    }
    device.write_at(0, &sector)
}

/// The volume that was made must be the one that was meant.
fn check<D: WriteAt>(device: &D, layout: &Layout) -> Result<(), FormatError> {
    let made = locate(device).map_err(|error| FormatError::Io(io::Error::other(error)))?;
    let meant = made.fat_type == layout.fat_type && made.cluster_bytes == layout.cluster_bytes;
    if meant && made.clusters == layout.clusters {
        return Ok(());
    }
    Err(FormatError::Io(io::Error::other(
        "the volume reads back with another layout",
    )))
}
