//! What can go wrong, one type an operation. The text is the message that a person reads: what
//! happened, then what to do. Nothing else in the crate words a message. A cause that the text
//! tells is no `source`: whoever prints the whole chain would print it twice.

use std::io;

use thiserror::Error;

use crate::inspect::ChainProblem;
use crate::names::{MAX_NAME_UNITS, MAX_PATH_DEPTH};

/// Why a device cannot be opened as a volume.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The device failed.
    #[error("the image cannot be read: {0}")]
    Io(io::Error),
    /// All zeros where a boot sector would be.
    #[error("the image is blank: format it first (`promptstick volume format`)")]
    Blank,
    /// Something else is there.
    #[error(
        "no FAT volume was found on the image: check that it is the right file, or format it \
         (`promptstick volume format`), which erases it"
    )]
    NoFileSystem,
    /// A file system that is not supported.
    #[error(
        "the volume is {name}, which the stick does not read: copy its files elsewhere and format \
         it as FAT32"
    )]
    OtherFileSystem {
        /// Its name.
        name: &'static str,
    },
    /// A FAT12 volume, which has no mark that says whether the host is done.
    #[error(
        "the volume is FAT12 ({clusters} clusters), which cannot say whether the computer is done \
         with it: make it larger than 4 MiB and format it as FAT16 or FAT32"
    )]
    Fat12 {
        /// How many clusters it has.
        clusters: u32,
    },
    /// A GPT disk.
    #[error(
        "the image has a GPT partition table, which the stick does not read: format it without \
         partitions or with an MBR (`promptstick volume format --partitioned`)"
    )]
    OnlyGpt,
    /// The image ends before the volume does.
    #[error(
        "the image is cut off: it has {image_bytes} bytes and its volume needs {needed_bytes}; \
         copy it again or format it"
    )]
    Truncated {
        /// Length of the image.
        image_bytes: u64,
        /// Where the volume ends.
        needed_bytes: u64,
    },
    /// FAT, but of a kind that no current system makes.
    #[error("the volume has {what}, which is not supported: format it as FAT16 or FAT32")]
    Unsupported {
        /// What it has.
        what: String,
    },
    /// The boot sector contradicts itself.
    #[error("the volume is damaged: {what}; repair it (`fsck.fat`) or format it")]
    Corrupt {
        /// What is wrong.
        what: &'static str,
    },
}

/// Why something on a volume cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The device failed.
    #[error("the image cannot be read: {0}")]
    Io(io::Error),
    /// What was read could not be passed on.
    #[error("the copy cannot be written")]
    Output(#[source] io::Error),
    /// There is no such file or folder.
    #[error("{path:?} is not on the volume: check its name (`promptstick volume ls`)")]
    NotFound {
        /// What was asked for.
        path: String,
    },
    /// A file where a folder was expected.
    #[error("{path:?} is a file: name a folder")]
    NotAFolder {
        /// What was asked for.
        path: String,
    },
    /// A folder where a file was expected.
    #[error("{name:?} is a folder: name a file")]
    IsAFolder {
        /// What was asked for.
        name: String,
    },
    /// Longer than the caller takes.
    #[error("{name:?} has {len_bytes} bytes and the limit is {limit_bytes}: make it shorter")]
    TooLarge {
        /// The file.
        name: String,
        /// Its length.
        len_bytes: u64,
        /// The caller's limit.
        limit_bytes: u64,
    },
    /// The chain of a file or folder is not what its entry says.
    #[error(
        "{name:?} is incomplete or damaged: {problem}; wait for the copy to end or copy it again"
    )]
    Chain {
        /// The file or folder; empty for the root.
        name: String,
        /// What is wrong.
        problem: ChainProblem,
    },
    /// A folder without end.
    #[error(
        "a folder is longer than FAT allows (65,536 slots): repair the volume (`promptstick volume \
         repair`)"
    )]
    FolderTooLong,
    /// More folders or slots than one walk over the volume looks at.
    #[error("the volume has too many files and folders to check: remove some of them")]
    TreeTooLarge,
    /// A path with too many parts.
    #[error("the path has more than {MAX_PATH_DEPTH} parts: use fewer folders inside each other")]
    PathTooDeep,
}

/// Why an edit was refused; the edit is as it was before the call.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EditError {
    /// Something that the edit depends on cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is a file or folder of that name.
    #[error("{path:?} exists already: choose another name")]
    Exists {
        /// What was to be made.
        path: String,
    },
    /// FAT cannot store this name.
    #[error("{name:?} cannot be a name on the volume: {why}")]
    BadName {
        /// The name.
        name: String,
        /// The rule that it breaks.
        why: BadName,
    },
    /// Not enough free clusters.
    #[error("the volume is full: {needed_bytes} bytes needed, {free_bytes} free: remove files")]
    VolumeFull {
        /// What the call needs.
        needed_bytes: u64,
        /// What there is.
        free_bytes: u64,
    },
    /// FAT16's root directory has a fixed size.
    #[error("the volume's root folder is full: remove files from it or move them into a folder")]
    RootFull,
    /// A folder has all the slots that FAT allows.
    #[error("the folder is full (65,536 slots): remove files from it")]
    FolderFull,
    /// More than one transaction holds.
    #[error("{bytes} bytes are too many for one change: the limit is {limit_bytes}")]
    TooLarge {
        /// What was asked for.
        bytes: u64,
        /// [`crate::MAX_CHANGE_BYTES`].
        limit_bytes: u64,
    },
    /// The file to replace, or the folder to put something into, is damaged, so that changing it
    /// could harm others.
    #[error(
        "{name:?} cannot be changed: {problem}; repair the volume (`promptstick volume repair`)"
    )]
    Damaged {
        /// The file or folder; empty for the root.
        name: String,
        /// What is wrong.
        problem: ChainProblem,
    },
}

