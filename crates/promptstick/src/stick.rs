//! The image as a whole: making a new one with the files that explain it, taking it to change it,
//! and repairing one after an interrupted publication. Used by the daemon and by `volume format`,
//! `volume put` and `volume repair`.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use medium::{ImageLock, Medium, PlainFile, Take};
use nix::errno::Errno;
use nix::libc;
use nix::sys::statvfs::fstatvfs;
use volume::{
    DiscardReason, FatTime, FileJournal, FormatOptions, ImageFile, JournalStore, Recovery,
    RepairLimits, Volume, WriteAt,
};

use crate::config::beside;

/// Volume label of the drive that takes prompts.
pub const LABEL: &str = "PROMPTSTICK";

/// What `st_blocks` counts (man 3type stat).
const BLOCK_BYTES: u64 = 512;
/// What the disk shall have beside the image: for journals, the ledger and answers.
const SPARE_BYTES: u64 = 16 << 20;

/// Where the instructions lie.
const README_PATH: &str = "README.TXT";

/// The usual volume: the type and cluster size that suit its size, and a serial number that no
/// other stick is likely to have.
pub fn options() -> FormatOptions {
    FormatOptions {
        label: Some(LABEL.to_owned()),
        serial: random_serial(),
        ..FormatOptions::default()
    }
}

/// A serial number from the system's randomness, which seeds the standard library's hash tables.
pub fn random_serial() -> u32 {
    let [a, b, c, d, ..] = RandomState::new().build_hasher().finish().to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Makes the image complete under another name and then gives it its own: an interrupted attempt
/// leaves no half-made stick behind.
///
/// # Errors
/// The size does not suit FAT16 or FAT32, or the image cannot be written.
pub fn create(path: &Path, image_bytes: u64, options: &FormatOptions) -> anyhow::Result<()> {
    let unfinished = beside(path, ".new");
    let result = build(&unfinished, image_bytes, options)
        .and_then(|()| fs::rename(&unfinished, path).context("cannot give the image its name"))
        .and_then(|()| sync_folder(path));
    if result.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    result.with_context(|| format!("cannot make the image {}", path.display()))
}

fn build(path: &Path, image_bytes: u64, options: &FormatOptions) -> anyhow::Result<()> {
    // An attempt that the power interrupted has left it, and would be in the way of this one.
    match fs::remove_file(journal(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.set_len(image_bytes)?;
    let mut device = ImageFile::from_file(file)?;
    volume::format(&mut device, options)?;
    let changes = {
        let volume = Volume::open(&device)?;
        let mut edit = volume.edit();
        // The device has no clock: the oldest time that there is sorts before every prompt.
        let time = FatTime::FIRST;
        edit.create(README_PATH, mailbox::README_TXT.as_bytes(), time)?;
        edit.create(
            mailbox::SETTINGS_PATH,
            mailbox::SETTINGS_TOML.as_bytes(),
            time,
        )?;
        for folder in mailbox::FOLDERS
            .into_iter()
            .filter(|folder| !folder.is_empty())
        {
            edit.make_dir(folder, time)?;
        }
        edit.finish()?
    };
    volume::publish(&mut device, &journal(path), &changes)?;
    device.file().sync_all()?;
    Ok(())
}

/// Gives the image all the room that its length promises: without it a host's copy, or a
/// publication, meets a full disk half-way. Where the file system cannot do that, nothing happens.
///
/// # Errors
/// There is no such room, and nothing was taken; or the image cannot be written.
pub fn reserve(image: &Path) -> anyhow::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(image)?;
    let facts = file.metadata()?;
    let missing_bytes = facts
        .len()
        .saturating_sub(facts.blocks().saturating_mul(BLOCK_BYTES));
    if missing_bytes == 0 {
        return Ok(());
    }
    let Some(free_bytes) = free_bytes(&file)? else {
        return Ok(());
    };
    ensure!(
        free_bytes >= missing_bytes.saturating_add(SPARE_BYTES),
        "the disk has no room for the whole image {}: it needs {} MiB more",
        image.display(),
        missing_bytes
            .saturating_add(SPARE_BYTES)
            .saturating_sub(free_bytes)
            .div_ceil(1 << 20)
    );
    let len_bytes = i64::try_from(facts.len())?;
    // SAFETY: it changes no memory of ours, and the descriptor is open until after the call.
    let result = unsafe { libc::fallocate64(file.as_raw_fd(), 0, 0, len_bytes) };
    match Errno::result(result) {
        Err(Errno::EOPNOTSUPP) | Ok(_) => Ok(()),
        Err(error) => Err(error).context("cannot reserve the room of the image"),
    }
}

/// What may still be written to a file's disk. One without blocks (ramfs) does not tell.
#[allow(
    clippy::useless_conversion,
    reason = "the board's C library has 32 bits"
)]
fn free_bytes(file: &File) -> anyhow::Result<Option<u64>> {
    let disk = fstatvfs(file)?;
    let block_bytes = u64::from(disk.fragment_size());
    let free_bytes = u64::from(disk.blocks_available()).saturating_mul(block_bytes);
    Ok((disk.blocks() > 0).then_some(free_bytes))
}

