//! The image file of the drive ANSWERS: fixed geometry, append-only for its whole life.
//!
//! Invariants: an image is complete when it gets its name; nothing on it is ever taken back
//! ([`volume::GrowingVolume`]); one that anybody has open, such as the gadget's kernel half while
//! it is inserted, is neither added to nor replaced. An image that is full is replaced by a fresh
//! one with another serial number, which takes the newest answers first.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use mailbox::limits::{KEPT_OUTCOMES_LIMIT_BYTES, KEPT_OUTCOMES_MAX};
use medium::{Medium, PlainFile, Take};
use volume::{FatTime, GrowingVolume, ImageFile, MAX_NAME_UNITS, NewFile, Room, WriteAt};

use crate::config::beside;
use crate::stick::random_serial;

/// Volume label.
const LABEL: &str = "ANSWERS";
/// Four times what the mailbox keeps. The file is sparse: space is taken as answers come.
pub const IMAGE_BYTES: u64 = 16 << 20;
/// FAT16 needs 4,085 clusters or more, and 16 MiB have 8,100 of this size.
const CLUSTER_BYTES: u32 = 2048;
/// FAT16's root cannot grow, and slots are used up: a response's name takes three, the longest 21.
/// Formatters make 512 for the sake of old boot loaders, which do not matter here.
const ROOT_SLOTS: u16 = 2048;
/// A fresh image takes this share of its room at most, in parts of [`FRESH_OF`]; the rest is for
/// what comes after.
const FRESH_PARTS: u32 = 3;
const FRESH_OF: u32 = 4;
/// Slots of the longest name.
const MOST_SLOTS: u64 = MAX_NAME_UNITS.div_ceil(13) as u64 + 1;
/// Beside what the tables and the root take, and half a cluster lost for each file.
const OVERHEAD_BYTES: u64 = 1 << 20;
/// The owner alone may read it: it holds answers.
const MODE: u32 = 0o600;

// All that the mailbox keeps fits a fresh image, whatever the names.
const _: () = {
    let slots = ROOT_SLOTS as u64 * FRESH_PARTS as u64 / FRESH_OF as u64;
    assert!(KEPT_OUTCOMES_MAX as u64 * MOST_SLOTS < slots);
    let bytes = (IMAGE_BYTES - OVERHEAD_BYTES) * FRESH_PARTS as u64 / FRESH_OF as u64;
    let lost = KEPT_OUTCOMES_MAX as u64 * CLUSTER_BYTES as u64;
    assert!(KEPT_OUTCOMES_LIMIT_BYTES + lost < bytes);
};

/// A file for the drive.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The path that it has on the stick, or a bare name. The drive has no folders: they are
    /// dropped.
    pub path: String,
    /// Its bytes, as on the stick.
    pub bytes: Vec<u8>,
    /// Its time, as on the stick.
    pub time: FatTime,
}

impl Answer {
    fn name(&self) -> &str {
        name_of(&self.path)
    }

    fn new_file(&self) -> NewFile<'_> {
        NewFile {
            name: self.name(),
            content: &self.bytes,
            time: self.time,
        }
    }

    fn take_room(&self, room: &mut Room) -> bool {
        room.take(self.name(), self.bytes.len() as u64)
    }
}

/// Shows no content: responses stay out of logs.
impl std::fmt::Debug for Answer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "a file of {} bytes", self.bytes.len())
    }
}

/// What became of an addition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Append {
    /// The files are there, under these names.
    Done(Vec<String>),
    /// There is no room for all of them: replace the image. Nothing was written.
    Full,
}

/// An image of the drive.
#[derive(Debug)]
pub struct AnswersImage {
    path: PathBuf,
    serial: u32,
}

impl AnswersImage {
    /// Makes a fresh image with as many of the newest answers as leave room for later ones, and
    /// says how many that were. The answers come newest first and are not asked for beyond that.
    /// It takes the place of an older image of that name, which must not be inserted.
    ///
    /// # Errors
    /// The older image is in use, or the disk failed or is full.
    pub fn create(
        path: &Path,
        serial: u32,
        newest_first: impl IntoIterator<Item = Answer>,
    ) -> anyhow::Result<(Self, usize)> {
        let missing = || format!("cannot make {}", path.display());
        if path.exists() {
            drop(take(path)?);
        }
        let unfinished = beside(path, ".new");
        let made = empty_file(&unfinished)
            .and_then(ImageFile::from_file)
            .map_err(anyhow::Error::from)
            .and_then(|device| make(device, serial, newest_first))
            .and_then(|count| Ok((count, fs::rename(&unfinished, path)?)));
        if made.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        let (count, ()) = made.with_context(missing)?;
        let path = path.to_owned();
        Ok((Self { path, serial }, count))
    }

