//! The journal beside the image: a file of the disk that also has the state. Used by `disk`.

use std::io;

use mailbox::disk::Disk as _;
use mailbox::testing::CutDisk;
use volume::{JournalStore, ReadAt};

/// Its names in the folder that it shares with the state.
const JOURNAL: &str = "stick.img.journal";
const JOURNAL_ASIDE: &str = "stick.img.journal.discarded";

/// The journal, in the folder of the state.
#[derive(Clone)]
pub struct Journal(CutDisk);

impl Journal {
    /// The journal among these files.
    pub fn new(files: CutDisk) -> Self {
        Self(files)
    }

    fn bytes(&self) -> io::Result<Option<Vec<u8>>> {
        self.0.read(JOURNAL, u64::MAX)
    }
}

impl JournalStore for Journal {
    fn len_bytes(&self) -> io::Result<Option<u64>> {
        Ok(self.bytes()?.map(|bytes| bytes.len() as u64))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes()?.ok_or(io::ErrorKind::NotFound)?;
        ReadAt::read_at(&bytes, offset, buf)
    }

    fn create(&mut self) -> io::Result<()> {
        match self.bytes()? {
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => self.0.write(JOURNAL, b""),
        }
    }

    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        let len_bytes = self.len_bytes()?.ok_or(io::ErrorKind::NotFound)?;
        self.0.append(JOURNAL, len_bytes, data)
    }

    fn sync(&mut self) -> io::Result<()> {
        mailbox::disk::Disk::sync(&mut self.0, JOURNAL)
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        mailbox::disk::Disk::sync_folder(&mut self.0, "")
    }

    fn remove(&mut self) -> io::Result<()> {
        mailbox::disk::Disk::remove(&mut self.0, JOURNAL)
    }

    fn put_aside(&mut self) -> io::Result<()> {
        self.0.rename(JOURNAL, JOURNAL_ASIDE)
    }
}
