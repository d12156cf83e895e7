//! The stick's files in the guest: images that `fatfs` formats, and their export. Used by
//! scenarios and by [`init`](crate::init).

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub use fatfs::FatType;
use fatfs::{FormatVolumeOptions, FsOptions};

use crate::error::Doing;
use crate::{Failure, Result, cpio, sysfs};

/// Where the stick keeps its images and the daemon its state. What lies here is exported.
pub const FOLDER: &str = "/run/stick";

/// The label of the drive that takes prompts.
pub const LABEL: &str = "PROMPTSTICK";

/// The size of a stick as it usually is, and of one that is soon full.
pub const USUAL_MEBIBYTES: u64 = 64;
/// See [`USUAL_MEBIBYTES`].
pub const SMALL_MEBIBYTES: u64 = 16;

/// What a read-only unit shows where no daemon takes part: a name and the content.
pub const ANSWER: (&str, &[u8]) = ("answer.txt", b"42");

/// Where the only partition of an image begins: as partitioning tools align it.
pub const PARTITION_BYTES: u64 = 1 << 20;

const SECTOR_BYTES: usize = crate::scsi::BLOCK_BYTES;

/// Offset of the byte of a FAT16 volume's boot sector (`BS_Reserved1`) in which hosts leave a note
/// that they have the volume in use.
const BOOT_MARK: u64 = 0x25;

/// A file of the stick's own.
pub fn file(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// The image of LUN 0.
pub fn image() -> PathBuf {
    file("stick.img")
}

/// Makes a FAT volume of `mebibytes` in a new file, and puts `files` into its top folder.
///
/// # Errors
/// No room, or a name that FAT cannot hold.
pub fn format(
    path: &Path,
    mebibytes: u64,
    kind: FatType,
    label: &str,
    files: &[(&str, &[u8])],
) -> Result<()> {
    let what = format!("formatting {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).doing(&what)?;
    }
    let mut image = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .doing(&what)?;
    image.set_len(mebibytes << 20).doing(&what)?;
    let options = FormatVolumeOptions::new()
        .fat_type(kind)
        .volume_label(padded_label(label)?);
    fatfs::format_volume(&mut image, options).doing(&what)?;
    fill(image, files).doing(what)
}

/// Makes the image of LUN 0 with an empty volume of `mebibytes`.
///
/// # Errors
/// No room.
pub fn make(mebibytes: u64, kind: FatType) -> Result<()> {
    format(&image(), mebibytes, kind, LABEL, &[])
}

/// Makes the image of LUN 0 with an empty volume in a partition.
///
/// # Errors
/// No room.
pub fn make_partitioned() -> Result<()> {
    let volume = Path::new("/tmp/volume.img");
    format(volume, USUAL_MEBIBYTES, FatType::Fat16, LABEL, &[])?;
    partition(volume, &image())
}

/// Makes an image with [`ANSWER`] for a read-only unit.
///
/// # Errors
/// No room.
pub fn make_answers(lun: u8) -> Result<PathBuf> {
    let path = file(&format!("answers{lun}.img"));
    format(&path, SMALL_MEBIBYTES, FatType::Fat16, "ANSWERS", &[ANSWER])?;
    Ok(path)
}

/// Puts a volume, as [`format`] made it, into the first partition of a new image.
///
/// # Errors
/// No room, or the volume cannot be read.
fn partition(volume: &Path, image: &Path) -> Result<()> {
    let what = format!("partitioning {}", image.display());
    let mut volume = File::open(volume).doing(&what)?;
    let volume_bytes = volume.seek(SeekFrom::End(0)).doing(&what)?;
    volume.rewind().doing(&what)?;
    let mut disk = File::create(image).doing(&what)?;
    let table = partition_table(&[Partition {
        kind: FAT16_LBA,
        start_bytes: PARTITION_BYTES,
        bytes: volume_bytes,
    }])?;
    disk.write_all(&table).doing(&what)?;
    disk.seek(SeekFrom::Start(PARTITION_BYTES)).doing(&what)?;
    io::copy(&mut volume, &mut disk).doing(what).map(drop)
}

/// A row of a partition table.
#[derive(Debug, Clone, Copy)]
pub struct Partition {
    /// What is in it, as [`FAT16_LBA`].
    pub kind: u8,
    /// Where it begins on the disk.
    pub start_bytes: u64,
    /// Its length.
    pub bytes: u64,
}

/// The kind of a partition with a FAT16 volume that is found by sector numbers.
pub const FAT16_LBA: u8 = 0x0e;

/// The first sector of a disk with up to four partitions (master boot record: entries of 16 bytes
/// from byte 446, the mark at its end).
///
/// # Errors
/// One lies beyond 2 TiB.
pub fn partition_table(partitions: &[Partition]) -> Result<[u8; SECTOR_BYTES]> {
    const FIRST_ENTRY: usize = 446;
    const ENTRY_BYTES: usize = 16;
    let sectors = |bytes: u64| {
        u32::try_from(bytes / SECTOR_BYTES as u64)
            .map_err(|_| Failure::Wrong("the volume is too large for a partition".into()))
    };
    let mut table = [0; SECTOR_BYTES];
    let entries = table[FIRST_ENTRY..].chunks_exact_mut(ENTRY_BYTES);
    for (entry, partition) in entries.zip(partitions) {
        entry[4] = partition.kind;
        entry[8..12].copy_from_slice(&sectors(partition.start_bytes)?.to_le_bytes());
        entry[12..16].copy_from_slice(&sectors(partition.bytes)?.to_le_bytes());
    }
    table[510..].copy_from_slice(&[0x55, 0xaa]);
    Ok(table)
}

fn fill(image: File, files: &[(&str, &[u8])]) -> io::Result<()> {
    let volume = fatfs::FileSystem::new(image, FsOptions::new())?;
    for (name, content) in files {
        let mut file = volume.root_dir().create_file(name)?;
        file.write_all(content)?;
        file.flush()?;
    }
    volume.unmount()
}

/// A label is 11 bytes on FAT.
fn padded_label(label: &str) -> Result<[u8; 11]> {
    let mut padded = [b' '; 11];
    let place = padded.get_mut(..label.len());
    let place = place.ok_or_else(|| Failure::Wrong(format!("{label} is too long a label")))?;
    place.copy_from_slice(label.as_bytes());
    Ok(padded)
}

/// Writes a file into the top folder of an image, as the device does while the medium is its own.
///
/// # Errors
/// The image holds no volume, or it is full.
pub fn add_file(image: &Path, name: &str, content: &[u8]) -> Result<()> {
    let what = format!("writing {name} into {}", image.display());
    let file = open(image).doing(&what)?;
    fill(file, &[(name, content)]).doing(what)
}

/// Reads a file of the top folder of an image, whatever the host thinks of it; `None` where there
/// is none.
///
/// # Errors
/// The image holds no volume, or it is damaged.
pub fn read_file(image: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    let what = format!("reading {name} from {}", image.display());
    let volume = looked_at(image).doing(&what)?;
    let mut content = Vec::new();
    let file = volume.root_dir().open_file(name);
    match file.and_then(|mut file| file.read_to_end(&mut content)) {
        Ok(_) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).doing(what),
    }
}

