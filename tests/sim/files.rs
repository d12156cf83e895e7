//! The files of the device's disk as the daemon reaches them: the state folder, and the journal
//! beside the image. Used by `disk`, which has the power.

use std::io;

use mailbox::disk::Disk;
use mailbox::testing::CutDisk;
use volume::{JournalStore, ReadAt};

use super::process::{Of, Process};

/// The folder of the image and its journal; the state folder is the top one.
const BESIDE: &str = "beside";
const JOURNAL: &str = "beside/stick.img.journal";
const JOURNAL_NEW: &str = "beside/stick.img.journal.new";
const JOURNAL_ASIDE: &str = "beside/stick.img.journal.discarded";

/// The state folder.
#[derive(Clone)]
pub struct Files {
    disk: CutDisk,
    process: Process,
}

impl Files {
    /// The files of that disk, for that process.
    pub fn new(disk: CutDisk, process: Process) -> Self {
        Self { disk, process }
    }

    fn look<T>(&self, work: impl FnOnce(&CutDisk) -> io::Result<T>) -> io::Result<T> {
        self.process.look(Of::Files, || work(&self.disk))
    }

    fn change<T>(&mut self, work: impl FnOnce(&mut CutDisk) -> io::Result<T>) -> io::Result<T> {
        self.process.change(Of::Files, || work(&mut self.disk))
    }
}

impl Disk for Files {
    fn read(&self, name: &str, limit_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        self.look(|disk| disk.read(name, limit_bytes))
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.change(|disk| disk.write(name, bytes))
    }

    fn append(&mut self, name: &str, at_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(|disk| disk.append(name, at_bytes, bytes))
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.change(|disk| disk.sync(name))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.change(|disk| disk.rename(from, to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.change(|disk| disk.remove(name))
    }

    fn sync_folder(&mut self, folder: &str) -> io::Result<()> {
        self.change(|disk| disk.sync_folder(folder))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.look(|disk| disk.list(folder))
    }
}

/// The journal, a file of the same disk.
#[derive(Clone)]
pub struct Journal(Files);

impl Journal {
    /// The journal among these files.
    pub fn new(files: Files) -> Self {
        Self(files)
    }

    /// Whether there is one, whoever asks.
    pub fn is_in(disk: &CutDisk) -> bool {
        disk.bytes(JOURNAL).is_some()
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
        self.0.write(JOURNAL_NEW, b"")
    }

    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        self.0.change(|disk| {
            let bytes = disk.bytes(JOURNAL_NEW).ok_or(io::ErrorKind::NotFound)?;
            disk.append(JOURNAL_NEW, bytes.len() as u64, data)
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        Disk::sync(&mut self.0, JOURNAL_NEW)
    }

    fn commit(&mut self) -> io::Result<()> {
        self.0.rename(JOURNAL_NEW, JOURNAL)
    }

    fn abandon(&mut self) -> io::Result<()> {
        Disk::remove(&mut self.0, JOURNAL_NEW)
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        Disk::sync_folder(&mut self.0, BESIDE)
    }

    fn remove(&mut self) -> io::Result<()> {
        Disk::remove(&mut self.0, JOURNAL)
    }

    fn put_aside(&mut self) -> io::Result<()> {
        self.0.rename(JOURNAL, JOURNAL_ASIDE)
    }
}
