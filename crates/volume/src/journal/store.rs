//! Where a journal is kept: a file beside the image, or a fake that loses power.
//!
//! Used by publish and recover.

use std::cell::OnceCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Only the device's own user may read what was answered.
const MODE: u32 = 0o600;

/// After a journal's name.
const NEW: &str = ".new";
const ASIDE: &str = ".discarded";

/// The operations on a journal file, each of which a power cut may interrupt. What has the journal's
/// name is durable: it gets it after a sync.
pub trait JournalStore {
    /// Length of the journal in bytes; `None` where there is none.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn len_bytes(&self) -> io::Result<Option<u64>>;

    /// Fills `buf` from `offset` of the journal.
    ///
    /// # Errors
    /// `UnexpectedEof` past the end; whatever the file system reports.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Begins a journal under another name, over one that was never committed.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn create(&mut self) -> io::Result<()>;

    /// Appends to the journal that was begun.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn append(&mut self, data: &[u8]) -> io::Result<()>;

    /// Makes the content of the journal that was begun durable.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn sync(&mut self) -> io::Result<()>;

    /// Gives the journal that was begun its name.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn commit(&mut self) -> io::Result<()>;

    /// Removes a journal that was begun; none there is no error.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn abandon(&mut self) -> io::Result<()>;

    /// Makes what was committed, removed or put aside in the folder durable.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn sync_folder(&mut self) -> io::Result<()>;

    /// Removes the journal.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn remove(&mut self) -> io::Result<()>;

    /// Renames the journal so that it is not found again, over an older one put aside.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn put_aside(&mut self) -> io::Result<()>;
}

/// A journal as a file. It has `.new` after its name until it is committed, and `.discarded` where
/// it was put aside.
#[derive(Debug)]
pub struct FileJournal {
    path: PathBuf,
    /// Opened by the first read.
    file: OnceCell<File>,
    /// The one that was begun.
    begun: Option<File>,
}

impl FileJournal {
    /// The journal at `path`, which need not be there.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: OnceCell::new(),
            begun: None,
        }
    }

    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = File::open(&self.path)?;
        Ok(self.file.get_or_init(|| file))
    }

    fn begun(&self) -> io::Result<&File> {
        self.begun.as_ref().ok_or(io::ErrorKind::NotFound.into())
    }

    fn with(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }
}

impl JournalStore for FileJournal {
    fn len_bytes(&self) -> io::Result<Option<u64>> {
        match fs::metadata(&self.path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file()?.read_exact_at(buf, offset)
    }

    fn create(&mut self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(MODE);
        self.begun = Some(options.open(self.with(NEW))?);
        Ok(())
    }

    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        self.begun()?.write_all(data)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.begun()?.sync_all()
    }

    fn commit(&mut self) -> io::Result<()> {
        fs::rename(self.with(NEW), &self.path)?;
        self.begun = None;
        self.file = OnceCell::new();
        Ok(())
    }

    fn abandon(&mut self) -> io::Result<()> {
        self.begun = None;
        match fs::remove_file(self.with(NEW)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        let folder = self
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn remove(&mut self) -> io::Result<()> {
        self.file = OnceCell::new();
        fs::remove_file(&self.path)
    }

    fn put_aside(&mut self) -> io::Result<()> {
        self.file = OnceCell::new();
        fs::rename(&self.path, self.with(ASIDE))
    }
}
