//! One daemon for one image: `flock(2)` on a file beside it.
//!
//! The image itself cannot carry the lock: a lease ([`crate::PlainFile`]) needs it closed. The
//! lock file is removed at the end; a process that opened it just before finds, by comparing
//! inodes, that it holds a lock on a file that is gone, and starts over.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// The right to serve an image, for as long as this lives.
#[derive(Debug)]
pub struct ImageLock {
    path: PathBuf,
    _lock: Flock<File>,
}

/// Why an image could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process serves the image.
    #[error("another promptstick is using {}; stop it first", .0.display())]
    InUse(PathBuf),
    /// The lock file could not be made.
    #[error("cannot create the lock file {}: {source}; the folder of the image must be writable",
        path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Starting over happens only when another process ends at that very moment.
const ATTEMPTS: u32 = 16;

impl ImageLock {
    /// Locks `image`, which need not exist, by `IMAGE.lock`. Symbolic links in its folder's path
    /// are of no consequence: the same folder is the same lock.
    ///
    /// # Errors
    /// [`LockError::InUse`] when another process has it; [`LockError::Io`] otherwise.
    pub fn acquire(image: &Path) -> Result<Self, LockError> {
        let mut path = image.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let failed = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        for _ in 0..ATTEMPTS {
            let file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(false)
                .open(&path)
                .map_err(failed)?;
            let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => lock,
                Err((_, Errno::EWOULDBLOCK)) => return Err(LockError::InUse(image.to_owned())),
                Err((_, error)) => return Err(failed(error.into())),
            };
            if is_still_at(&lock, &path) {
                return Ok(Self { path, _lock: lock });
            }
        }
        Err(LockError::InUse(image.to_owned()))
    }
}

fn is_still_at(lock: &File, path: &Path) -> bool {
    match (lock.metadata(), path.metadata()) {
        (Ok(held), Ok(there)) => (held.dev(), held.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

impl Drop for ImageLock {
    fn drop(&mut self) {
        // Unlinked before the lock is released: whoever comes next makes a file of its own.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_until_the_first_ends() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("stick.img");
        let first = ImageLock::acquire(&image).unwrap();
        let refused = ImageLock::acquire(&image).unwrap_err();
        assert!(matches!(refused, LockError::InUse(_)), "{refused}");
        drop(first);
        drop(ImageLock::acquire(&image).unwrap());
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            0,
            "nothing is left behind"
        );
    }

    #[test]
    fn a_lock_file_left_by_a_crash_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("stick.img");
        std::fs::write(folder.path().join("stick.img.lock"), b"").unwrap();
        ImageLock::acquire(&image).unwrap();
    }
}
