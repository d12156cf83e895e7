//! Where a run keeps its files, and how many guests run at a time. Used by
//! [`guest`](crate::guest).

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};

use super::card;
use crate::error::At;
use crate::{Result, cache, programs};

/// Guests at a time in this process: each keeps a core busy.
const MAX_GUESTS: usize = 2;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// The right to run guests at the same time; given back when it is dropped.
pub struct Turn {
    guests: usize,
}

/// Waits until there is room for so many guests, of the [`MAX_GUESTS`] that may run.
pub fn wait_for_turn(guests: usize) -> Turn {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut running = ENDED
        .wait_while(running, |running| *running + guests > MAX_GUESTS)
        .unwrap_or_else(PoisonError::into_inner);
    *running += guests;
    Turn { guests }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= self.guests;
        // Who waits for one may go on where who waits for two may not.
        ENDED.notify_all();
    }
}

/// The folder of one run, in cargo's output folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// An empty folder for a run of this name.
    ///
    /// # Errors
    /// There is no room.
    pub fn new(name: &str) -> Result<Self> {
        Self::at(programs::output_folder()?.join("lab").join(name))
    }

    fn at(path: PathBuf) -> Result<Self> {
        cache::forget(&path)?;
        fs::create_dir_all(&path).at(&path)?;
        let folder = Self(path);
        folder.blank_export()?;
        Ok(folder)
    }

    /// Empties the disk that takes the stick's files, for the next boot.
    ///
    /// # Errors
    /// There is no room.
    pub fn blank_export(&self) -> Result<()> {
        let path = self.export();
        let disk = File::create(&path).at(&path)?;
        disk.set_len(card::DISK_BYTES).at(&path)
    }

    /// A file of the run's own.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What the guest boots from.
    pub fn initrd(&self) -> PathBuf {
        self.0.join("initrd")
    }

    /// The disk that takes the stick's files at the end ([`card`]).
    pub fn export(&self) -> PathBuf {
        self.0.join("export.disk")
    }

    /// What the guest's kernel said.
    pub fn console(&self) -> PathBuf {
        self.0.join("console.log")
    }

    /// What QEMU itself said.
    pub fn emulator(&self) -> PathBuf {
        self.0.join("qemu.log")
    }

    /// What the daemon said.
    pub fn daemon(&self) -> PathBuf {
        self.0.join("daemon.log")
    }

    /// Removes what is large and has been read; the logs stay.
    ///
    /// # Errors
    /// The system refuses.
    pub fn tidy_up(&self) -> Result<()> {
        for path in [self.initrd(), self.export()] {
            fs::remove_file(&path).at(&path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_with_an_empty_folder() {
        let top = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::at(top.path().join("x")).expect("room");
        fs::write(folder.console(), "old").expect("room");
        fs::write(folder.initrd(), "old").expect("room");
        folder.tidy_up().expect("both are there");
        assert!(folder.console().is_file() && !folder.export().exists());
        let folder = Folder::at(top.path().join("x")).expect("room");
        assert!(!folder.console().exists() && folder.export().is_file());
    }

    #[test]
    fn a_turn_that_ended_is_free_again() {
        for _ in 0..=MAX_GUESTS {
            drop(wait_for_turn(1));
        }
        drop(wait_for_turn(MAX_GUESTS));
    }
}
