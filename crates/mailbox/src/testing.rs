//! A state folder in memory whose power can be cut at any operation. For tests, behind the feature
//! `testing`; a simulated device counts the operations of its other storage here as well
//! ([`CutDisk::count_operation`]), so that one cut hits any of them.
//!
//! Faults that it injects: after a cut, bytes that were not synced are there, not there, there in
//! part, or there as zeros; names that were not synced with their folder are there up to some
//! point of their order (as a journalling file system leaves them). The operation at which the
//! power goes may or may not have happened. Apart from cuts, operations can be made to fail as a
//! full or a failing disk does; what a sync failed for is there to be read, and no later sync
//! writes it, as with Linux, nor what is written to the same place of a block that was new. What was synced is never lost. The choice hangs on a seed alone.
//! Any number of cuts and faults can be planned; what is to come stays so when the power is back.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

use nix::errno::Errno;
use volume::testing::Random;

use crate::disk::Disk;

/// The smallest that a file system has.
const BLOCK_BYTES: usize = 1024;

/// A handle; clones are the same disk, so that a test keeps it while a mailbox owns it.
#[derive(Clone, Debug, Default)]
pub struct CutDisk(Rc<RefCell<Inner>>);

#[derive(Clone, Debug, Default)]
struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// The blocks that a sync writes.
    dirty: BTreeSet<usize>,
    /// New blocks for which a sync failed: nothing that is written to them lasts. (Since "ext4: do
    /// not convert the unwritten extents if data writeback fails", Linux, 2025, they read as zeros
    /// once they are out of the cache, and what is written over them does not change that.)
    lost: BTreeSet<usize>,
}

impl File {
    /// A file that lasts.
    fn durable(bytes: &[u8]) -> Self {
        Self {
            now: bytes.to_vec(),
            durable: bytes.to_vec(),
            dirty: BTreeSet::new(),
            lost: BTreeSet::new(),
        }
    }

    fn truncate(&mut self, len: usize) {
        self.now.truncate(len);
        self.lost.retain(|block| block * BLOCK_BYTES < len);
    }

    /// A sync fails.
    fn fail_to_sync(&mut self) {
        let new_from = self.durable.len().div_ceil(BLOCK_BYTES);
        let lost = std::mem::take(&mut self.dirty).into_iter();
        self.lost.extend(lost.filter(|&block| block >= new_from));
    }

    /// Writes bytes at a place within the file or at its end.
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        self.now.resize(self.now.len().max(end), 0);
        self.now[at..end].copy_from_slice(bytes);
        let blocks = at / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES);
        let lost = &self.lost;
        self.dirty
            .extend(blocks.filter(|block| !lost.contains(block)));
    }

    /// What a sync leaves.
    fn synced(&self) -> Vec<u8> {
        let mut synced = self.durable.clone();
        synced.resize(self.now.len(), 0);
        for block in &self.dirty {
            let start = (block * BLOCK_BYTES).min(synced.len());
            let end = (start + BLOCK_BYTES).min(synced.len());
            synced[start..end].copy_from_slice(&self.now[start..end]);
        }
        synced
    }
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(String, usize),
    Unlink(String),
    Rename(String, String),
}

#[derive(Debug, Default)]
struct Inner {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending: Vec<NameChange>,
    operations: usize,
    /// What is to happen at which operation.
    planned: Vec<(usize, Fault)>,
    is_off: bool,
    faults: usize,
    /// Faults of which a test was told.
    faults_taken: usize,
}

impl Inner {
    /// Counts an operation; what is planned for it, a cut before all else.
    fn next_fault(&mut self) -> Option<Fault> {
        let number = self.operations;
        self.operations += 1;
        let due = self.planned.extract_if(.., |(at, _)| *at <= number);
        due.map(|(_, fault)| fault).max()
    }

    /// The name changes of a folder are durable, those of others are not.
    fn sync_folder(&mut self, folder: &str) {
        let of_folder = |change: &mut NameChange| folder_of(change.name()) == folder;
        for change in self.pending.extract_if(.., of_folder) {
            apply(&mut self.durable_names, &change);
        }
    }
}

/// How an operation fails that is no power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskFault {
    /// ENOSPC.
    Full,
    /// EIO.
    Io,
}

impl DiskFault {
    /// As the system reports it.
    #[must_use]
    pub fn error(self) -> io::Error {
        let errno = match self {
            Self::Full => Errno::ENOSPC,
            Self::Io => Errno::EIO,
        };
        errno.into()
    }
}

