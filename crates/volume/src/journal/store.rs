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

/// So much of a journal is in memory while it is written again.
const REWRITE_BYTES: usize = 64 * 1024;

/// The operations on a journal file, each of which a power cut may interrupt.
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

    /// Makes an empty journal.
    ///
    /// # Errors
    /// `AlreadyExists`; whatever the file system reports.
    fn create(&mut self) -> io::Result<()>;

    /// Appends to the journal that was created.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn append(&mut self, data: &[u8]) -> io::Result<()>;

    /// Writes the journal's bytes over themselves. What a sync failed for stays in the system's
    /// cache and counts as written: only what is written again does a later sync make durable.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn rewrite(&mut self) -> io::Result<()>;

    /// Makes the content of the journal durable.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn sync(&mut self) -> io::Result<()>;

    /// Makes what was created, removed or put aside in the folder durable.
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

/// A journal as a file. Put aside, it has `.discarded` after its name.
#[derive(Debug)]
pub struct FileJournal {
    path: PathBuf,
    /// Opened by the first read, or by `create`.
    file: OnceCell<File>,
}

impl FileJournal {
    /// The journal at `path`, which need not be there.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: OnceCell::new(),
        }
    }

    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = File::open(&self.path)?;
        Ok(self.file.get_or_init(|| file))
    }

    fn aside(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".discarded");
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
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(&self.path)?;
        self.file = OnceCell::from(file);
        Ok(())
    }

    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        self.file()?.write_all(data)
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        let mut part = vec![0; REWRITE_BYTES];
        let mut offset = 0;
        loop {
            let count = file.read_at(&mut part, offset)?;
            let Some(read) = part.get(..count).filter(|read| !read.is_empty()) else {
                return Ok(());
            };
            file.write_all_at(read, offset)?;
            offset = offset.saturating_add(count as u64);
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync_all()
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
        fs::rename(&self.path, self.aside())
    }
}
