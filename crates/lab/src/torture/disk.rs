//! A disk with a write cache that is lost when the power goes. What the guest wrote and did not
//! flush may be there afterwards, in whole or in part, in any order, or not at all; what it
//! flushed, or wrote with FUA, is there.
//!
//! Invariant: the file holds what is durable and no more, until the power has gone. Used by
//! [`nbd`](super::nbd), through which QEMU reads and writes it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use labhost::files::Random;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// The cache of a usual disk. What is older reaches the medium by itself.
const CACHE_BYTES: usize = 32 << 20;

/// A write that may still be lost.
struct Write {
    offset: u64,
    data: Vec<u8>,
    /// It was written with FUA: it stays, whatever becomes of those before it.
    durable: bool,
}

/// The disk.
pub struct Disk {
    file: File,
    bytes: u64,
    cache: Vec<Write>,
    cached_bytes: usize,
    requests: u64,
    /// The power goes before this request.
    last: Option<u64>,
    is_off: bool,
}

/// What becomes of the cache when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// All of it is lost.
    Lost,
    /// All of it was just written.
    Kept,
    /// The older part was written.
    Older,
    /// Any of the writes were.
    AnyWrites,
    /// Any of the sectors were: writes are torn, too.
    AnySectors,
}

impl Fate {
    /// All; what tears most comes most often.
    const ALL: [Self; 7] = [
        Self::Lost,
        Self::Kept,
        Self::Older,
        Self::AnyWrites,
        Self::AnySectors,
        Self::AnySectors,
        Self::AnySectors,
    ];

    /// One of them.
    pub fn choose(random: &mut Random) -> Self {
        let at = usize::try_from(random.below(Self::ALL.len() as u64)).unwrap_or_default();
        Self::ALL[at]
    }
}

/// Sectors that were in the cache when the power went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fallen {
    /// Written and not flushed.
    pub unflushed: u64,
    /// Of these, lost.
    pub lost: u64,
}

impl Disk {
    /// The disk in a file.
    ///
    /// # Errors
    /// There is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Self {
            bytes: file.metadata()?.len(),
            file,
            cache: Vec::new(),
            cached_bytes: 0,
            requests: 0,
            last: None,
            is_off: false,
        })
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes and flushes so far.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// The power goes when so many more writes and flushes have been carried out.
    pub fn cut_after(&mut self, requests: u64) {
        self.last = Some(self.requests + requests);
    }

    /// The power goes now.
    pub fn cut(&mut self) {
        self.is_off = true;
    }

    /// Whether the power has gone: nothing is carried out any more.
    pub fn is_off(&self) -> bool {
        self.is_off
    }

    /// Reads; `None` when there is no power.
    ///
    /// # Errors
    /// The file fails, or ends before.
    pub fn read(&self, offset: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
        if self.is_off {
            return Ok(None);
        }
        let mut data = vec![0; len];
        self.file.read_exact_at(&mut data, offset)?;
        for write in &self.cache {
            overlay(&mut data, offset, write);
        }
        Ok(Some(data))
    }

    /// Writes, beyond a loss of power where `fua` says so; `None` when there is none.
    ///
    /// # Errors
    /// The file fails.
    pub fn write(&mut self, offset: u64, data: Vec<u8>, fua: bool) -> io::Result<Option<()>> {
        if self.goes_before_next() {
            return Ok(None);
        }
        self.cached_bytes += data.len();
        self.cache.push(Write {
            offset,
            data,
            durable: fua,
        });
        if self.cached_bytes > CACHE_BYTES {
            let half = self.cache.len().div_ceil(2);
            self.settle(half)?;
        }
        Ok(Some(()))
    }

    /// Makes durable what was written; `None` when there is no power.
    ///
    /// # Errors
    /// The file fails.
    pub fn flush(&mut self) -> io::Result<Option<()>> {
        if self.goes_before_next() {
            return Ok(None);
        }
        self.settle(self.cache.len()).map(Some)
    }

    fn goes_before_next(&mut self) -> bool {
        self.is_off |= self.last == Some(self.requests);
        if !self.is_off {
            self.requests += 1;
        }
        self.is_off
    }

    /// The oldest writes reach the medium.
    fn settle(&mut self, count: usize) -> io::Result<()> {
        for write in self.cache.drain(..count) {
            self.cached_bytes -= write.data.len();
            self.file.write_all_at(&write.data, write.offset)?;
        }
        Ok(())
    }

    /// What is on the medium when the power is back.
    ///
    /// # Errors
    /// The file fails.
    pub fn fall(mut self, fate: Fate, random: &mut Random) -> io::Result<Fallen> {
        let mut fallen = Fallen::default();
        let older = random.below(self.cache.len() as u64 + 1);
        for (at, write) in (0u64..).zip(std::mem::take(&mut self.cache)) {
            let is_whole = match fate {
                _ if write.durable => true,
                Fate::Lost => false,
                Fate::Kept => true,
                Fate::Older => at < older,
                Fate::AnyWrites => random.below(2) == 0,
                Fate::AnySectors => false,
            };
            let offsets = (write.offset..).step_by(SECTOR_BYTES);
            for (offset, sector) in offsets.zip(write.data.chunks(SECTOR_BYTES)) {
                let is_torn = fate == Fate::AnySectors && random.below(2) == 0;
                fallen.unflushed += u64::from(!write.durable);
                if is_whole || is_torn {
                    self.file.write_all_at(sector, offset)?;
                } else {
                    fallen.lost += 1;
                }
            }
        }
        Ok(fallen)
    }
}