    /// Finds an image again that an earlier daemon made: the one that a gadget which was taken
    /// over has inserted. Reads only.
    ///
    /// # Errors
    /// It is not there, or not whole: when it is out, make a fresh one.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let serial = ImageFile::open_read_only(path)
            .map_err(anyhow::Error::from)
            .and_then(|device| Ok(GrowingVolume::open(device)?.serial()?))
            .with_context(|| format!("cannot use {}", path.display()))?;
        let path = path.to_owned();
        Ok(Self { path, serial })
    }

    /// Adds files, all of them or none. The image must not be inserted.
    ///
    /// # Errors
    /// The image is in use; or it cannot be added to any more: make a fresh one.
    pub fn append(&mut self, answers: &[Answer]) -> anyhow::Result<Append> {
        let file = take(&self.path)?;
        let appended = ImageFile::from_file(file)
            .map_err(anyhow::Error::from)
            .and_then(|device| add(device, answers));
        appended.with_context(|| format!("cannot add to {}", self.path.display()))
    }

    /// Whether there is room for all of these.
    #[cfg(test)]
    pub fn has_room_for(&self, answers: &[Answer]) -> anyhow::Result<bool> {
        let mut room = self.growing()?.room()?;
        Ok(answers.iter().all(|answer| answer.take_room(&mut room)))
    }

    /// The files on it, name and length in bytes, in the order in which they came.
    ///
    /// # Errors
    /// The image cannot be read.
    pub fn files(&self) -> anyhow::Result<Vec<(String, u64)>> {
        let files = self.growing()?.files()?.into_iter();
        let file = |entry: volume::Entry| (entry.name, entry.len_bytes.into());
        Ok(files.map(file).collect())
    }

    /// As [`AnswersImage::files`], the names alone.
    #[cfg(test)]
    pub fn names(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.files()?.into_iter().map(|(name, _)| name).collect())
    }

    /// Its serial number, by which hosts tell it from the one before.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    fn growing(&self) -> anyhow::Result<GrowingVolume<ImageFile>> {
        let device = ImageFile::open_read_only(&self.path)
            .with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(GrowingVolume::open(device)?)
    }
}

/// The name on the drive of what has this path on the stick.
pub fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The image of LUN `lun`, beside the stick's own.
pub fn path_beside(stick: &Path, lun: u8) -> PathBuf {
    beside(stick, &format!(".answers-{lun}"))
}

/// A serial number that none of the volumes in use has.
pub fn fresh_serial(taken: &[u32]) -> u32 {
    let mut serial = random_serial();
    while taken.contains(&serial) {
        serial = serial.wrapping_add(1);
    }
    serial
}

/// The file, for this program alone. A gadget that has it inserted keeps it open.
fn take(path: &Path) -> anyhow::Result<File> {
    match PlainFile::new(path).try_take()? {
        Take::Granted(file) => Ok(file),
        _ => bail!("{} is inserted or open: eject it first", path.display()),
    }
}

/// Makes a fresh volume on an empty device of [`IMAGE_BYTES`]; as [`AnswersImage::create`].
///
/// # Errors
/// The device failed.
pub fn make<D: WriteAt>(
    device: D,
    serial: u32,
    newest_first: impl IntoIterator<Item = Answer>,
) -> anyhow::Result<usize> {
    let mut image = GrowingVolume::create(device, LABEL, serial, CLUSTER_BYTES, ROOT_SLOTS)?;
    let mut room = image.room()?.share(FRESH_PARTS, FRESH_OF);
    let chosen: Vec<Answer> = newest_first
        .into_iter()
        .take_while(|answer| answer.take_room(&mut room))
        .collect();
    let files: Vec<NewFile<'_>> = chosen.iter().map(Answer::new_file).collect();
    image.append(&files)?;
    Ok(chosen.len())
}

/// A sparse file in the place of what an interrupted attempt left.
fn empty_file(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(path)?;
    file.set_len(IMAGE_BYTES)?;
    Ok(file)
}

/// Adds files to a volume that [`make`] made; as [`AnswersImage::append`].
///
/// # Errors
/// It is not whole, or the device failed.
pub fn add<D: WriteAt>(device: D, answers: &[Answer]) -> anyhow::Result<Append> {
    let mut image = GrowingVolume::open(device)?;
    let files: Vec<NewFile<'_>> = answers.iter().map(Answer::new_file).collect();
    match image.append(&files) {
        Ok(names) => Ok(Append::Done(names)),
        Err(error) if error.is_full() => Ok(Append::Full),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
