//! The records of the ledger: everything that can happen to a job or a name.
//!
//! Invariant: applying a record that was applied already changes nothing but what it says, so a
//! history may end after any of them.

use crate::digest::Digest;
use crate::job::{JobId, Stamp};
use crate::name::OutcomeKind;

/// Where a job comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A prompt file's content.
    Content,
    /// A prompt file's name.
    Name,
    /// `SETTINGS.TOML` that cannot be used; answered by an error file at once.
    Settings,
}

/// An answer in the response store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Response or error.
    pub kind: OutcomeKind,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Their number.
    pub len_bytes: u64,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A new job is queued.
    Added {
        /// The job.
        id: JobId,
        /// What kind of prompt.
        source: Source,
        /// SHA-256 of the file's content.
        digest: Digest,
        /// The directory's data.
        stamp: Stamp,
        /// Where the prompt is.
        path: String,
    },
    /// The prompt is (again, or now) at this path with this stamp.
    Seen {
        /// The job.
        id: JobId,
        /// The directory's data.
        stamp: Stamp,
        /// Where the prompt is.
        path: String,
    },
    /// The answer lies in the response store. Said again, it withdraws the name that the answer
    /// was to be published under; the name stays used.
    Answered {
        /// The job.
        id: JobId,
        /// What lies there.
        answer: Answer,
    },
    /// The answer is about to be published under this name, which is used from now on.
    Intended {
        /// The job.
        id: JobId,
        /// Path on the volume.
        path: String,
    },
    /// The answer is on the volume.
    Published {
        /// The job.
        id: JobId,
        /// Path on the volume.
        path: String,
    },
    /// A published job's prompt is gone; its response is still there.
    Gone {
        /// The job.
        id: JobId,
    },
    /// The stored answer was lost before it was published: it has to be made again.
    Requeued {
        /// The job.
        id: JobId,
    },
    /// The job is forgotten.
    Dropped {
        /// The job.
        id: JobId,
    },
    /// Names with this key are used up to this number (compaction writes it).
    Used {
        /// `OurName::key`.
        key: u64,
        /// The highest number.
        ordinal: u32,
    },
    /// Numbers of jobs go on from here (compaction writes it).
    NextId {
        /// The next job's.
        id: JobId,
    },
}
