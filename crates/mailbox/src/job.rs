//! The words that the ledger, the reconciliation and the daemon share: sightings, jobs, outcomes.

use std::fmt;

use crate::digest::Digest;
use crate::name::{OutcomeKind, question_in_name};

/// A job's number: rising, never given twice on a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// What the directory says about a file that changes when it is saved again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// First cluster; 0 for an empty file.
    pub first_cluster: u32,
    /// Length in bytes.
    pub len_bytes: u32,
    /// Raw FAT date and time of the last change.
    pub modified: (u16, u16),
    /// Raw FAT date and time of creation.
    pub created: (u16, u16),
}

/// A prompt as it lies on the volume now, accepted by the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Path on the volume.
    pub path: String,
    /// The directory's data.
    pub stamp: Stamp,
    /// SHA-256 of the content.
    pub digest: Digest,
    /// An empty file whose name is the prompt ([`Role::NamePrompt`](crate::Role::NamePrompt)).
    pub named: bool,
}

impl Sighting {
    /// What makes this prompt the same prompt elsewhere or later.
    pub fn identity(&self) -> Digest {
        identity(&self.path, self.digest, self.named)
    }
}

/// A prompt to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// Where its prompt is now.
    pub path: String,
    /// SHA-256 of the prompt's content.
    pub digest: Digest,
    /// The directory's data when it was last seen.
    pub stamp: Stamp,
    /// The prompt is the file's name.
    pub named: bool,
}

impl Job {
    /// The seed that stands in where the settings name none. It depends on the prompt alone.
    pub fn seed(&self) -> u32 {
        identity(&self.path, self.digest, self.named).seed()
    }
}

/// The identity of a prompt: the digest of what is asked.
pub(crate) fn identity(path: &str, digest: Digest, named: bool) -> Digest {
    if named {
        Digest::of(question_in_name(path).as_bytes())
    } else {
        digest
    }
}

/// How a job ended: the bytes of the file that answers it, as they will lie on the volume.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A response file's content.
    Response {
        /// Encoded as the prompt is.
        bytes: Vec<u8>,
    },
    /// An error file's content.
    Error {
        /// Encoded as the prompt is.
        bytes: Vec<u8>,
    },
}

impl Outcome {
    /// Which of the two.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Response { .. } => OutcomeKind::Response,
            Self::Error { .. } => OutcomeKind::Error,
        }
    }

    /// The file's content.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Response { bytes } | Self::Error { bytes } => bytes,
        }
    }
}

/// Shows no content: prompts and responses stay out of logs.
impl fmt::Debug for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} of {} bytes", self.kind(), self.bytes().len())
    }
}

/// An answer that waits to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The job.
    pub id: JobId,
    /// Where its prompt is now; `SETTINGS.TOML` for an error about the settings.
    pub path: String,
    /// Response or error.
    pub kind: OutcomeKind,
    /// The size of its file.
    pub len_bytes: u64,
    /// The name that an interrupted attempt to publish was to give it.
    pub intended: Option<String>,
}

/// A published answer whose bytes are still kept, for the second drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// The job.
    pub id: JobId,
    /// Path of its file on the volume.
    pub path: String,
    /// Response or error.
    pub kind: OutcomeKind,
    /// The size of its file.
    pub len_bytes: u64,
}

/// What a reconciliation changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New jobs, in the order in which they will be answered.
    pub added: Vec<JobId>,
    /// Jobs that are no longer wanted: their prompt changed or is gone. Cancel what runs.
    pub dropped: Vec<JobId>,
    /// Prompts that were not added because too many are followed already.
    pub waiting: usize,
}

/// How many jobs are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// To be answered.
    pub queued: usize,
    /// Answered, to be published.
    pub ready: usize,
    /// Published, prompt still there or lately gone.
    pub published: usize,
}
