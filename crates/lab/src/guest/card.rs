//! The card of a board that has one: a partition that takes the stick's files at the end, and a FAT
//! volume with the model. On a PC the first is a disk by itself. Used by [`guest`](crate::guest).

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use labhost::daemon::MODEL;
use labhost::stick::{self, FAT16_LBA, FatType, Partition};

use crate::error::At;
use crate::{Board, LabError, Result};

/// QEMU's cards have a power of two of bytes. The file is sparse.
pub const DISK_BYTES: u64 = 2 << 30;

/// Room for the stick's images.
const EXPORT_BYTES: u64 = 1 << 30;

/// What partitioning tools leave before the first partition.
const FIRST_BYTES: u64 = 1 << 20;

const MODEL_START_BYTES: u64 = FIRST_BYTES + EXPORT_BYTES;

/// What a volume needs beside its files, and the least that FAT16 can have.
const SPARE_MEBIBYTES: u64 = 17;

/// A partition that holds no file system (OS/2's and others' "non-FS data").
const DATA: u8 = 0xda;

/// Where the exported files begin on the disk.
pub fn export_start_bytes(board: Board) -> u64 {
    match board.has_card() {
        true => FIRST_BYTES,
        false => 0,
    }
}

/// Lays out the disk, which is empty, for a board: where it is a card, with the model.
///
/// # Errors
/// The model is too large for a card, or there is no room.
pub fn write(disk: &Path, board: Board, model: &Path) -> Result<()> {
    if !board.has_card() {
        return Ok(());
    }
    let volume = disk.with_extension("model");
    let mebibytes = make_volume(&volume, model)?;
    let model_bytes = mebibytes << 20;
    if MODEL_START_BYTES + model_bytes > DISK_BYTES {
        return Err(LabError::Unexpected(format!(
            "{} is too large for the lab's card",
            model.display()
        )));
    }
    let partition = |kind, start_bytes, bytes| Partition {
        kind,
        start_bytes,
        bytes,
    };
    let table = stick::partition_table(&[
        partition(DATA, FIRST_BYTES, EXPORT_BYTES),
        partition(FAT16_LBA, MODEL_START_BYTES, model_bytes),
    ])
    .map_err(|error| LabError::Unexpected(error.to_string()))?;
    put_together(disk, &table, &volume).at(disk)?;
    fs::remove_file(&volume).at(&volume)
}

/// A FAT volume with the model under its name in the guest; how large it is.
fn make_volume(volume: &Path, model: &Path) -> Result<u64> {
    let content = fs::read(model).at(model)?;
    let mebibytes = (content.len() as u64 >> 20) + SPARE_MEBIBYTES;
    let name = Path::new(MODEL).file_name().unwrap_or_default();
    let files = [(&*name.to_string_lossy(), &content[..])];
    stick::format(volume, mebibytes, FatType::Fat16, "MODEL", &files)
        .map_err(|error| LabError::Unexpected(error.to_string()))?;
    Ok(mebibytes)
}

fn put_together(disk: &Path, table: &[u8], volume: &Path) -> io::Result<()> {
    let mut disk = File::options().write(true).open(disk)?;
    io::Write::write_all(&mut disk, table)?;
    disk.seek(SeekFrom::Start(MODEL_START_BYTES))?;
    io::copy(&mut File::open(volume)?, &mut disk).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_card_holds_the_model() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (disk, model) = (folder.path().join("a.disk"), folder.path().join("m"));
        fs::write(&model, "weights").expect("room");
        File::create(&disk)
            .and_then(|file| file.set_len(DISK_BYTES))
            .expect("room");
        write(&disk, Board::PiZero, &model).expect("room");
        let mut bytes = vec![0; 20 << 20];
        let mut card = File::open(&disk).expect("it");
        card.read_exact(&mut bytes[..512]).expect("a sector");
        assert_eq!(
            (bytes[450], bytes[466], bytes[510]),
            (DATA, FAT16_LBA, 0x55)
        );
        card.seek(SeekFrom::Start(MODEL_START_BYTES))
            .expect("a card");
        let len = card.read(&mut bytes).expect("a volume");
        let volume = folder.path().join("volume");
        fs::write(&volume, &bytes[..len.min(17 << 20)]).expect("room");
        let seen = stick::read_file(&volume, "model.gguf").expect("a volume");
        assert_eq!(seen.as_deref(), Some(&b"weights"[..]));
    }

    #[test]
    fn a_pc_has_a_plain_disk() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let disk = folder.path().join("a.disk");
        write(&disk, Board::Pc, Path::new("/nowhere")).expect("nothing to do");
        assert!(!disk.exists());
    }
}