fn sync_folder(path: &Path) -> anyhow::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(())
}

/// The journal of publications to `image`, beside it.
pub fn journal(image: &Path) -> PathBuf {
    beside(image, ".journal")
}

/// Lets `work` change an image that is a plain file and no drive of a host: it is locked against a
/// daemon and other commands, a publication that was interrupted is completed first, and nobody
/// else has it open meanwhile.
///
/// # Errors
/// Another program has the image open, the image or its journal cannot be used, or `work` failed.
pub fn change<T>(
    image: &Path,
    work: impl FnOnce(&mut ImageFile) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let _lock = ImageLock::acquire(image)?;
    let mut medium = PlainFile::new(image);
    recover(image, &mut medium)?;
    let Take::Granted(file) = medium.try_take()? else {
        bail!(
            "another program has {} open; close it first",
            image.display()
        );
    };
    let mut device = ImageFile::from_file(file.try_clone()?)?;
    let result = work(&mut device)?;
    medium.give_back(file)?;
    Ok(result)
}

/// Completes or sets aside a publication to `image` that was interrupted.
///
/// # Errors
/// Another program has the image open, or the image or its journal cannot be used.
fn recover(image: &Path, medium: &mut impl Medium) -> anyhow::Result<()> {
    let journal = journal(image);
    if !journal.exists() {
        return Ok(());
    }
    let file = take_to_mend(image, medium)?;
    let mut device = ImageFile::from_file(file.try_clone()?)?;
    recover_on(
        &image.display(),
        &mut device,
        &mut FileJournal::new(&journal),
    )?;
    Ok(medium.give_back(file)?)
}

/// Takes an image that is a plain file, because it has to be repaired.
///
/// # Errors
/// Another program has it open.
pub fn take_to_mend(image: &Path, medium: &mut impl Medium) -> anyhow::Result<File> {
    match medium.try_take()? {
        Take::Granted(file) => Ok(file),
        Take::Busy => bail!(
            "{} has to be repaired after an interruption, but another program has it open; close \
             that first",
            image.display()
        ),
    }
}

/// Completes or sets aside a publication that was interrupted, to an image that nobody else can
/// reach. `name` is what the image is called in messages.
///
/// # Errors
/// The image or its journal cannot be used.
pub fn recover_on<D: WriteAt, J: JournalStore>(
    name: &dyn Display,
    device: &mut D,
    journal: &mut J,
) -> anyhow::Result<()> {
    match volume::recover_with(device, journal)
        .with_context(|| format!("cannot repair {name} after an interruption"))?
    {
        Recovery::Replayed { sectors } => {
            tracing::info!(sectors, "completed a publication that was interrupted");
        }
        Recovery::Discarded {
            why: DiscardReason::NotWhole,
        } => tracing::info!("a publication was interrupted before it began"),
        Recovery::Discarded { why } => {
            tracing::warn!(%why, "an interrupted publication was not completed");
        }
        _ => {}
    }
    Ok(())
}

/// Repairs the volume of an image that nobody else can reach, if there is something to repair. Its
/// marks do not tell that: not every host sets them, and after a power cut they may be older than
/// what else was written. Whether there was something.
///
/// # Errors
/// It cannot be repaired, or its repair was interrupted by a failure: it is no worse than before.
pub fn repair<D: WriteAt, J: JournalStore>(
    name: &dyn Display,
    device: &mut D,
    journal: &mut J,
) -> anyhow::Result<bool> {
    // The device has no clock (see `build`).
    let (limits, time) = (RepairLimits::default(), FatTime::FIRST);
    let report = volume::repair_with(device, journal, limits, time)
        .with_context(|| format!("cannot repair the volume on {name}"))?;
    let found = report.findings().len() as u64 + report.omitted();
    if found > 0 {
        tracing::warn!(found, "the volume was not whole; repaired it");
    }
    Ok(found > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse(len_bytes: u64) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stick.img");
        fs::write(&path, "content").expect("room");
        let file = OpenOptions::new().write(true).open(&path);
        file.and_then(|file| file.set_len(len_bytes)).expect("room");
        (folder, path)
    }

    fn allocated_bytes(path: &Path) -> u64 {
        path.metadata().expect("it is there").blocks() * BLOCK_BYTES
    }

    #[test]
    fn an_image_gets_all_its_room() {
        let (_folder, path) = sparse(8 << 20);
        assert!(allocated_bytes(&path) < 1 << 20);
        reserve(&path).expect("there is room");
        assert!(allocated_bytes(&path) >= 8 << 20);
        let content = fs::read(&path).expect("readable");
        assert!(content.len() == 8 << 20 && content.starts_with(b"content"));
    }

    #[test]
    fn where_there_is_no_room_nothing_is_taken() {
        let (_folder, path) = sparse(0);
        let file = OpenOptions::new().write(true).open(&path).expect("ours");
        let free_bytes = free_bytes(&file).expect("a disk").expect("blocks");
        file.set_len(free_bytes + (1 << 20)).expect("a hole");
        let error = reserve(&path).expect_err("there is no such room");
        assert!(error.to_string().contains("MiB more"), "{error}");
        assert!(allocated_bytes(&path) < 1 << 20);
    }
}
