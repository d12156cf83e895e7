//! Why a scenario failed. Used by everything here; its text is the verdict that a person reads.

use std::io;

use thiserror::Error;

use crate::scsi::Sense;

/// What went wrong.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Failure {
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// Something did not happen in time.
    #[error("waited {waited_ms} ms in vain for {what}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        waited_ms: u128,
    },
    /// A SCSI command ended with CHECK CONDITION or worse.
    #[error("{command} was answered with {sense}")]
    Scsi {
        /// The command's name in the standard.
        command: &'static str,
        /// What the device said.
        sense: Sense,
    },
    /// Something happened that must not.
    #[error("{0}")]
    Wrong(String),
}

impl Failure {
    /// What the device said, where that is the cause; also below the file system of a model.
    pub fn sense(&self) -> Option<Sense> {
        match self {
            Self::Scsi { sense, .. } => Some(*sense),
            Self::Io { source, .. } => source.get_ref()?.downcast_ref::<Self>()?.sense(),
            _ => None,
        }
    }
}

/// The result of every step.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Adds to an error of the system what was being done.
pub trait Doing<T> {
    /// `what` reads well before a colon: "reading /sys/x".
    ///
    /// # Errors
    /// The error that was there, told in full.
    fn doing(self, what: impl Into<String>) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| Failure::Io {
            what: what.into(),
            source,
        })
    }
}

impl<T> Doing<T> for nix::Result<T> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(io::Error::from).doing(what)
    }
}

/// Fails with `message` unless `condition` holds.
///
/// # Errors
/// [`Failure::Wrong`].
pub fn ensure(condition: bool, message: impl FnOnce() -> String) -> Result<()> {
    if condition {
        return Ok(());
    }
    Err(Failure::Wrong(message()))
}