/// The rule of FAT long names that a name breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadName {
    /// No characters.
    #[error("it is empty")]
    Empty,
    /// More UTF-16 units than fit.
    #[error("it is longer than {MAX_NAME_UNITS} UTF-16 units")]
    TooLong,
    /// A character that FAT forbids.
    #[error("it contains {0:?}")]
    Character(char),
    /// Hosts drop it, so the file could not be opened.
    #[error("it ends in a dot or a space")]
    Ending,
}

/// Why a change set was not published, or a journal not replayed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The device failed while it was read; nothing was written.
    #[error("the image cannot be read: {0}")]
    Read(io::Error),
    /// What was written to the device before cannot be made durable; the image was not touched.
    #[error("the image cannot be synced: {0}; nothing was changed")]
    Settle(io::Error),
    /// The device failed while it was written; the journal stays and completes the work.
    #[error("the image cannot be written: {0}; the change is journalled and will be completed")]
    Apply(io::Error),
    /// The journal could not be written; the image was not touched.
    #[error("the journal cannot be written beside the image: {0}; free some space there")]
    Journal(io::Error),
    /// The change is complete and durable, but its journal is still there.
    #[error("the journal cannot be removed: {0}; the change itself is complete")]
    Remove(io::Error),
    /// A journal is waiting.
    #[error("a journal is waiting beside the image: recover it before the next change")]
    JournalWaiting,
    /// The sector is not what the change set was made from; nothing was written.
    #[error("the image changed meanwhile (at byte {offset_bytes}): read it again")]
    Changed {
        /// Offset of the sector on the device.
        offset_bytes: u64,
    },
    /// The change set was made from another image; nothing was written.
    #[error("the change was made for another image: read the image again")]
    OtherImage,
}

/// Why a volume was not repaired, or not to the end. What was published before is a part of the
/// repair that leaves the volume no worse.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RepairError {
    /// It cannot be opened as a volume.
    #[error(transparent)]
    Open(OpenError),
    /// Something that the repair depends on cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A change could not be made.
    #[error(transparent)]
    Edit(EditError),
    /// A round could not be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// More clusters than a repair keeps in memory, one bit each.
    #[error(
        "the volume has {clusters} clusters and a repair takes {limit} at most: repair it on a \
         computer (`fsck.fat -a`)"
    )]
    TooManyClusters {
        /// How many it has.
        clusters: u32,
        /// How many a repair takes.
        limit: u32,
    },
    /// One round after another finds something to do.
    #[error("the repair comes to no end: copy the files elsewhere and format the volume")]
    NoEnd,
}

impl From<EditError> for RepairError {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Read(error) => Self::Read(error),
            other => Self::Edit(other),
        }
    }
}

/// Why a device cannot be formatted; nothing was written unless it is `Io`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The device failed.
    #[error("the image cannot be written: {0}")]
    Io(io::Error),
    /// Too small for the type.
    #[error("{bytes} bytes are too small for {what}: use at least {minimum_bytes} bytes")]
    TooSmall {
        /// Length of the device.
        bytes: u64,
        /// What was asked for.
        what: String,
        /// The least that works with these options.
        minimum_bytes: u64,
    },
    /// Too large for the type.
    #[error("{bytes} bytes are too large for {what}: use larger clusters or FAT32")]
    TooLarge {
        /// Length of the device.
        bytes: u64,
        /// What was asked for.
        what: String,
    },
    /// A cluster size that FAT or this crate does not have.
    #[error("a cluster of {bytes} bytes is not possible: use a power of two from 512 to 65536")]
    BadCluster {
        /// What was asked for.
        bytes: u32,
    },
    /// A size of FAT16's root that is not whole sectors.
    #[error("a root of {slots} entries is not possible: use a multiple of 16")]
    BadRoot {
        /// What was asked for.
        slots: u16,
    },
    /// A label that FAT cannot store.
    #[error("{label:?} cannot be a label: use up to 11 capital letters, digits, spaces, - and _")]
    BadLabel {
        /// What was asked for.
        label: String,
    },
}

/// Why a volume that only grows cannot be made, opened or added to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GrowingError {
    /// It cannot be made.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// There is no volume on the device.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The files cannot be added; the volume is as it was.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The device failed in the midst of a write.
    #[error("the image cannot be written: {0}; it is made again")]
    Write(io::Error),
    /// It is not what appending leaves behind.
    #[error("the image cannot be added to: {what}; it is made again")]
    NotWhole {
        /// What is wrong.
        what: &'static str,
    },
    /// A change that is more than an addition; nothing was written.
    #[error("a change to what is visible (at byte {offset_bytes}) was refused; it is a bug")]
    NotAppending {
        /// Offset of the sector on the device.
        offset_bytes: u64,
    },
}

impl GrowingError {
    /// Whether the volume must be made again before anything else is added to it.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Edit(error) if !matches!(error, EditError::Read(_)))
    }

    /// Whether there is no room for the files that were to be added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let full = |error: &EditError| {
            matches!(
                error,
                EditError::VolumeFull { .. } | EditError::RootFull | EditError::FolderFull
            )
        };
        matches!(self, Self::Edit(error) if full(error))
    }
}
