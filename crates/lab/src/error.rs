//! What can go wrong outside the guest. Used by every module here.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a guest could not be built or run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabError {
    /// A program that the lab needs.
    #[error("the lab needs {program}, which is not here; `cargo xtask setup` installs it")]
    Missing {
        /// Its name.
        program: String,
    },
    /// A program failed.
    #[error("{command} failed ({status}): {said}")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// What it said.
        said: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A package that was fetched earlier is not what it was.
    #[error(
        "{} is not the file that was downloaded: its SHA-256 is another. Delete it and try again.",
        path.display()
    )]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// There is no Debian mirror to get kernels from.
    #[error(
        "apt on this machine knows no Debian mirror, so there is nowhere to get kernels from. \
         Name one: {}=http://…/debian",
        crate::packages::MIRROR_VARIABLE
    )]
    NoMirror,
    /// What was fetched is not as expected.
    #[error("{0}")]
    Unexpected(String),
}

/// The result of everything here.
pub type Result<T, E = LabError> = std::result::Result<T, E>;

/// Adds the file's name to an error of the system.
pub trait At<T> {
    /// # Errors
    /// The error that was there, with the file's name.
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|source| LabError::File {
            path: path.to_path_buf(),
            source,
        })
    }
}
