//! The edge where a medium is really taken and given back. Implemented by [`crate::PlainFile`];
//! the USB gadget implements it with the polite eject. The state machine never sees it.

use std::fs::File;
use std::io;
use std::path::PathBuf;

/// A medium that a host and the device pass between them.
pub trait Medium {
    /// Asks the host to let go, once, without waiting and without force.
    ///
    /// # Errors
    /// The image cannot be opened for writing, or the kernel refused in an unexpected way.
    fn try_take(&mut self) -> Result<Take, MediumError>;

    /// Lets the host have the medium again. `image` is what [`Take::Granted`] held.
    ///
    /// # Errors
    /// The kernel refused; the medium is then absent for the host.
    fn give_back(&mut self, image: File) -> Result<(), MediumError>;
}

/// The answer to an attempt to take the medium.
#[derive(Debug)]
pub enum Take {
    /// The device may write through this file until it is given back.
    Granted(File),
    /// A host still needs the medium.
    Busy,
}

/// Why a medium could not be taken or given back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediumError {
    /// The image could not be opened for writing.
    #[error("cannot open {} for writing: {source}; check that it exists and may be written",
        path.display())]
    Open {
        /// The image.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel refused the lease for another reason than that the file is in use.
    #[error("cannot lock {} against other programs: {source}", path.display())]
    Lease {
        /// The image.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
