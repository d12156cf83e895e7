//! What can go wrong on the stick's own disk. Whatever a host wrote is never an error of this kind.

use std::io;
use std::path::PathBuf;

/// The mailbox cannot keep its promise to remember.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailboxError {
    /// The state folder cannot be opened or made.
    #[error(
        "cannot open the state folder {}: {source}; check that it can be written",
        path.display()
    )]
    Open {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process has the state folder.
    #[error("{} is in use by another promptstick; stop that one first", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// Reading or writing in the state folder failed. Nothing was changed that was not recorded.
    #[error(
        "cannot {action} in the state folder: {source}; check that its disk works and has room"
    )]
    Io {
        /// What was tried; completes "cannot …".
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The ledger was written by a newer version.
    #[error(
        "the ledger has format {found}, and this version knows {known}; \
         update promptstick, or remove the state folder to begin afresh"
    )]
    NewerFormat {
        /// Its format version.
        found: u32,
        /// The newest that we read.
        known: u32,
    },
    /// More different response names than a volume's life may have.
    #[error(
        "the volume has had {limit} different response names, as many as are remembered; \
         format it to begin afresh"
    )]
    NamesFull {
        /// The limit.
        limit: usize,
    },
    /// The ledger cannot grow, because it could not be compacted for long.
    #[error("the ledger has grown to {limit_bytes} bytes; remove the state folder to begin afresh")]
    LedgerFull {
        /// The limit.
        limit_bytes: u64,
    },
    /// A stored response is not what was stored.
    #[error("the stored response {id} is damaged; restart promptstick to have it made again")]
    DamagedResponse {
        /// The job's number.
        id: u64,
    },
}

impl MailboxError {
    /// For `map_err`: a failure of the disk while doing `action`.
    pub(crate) fn io(action: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}