/// The last is the most important one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Fail(DiskFault),
    Cut,
}

impl NameChange {
    /// A name that it changes; a file stays in its folder.
    fn name(&self) -> &str {
        let (Self::Link(name, _) | Self::Unlink(name) | Self::Rename(name, _)) = self;
        name
    }
}

/// The folder of a name, as `sync_folder` takes it.
fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn apply(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Link(name, file) => {
            names.insert(name.clone(), *file);
        }
        NameChange::Unlink(name) => {
            names.remove(name);
        }
        NameChange::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
    }
}

impl CutDisk {
    /// Cuts the power at the operation after so many more.
    pub fn cut_after(&self, operations: usize) {
        self.plan(operations, Fault::Cut);
    }

    /// Cuts the power now.
    pub fn cut(&self) {
        self.0.borrow_mut().is_off = true;
    }

    /// Lets the operation after so many more fail once.
    pub fn fail_after(&self, operations: usize, fault: DiskFault) {
        self.plan(operations, Fault::Fail(fault));
    }

    /// Nothing that was planned happens any more.
    pub fn forget_planned(&self) {
        self.0.borrow_mut().planned.clear();
    }

    /// Counts an operation on storage that shares this disk's power.
    ///
    /// # Errors
    /// The power is off, or goes now (then the operation may have happened), or the fault is due.
    pub fn count_operation(&self) -> io::Result<()> {
        self.operate(|_| Ok(()))
    }

    /// Operations so far.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.0.borrow().operations
    }

    /// Operations that have failed as `fail_after` said.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.0.borrow().faults
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.0.borrow().is_off
    }

    /// Whether an operation has failed as `fail_after` said; asked once for each.
    pub fn takes_fault(&self) -> bool {
        let mut inner = self.0.borrow_mut();
        let is_new = inner.faults_taken < inner.faults;
        inner.faults_taken += usize::from(is_new);
        is_new
    }

    /// Power comes back: what is there now is what a cut leaves.
    pub fn restart(&self, random: &mut Random) {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        let kept = random.below(inner.pending.len() + 1);
        for change in inner.pending.drain(..).take(kept) {
            apply(&mut inner.durable_names, &change);
        }
        inner.names = inner.durable_names.clone();
        for file in &mut inner.files {
            *file = File::durable(&left_over(file, random));
        }
        inner.is_off = false;
    }

    /// A file's bytes, for a test to look at.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let inner = self.0.borrow();
        inner
            .names
            .get(name)
            .map(|file| inner.files[*file].now.clone())
    }

    /// Puts a file there, durably, behind the mailbox's back.
    pub fn plant(&self, name: &str, bytes: &[u8]) {
        let mut inner = self.0.borrow_mut();
        let id = inner.files.len();
        inner.files.push(File::durable(bytes));
        inner.names.insert(name.into(), id);
        inner.durable_names.insert(name.into(), id);
    }

    /// Names of all files.
    pub fn names(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }

    fn plan(&self, operations: usize, fault: Fault) {
        let mut inner = self.0.borrow_mut();
        let at = inner.operations + operations;
        inner.planned.push((at, fault));
    }

    /// Counts an operation and carries it out, unless its fault is due.
    fn operate<T>(&self, operation: impl FnOnce(&mut Inner) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.0.borrow_mut();
        if inner.is_off {
            return Err(io::Error::other("the power is off"));
        }
        match inner.next_fault() {
            None => operation(&mut inner),
            Some(Fault::Cut) => {
                // It may have happened: `restart` decides.
                let _ = operation(&mut inner);
                inner.is_off = true;
                Err(io::Error::other("the power was cut"))
            }
            Some(Fault::Fail(fault)) => {
                inner.faults += 1;
                Err(fault.error())
            }
        }
    }
}