/// Puts what a write has of the range into `data`, which begins at `offset`.
fn overlay(data: &mut [u8], offset: u64, write: &Write) {
    let end = offset + data.len() as u64;
    let from = write.offset.max(offset);
    let to = (write.offset + write.data.len() as u64).min(end);
    if from >= to {
        return;
    }
    let within = |start: u64| {
        let at = |place: u64| usize::try_from(place - start).unwrap_or(usize::MAX);
        at(from)..at(to)
    };
    data[within(offset)].copy_from_slice(&write.data[within(write.offset)]);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::NamedTempFile;

    use super::*;

    const SECTORS: u64 = 8;

    fn disk() -> (NamedTempFile, Disk) {
        let file = NamedTempFile::new().expect("a temporary file");
        let zeros = vec![0; SECTOR_BYTES * 8];
        fs::write(file.path(), zeros).expect("room");
        let disk = Disk::open(file.path()).expect("it");
        assert_eq!(disk.bytes(), SECTORS * SECTOR_BYTES as u64);
        (file, disk)
    }

    fn fill(disk: &mut Disk, sector: u64, byte: u8, fua: bool) -> Option<()> {
        let data = vec![byte; SECTOR_BYTES];
        let written = disk.write(sector * SECTOR_BYTES as u64, data, fua);
        written.expect("room")
    }

    /// The first byte of each sector.
    fn seen(file: &NamedTempFile) -> Vec<u8> {
        let bytes = fs::read(file.path()).expect("it");
        bytes.iter().step_by(SECTOR_BYTES).copied().collect()
    }

    #[test]
    fn what_was_written_is_read_and_what_was_not_flushed_can_be_lost() {
        let (file, mut disk) = disk();
        fill(&mut disk, 1, b'a', false);
        disk.flush().expect("room");
        fill(&mut disk, 1, b'b', false);
        fill(&mut disk, 2, b'c', false);
        let data = disk.read(SECTOR_BYTES as u64, 2 * SECTOR_BYTES);
        let data = data.expect("it").expect("power");
        assert_eq!((data[0], data[SECTOR_BYTES]), (b'b', b'c'));
        let fallen = disk.fall(Fate::Lost, &mut Random::new(1)).expect("room");
        assert_eq!((fallen.unflushed, fallen.lost), (2, 2));
        assert_eq!(seen(&file)[..3], [0, b'a', 0]);
    }

    #[test]
    fn fua_outlives_what_came_before_it() {
        let (file, mut disk) = disk();
        fill(&mut disk, 1, b'a', false);
        fill(&mut disk, 1, b'b', true);
        let fallen = disk.fall(Fate::Lost, &mut Random::new(1)).expect("room");
        assert_eq!(fallen.lost, 1);
        assert_eq!(seen(&file)[1], b'b');
    }

    #[test]
    fn later_writes_can_outlive_earlier_ones() {
        let outlived = (0..50).any(|seed| {
            let (file, mut disk) = disk();
            for sector in 0..SECTORS {
                fill(&mut disk, sector, b'a', false);
            }
            let fall = disk.fall(Fate::AnyWrites, &mut Random::new(seed));
            let fallen = fall.expect("room");
            let seen = seen(&file);
            assert_eq!(
                seen.iter().filter(|byte| **byte == 0).count() as u64,
                fallen.lost
            );
            seen[0] == 0 && seen[7] == b'a'
        });
        assert!(outlived);
    }

    #[test]
    fn the_power_goes_before_the_request_that_was_named() {
        let (file, mut disk) = disk();
        disk.cut_after(2);
        assert_eq!(fill(&mut disk, 0, b'a', true), Some(()));
        assert_eq!(disk.flush().expect("room"), Some(()));
        assert!(!disk.is_off());
        assert_eq!(fill(&mut disk, 1, b'b', true), None);
        assert!(disk.is_off() && disk.requests() == 2);
        assert_eq!(disk.read(0, SECTOR_BYTES).expect("it"), None);
        disk.fall(Fate::Kept, &mut Random::new(1)).expect("room");
        assert_eq!(seen(&file)[..2], [b'a', 0]);
    }
}