/// Names in the top folder of an image, sorted, whatever the host thinks of it.
///
/// # Errors
/// The image holds no volume, or it is damaged.
pub fn names(image: &Path) -> Result<Vec<String>> {
    let what = format!("listing {}", image.display());
    let volume = looked_at(image).doing(&what)?;
    let entries = volume.root_dir().iter();
    let names = entries.map(|entry| Ok(entry?.file_name()));
    let mut names = names.collect::<io::Result<Vec<_>>>().doing(what)?;
    names.sort();
    Ok(names)
}

/// The volume on an image. The host may hold it: what only looks must be unable to write.
fn looked_at(image: &Path) -> io::Result<fatfs::FileSystem<File>> {
    fatfs::FileSystem::new(File::open(image)?, FsOptions::new())
}

/// Whether the boot sector of a FAT16 volume says that a host has it in use.
///
/// # Errors
/// The image cannot be read.
pub fn has_boot_mark(image: &Path) -> Result<bool> {
    let what = format!("reading the mark of {}", image.display());
    let mut mark = [0];
    let file = File::open(image).doing(&what)?;
    file.read_exact_at(&mut mark, BOOT_MARK).doing(what)?;
    Ok(mark != [0])
}

/// Clears that mark, which a host that was cut off leaves behind.
///
/// # Errors
/// The image cannot be written.
pub fn clear_boot_mark(image: &Path) -> Result<()> {
    let what = format!("clearing the mark of {}", image.display());
    let file = open(image).doing(&what)?;
    file.write_all_at(&[0], BOOT_MARK).doing(what)
}

fn open(image: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(image)
}

/// What is written to the export disk at a time.
const EXPORT_CHUNK_BYTES: usize = 1 << 18;

/// A disk that is all zeros: only what is not zero is written, for emulated cards are slow.
struct BlankDisk(File);

impl Write for BlankDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.iter().any(|&byte| byte != 0) {
            return self.0.write(bytes);
        }
        let step = i64::try_from(bytes.len()).map_err(io::Error::other)?;
        self.0.seek(SeekFrom::Current(step))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes all files of [`FOLDER`] to a disk that is all zeros, as a raw archive from its first byte.
///
/// # Errors
/// The disk is missing or too small.
pub fn export(to: &Path) -> Result<()> {
    let what = format!("exporting to {}", to.display());
    let disk = File::options().write(true).open(to).doing(&what)?;
    let disk = BufWriter::with_capacity(EXPORT_CHUNK_BYTES, BlankDisk(disk));
    let mut writer = cpio::Writer::new(disk);
    for path in sysfs::paths(FOLDER) {
        if !path.is_file() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut file = File::open(&path).doing(&what)?;
        let len = file.seek(SeekFrom::End(0)).doing(&what)?;
        file.rewind().doing(&what)?;
        writer.stream(&name, 0o644, len, &mut file).doing(&what)?;
    }
    let disk = writer.finish().doing(&what)?;
    let disk = disk.into_inner().map_err(io::IntoInnerError::into_error);
    disk.and_then(|disk| disk.0.sync_all()).doing(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_volume_holds_what_was_put_there() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("stick.img");
        format(&path, 16, FatType::Fat16, LABEL, &[("a.txt", b"A")]).expect("room");
        let image = File::options().read(true).write(true).open(&path);
        let volume = fatfs::FileSystem::new(image.expect("it"), FsOptions::new()).expect("FAT");
        assert_eq!(volume.fat_type(), FatType::Fat16);
        assert_eq!(volume.volume_label(), "PROMPTSTICK");
        assert!(volume.root_dir().open_file("a.txt").is_ok());
        assert!(padded_label("MUCH TOO LONG").is_err());
    }
}