/// What a cut leaves of a file's bytes.
fn left_over(file: &File, random: &mut Random) -> Vec<u8> {
    let synced = file.synced();
    let both = synced.iter().zip(&file.durable);
    let same = both.take_while(|(a, b)| a == b).count();
    let written = synced.len() - same;
    match random.below(5) {
        0 => file.durable.clone(),
        1 => synced,
        2 => synced[..same + random.below(written + 1)].to_vec(),
        3 => {
            let mut bytes = synced;
            bytes[same + random.below(written + 1)..].fill(0);
            bytes
        }
        // Cut back, but nothing of the new bytes: set_len alone has happened.
        _ => synced[..same].to_vec(),
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for CutDisk {
    fn read(&self, name: &str, limit_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        if self.is_off() {
            return Err(io::Error::other("the power is off"));
        }
        let bytes = self.bytes(name);
        match bytes
            .as_ref()
            .is_some_and(|bytes| bytes.len() as u64 > limit_bytes)
        {
            true => Err(io::Error::other("too long")),
            false => Ok(bytes),
        }
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.operate(|inner| {
            let id = inner.names.get(name).copied().unwrap_or_else(|| {
                inner.files.push(File::default());
                inner.files.len() - 1
            });
            let link = NameChange::Link(name.into(), id);
            apply(&mut inner.names, &link);
            inner.pending.push(link);
            inner.files[id].truncate(0);
            inner.files[id].write(0, bytes);
            Ok(())
        })
    }

    fn append(&mut self, name: &str, at_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        self.operate(|inner| {
            let id = *inner.names.get(name).ok_or_else(not_found)?;
            let file = &mut inner.files[id];
            file.truncate(usize::try_from(at_bytes).unwrap_or(usize::MAX));
            file.write(file.now.len(), bytes);
            Ok(())
        })
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let synced = self.operate(|inner| {
            let id = *inner.names.get(name).ok_or_else(not_found)?;
            let file = &mut inner.files[id];
            file.durable = file.synced();
            file.dirty.clear();
            Ok(())
        });
        if synced.is_err() && !self.is_off() {
            let inner = &mut *self.0.borrow_mut();
            if let Some(&id) = inner.names.get(name) {
                inner.files[id].fail_to_sync();
            }
        }
        synced
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.operate(|inner| {
            if !inner.names.contains_key(from) {
                return Err(not_found());
            }
            let change = NameChange::Rename(from.into(), to.into());
            apply(&mut inner.names, &change);
            inner.pending.push(change);
            Ok(())
        })
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.operate(|inner| {
            let change = NameChange::Unlink(name.into());
            apply(&mut inner.names, &change);
            inner.pending.push(change);
            Ok(())
        })
    }

    fn sync_folder(&mut self, folder: &str) -> io::Result<()> {
        self.operate(|inner| {
            inner.sync_folder(folder);
            Ok(())
        })
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{folder}/");
        Ok(self
            .names()
            .iter()
            .filter_map(|name| Some(name.strip_prefix(&prefix)?.into()))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_durable_with_their_own_folder_and_no_other() {
        let lost = (0..20).filter(|seed| {
            let mut disk = CutDisk::default();
            for name in ["top", "folder/within"] {
                disk.write(name, b"x").unwrap();
                disk.sync(name).unwrap();
            }
            disk.sync_folder("folder").unwrap();
            disk.cut();
            disk.restart(&mut Random::new(*seed));
            assert!(disk.bytes("folder/within").is_some(), "seed {seed}");
            disk.bytes("top").is_none()
        });
        let lost = lost.count();
        assert!((1..20).contains(&lost), "{lost} of 20");
    }

    #[test]
    fn what_a_sync_failed_for_is_read_and_lost() {
        let (old, new) = ([1; BLOCK_BYTES], [2; BLOCK_BYTES + 1]);
        for is_cut_back in [false, true] {
            let mut disk = CutDisk::default();
            disk.plant("a", &old);
            disk.append("a", BLOCK_BYTES as u64, &new).unwrap();
            disk.fail_after(0, DiskFault::Io);
            disk.sync("a").unwrap_err();
            let whole = [&old[..], &new].concat();
            assert_eq!(disk.bytes("a"), Some(whole.clone()), "from the cache");
            if is_cut_back {
                disk.append("a", BLOCK_BYTES as u64, &new).unwrap();
            }
            disk.sync("a").unwrap();
            disk.cut();
            disk.restart(&mut Random::new(0));
            let is_there = disk.bytes("a") == Some(whole);
            assert_eq!(is_there, is_cut_back);
        }
    }

    #[test]
    fn what_is_planned_happens_in_its_order_and_outlives_a_cut() {
        let mut disk = CutDisk::default();
        disk.cut_after(1);
        disk.fail_after(0, DiskFault::Full);
        disk.fail_after(2, DiskFault::Io);
        let mut error = || disk.write("a", b"x").unwrap_err().raw_os_error();
        assert_eq!(error(), Some(Errno::ENOSPC as i32));
        assert_eq!(error(), None, "the cut");
        assert!(disk.is_off());
        disk.restart(&mut Random::new(0));
        let error = disk.write("a", b"x").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::EIO as i32));
        assert_eq!(disk.faults(), 2);
        disk.write("a", b"x").unwrap();
    }
}
