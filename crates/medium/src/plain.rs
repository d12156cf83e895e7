//! An image without a USB plug: other programs on this machine (mtools, a loop mount, an editor
//! of disk images) are the host, and they lock nothing.
//!
//! A write lease of the kernel (`fcntl(2)`, `F_SETLEASE`) does for a file what PREVENT MEDIUM
//! REMOVAL does for a drive: it is granted only while nobody else has the file open, and while it
//! is held, another program's `open` waits (at most `/proc/sys/fs/lease-break-time`, 45 s, which
//! a publication does not come near).

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use crate::lease::{self, Lease};
use crate::{Medium, MediumError, Take};

/// The medium is a file, and "the host" is whoever has it open.
#[derive(Debug)]
pub struct PlainFile {
    path: PathBuf,
    leases: bool,
}

impl PlainFile {
    /// The image at `path`; nothing is opened yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            leases: true,
        }
    }

    /// False once the file system turned out to have no leases (some network and stacked file
    /// systems): taking the medium then relies on the quiet time and the dirty marks alone.
    #[must_use]
    pub fn has_leases(&self) -> bool {
        self.leases
    }
}

impl Medium for PlainFile {
    fn try_take(&mut self) -> Result<Take, MediumError> {
        let image = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.path)
            .map_err(|source| MediumError::Open {
                path: self.path.clone(),
                source,
            })?;
        if !self.leases {
            return Ok(Take::Granted(image));
        }
        match lease::take(&image, Lease::Write) {
            Ok(()) => Ok(Take::Granted(image)),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => Ok(Take::Busy),
                // Not a file system with leases, or not our file: the other rules must do.
                Some(libc::EINVAL | libc::EACCES | libc::ENOLCK | libc::EOPNOTSUPP) => {
                    self.leases = false;
                    Ok(Take::Granted(image))
                }
                _ => Err(MediumError::Lease {
                    path: self.path.clone(),
                    source: error,
                }),
            },
        }
    }

    fn give_back(&mut self, image: File) -> Result<(), MediumError> {
        // Closing ends the lease; a program that waits in `open` goes on.
        drop(image);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    fn image() -> tempfile::NamedTempFile {
        tempfile::NamedTempFile::new().unwrap()
    }

    #[test]
    fn is_busy_while_another_has_the_image_open() {
        let file = image();
        let mut medium = PlainFile::new(file.path());
        assert!(
            matches!(medium.try_take().unwrap(), Take::Busy),
            "open for writing"
        );
        let (_, path) = file.into_parts();
        let Take::Granted(taken) = medium.try_take().unwrap() else {
            panic!("nobody has it")
        };
        assert!(
            medium.has_leases(),
            "this file system is expected to have leases"
        );
        medium.give_back(taken).unwrap();
        let reader = File::open(&path).unwrap();
        assert!(
            matches!(medium.try_take().unwrap(), Take::Busy),
            "open for reading"
        );
        drop(reader);
        assert!(matches!(medium.try_take().unwrap(), Take::Granted(_)));
    }

    #[test]
    fn nobody_can_open_it_until_it_is_given_back() {
        let path = image().into_temp_path();
        let mut medium = PlainFile::new(&path);
        let Take::Granted(taken) = medium.try_take().unwrap() else {
            panic!("nobody has it")
        };
        // With O_NONBLOCK an open that would wait for the lease fails instead.
        let open = || {
            OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(&path)
        };
        assert_eq!(open().unwrap_err().raw_os_error(), Some(libc::EWOULDBLOCK));
        medium.give_back(taken).unwrap();
        open().unwrap();
    }

    #[test]
    fn a_missing_image_is_an_error_that_names_it() {
        let error = PlainFile::new(Path::new("/nonexistent/stick.img"))
            .try_take()
            .unwrap_err();
        assert!(
            error.to_string().contains("/nonexistent/stick.img"),
            "{error}"
        );
    }
}
