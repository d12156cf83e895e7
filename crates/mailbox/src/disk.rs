//! The state folder: the few things that the ledger and the response store ask of a file system.
//!
//! Invariants that callers build on, and that the tests' disk takes away as a power cut would:
//! bytes are durable after `sync`, names after `sync_folder`, and nothing before. What a sync failed
//! for can be read, and counts as written, and is lost with the power all the same: where that may
//! be, the file is written anew. One process at a
//! time: [`StateFolder`] holds a lock for as long as it lives.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::error::MailboxError;
use crate::limits::SWEEP_MAX;

/// The file that is locked.
const LOCK_NAME: &str = "lock";

/// End of the name under which a file is written before it takes its place.
pub(crate) const NEW_SUFFIX: &str = ".new";

/// A folder of files. Names are relative, with at most one `/`.
pub trait Disk {
    /// A file's bytes; none if there is no such file. Longer than the limit is an error.
    fn read(&self, name: &str, limit_bytes: u64) -> io::Result<Option<Vec<u8>>>;
    /// Makes or replaces a file.
    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file to `at_bytes`, then appends.
    fn append(&mut self, name: &str, at_bytes: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes a file's bytes durable.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Gives a file another name, replacing what had it.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; none there is no error.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Makes the names in a folder (`""` or a sub-folder) durable.
    fn sync_folder(&mut self, folder: &str) -> io::Result<()>;
    /// The names of the files in a sub-folder, without the folder.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Makes or replaces a file so that after a power cut it is either the old or the new one.
    fn write_durably(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = format!("{name}{NEW_SUFFIX}");
        self.write(&new, bytes)?;
        self.sync(&new)?;
        self.rename(&new, name)?;
        self.sync_folder(name.rsplit_once('/').map_or("", |(folder, _)| folder))
    }
}

/// A real folder, locked.
#[derive(Debug)]
pub struct StateFolder {
    root: PathBuf,
    _lock: Flock<File>,
}

impl StateFolder {
    /// Opens `root` with its sub-folders, making what is missing, and locks it.
    pub fn open(root: &Path, folders: &[&str]) -> Result<Self, MailboxError> {
        let named = |source| MailboxError::Open {
            path: root.to_owned(),
            source,
        };
        let mut private = fs::DirBuilder::new();
        // Prompts and responses are nobody else's business on the device either.
        private.recursive(true).mode(0o700);
        private.create(root).map_err(named)?;
        for folder in folders {
            private.create(root.join(folder)).map_err(named)?;
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(root.join(LOCK_NAME))
            .map_err(named)?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|_| {
            MailboxError::InUse {
                path: root.to_owned(),
            }
        })?;
        // The folders must outlive a power cut before files in them are promised.
        File::open(root)
            .and_then(|folder| folder.sync_all())
            .map_err(named)?;
        Ok(Self {
            root: root.to_owned(),
            _lock: lock,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

impl Disk for StateFolder {
    fn read(&self, name: &str, limit_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(limit_bytes.saturating_add(1))
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit_bytes {
            return Err(io::Error::other(format!(
                "{name} is longer than {limit_bytes} bytes"
            )));
        }
        Ok(Some(bytes))
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        fs::write(self.path(name), bytes)
    }

    fn append(&mut self, name: &str, at_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(self.path(name))?;
        file.set_len(at_bytes)?;
        file.write_all(bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        OpenOptions::new()
            .write(true)
            .open(self.path(name))?
            .sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_folder(&mut self, folder: &str) -> io::Result<()> {
        File::open(self.path(folder))?.sync_all()
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(self.path(folder))?.take(SWEEP_MAX);
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }
}
