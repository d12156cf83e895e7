//! The ledger's file: opened, appended to, compacted.
//!
//! Invariants: `state` is what the durable records add up to; every append is durable when it
//! returns; after a failed one the file is cut back before the next. A file that is not ours to
//! read (another volume's, or without a sound header) is kept aside, never overwritten.

use std::io;

use super::codec::{self, HEADER_BYTES, VERSION, frames, read_frame, read_header};
use super::{Record, State};
use crate::disk::{Disk, NEW_SUFFIX};
use crate::error::MailboxError;
use crate::limits::{ASIDE_MAX, LEDGER_LIMIT_BYTES, NAMES_MAX};

/// The ledger's name in the state folder.
pub const LEDGER_NAME: &str = "ledger";

/// A ledger smaller than this is not worth compacting.
pub(super) const COMPACT_MIN_BYTES: u64 = 64 * 1024;

/// After a look that found too little to gain, the ledger grows by this part before the next one.
const RECHECK_PART: u64 = 4;

/// How a ledger was found when it was opened; for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// There was none.
    Fresh,
    /// It goes on. Torn or damaged bytes at its end were dropped.
    Resumed {
        /// Records that were read.
        records: usize,
        /// Bytes that were dropped.
        dropped_bytes: u64,
    },
    /// It belongs to another volume and was kept aside.
    OtherVolume {
        /// That volume's serial number.
        serial: u32,
    },
    /// Its header is damaged; it was kept aside.
    Damaged,
}

/// The open ledger.
#[derive(Debug)]
pub struct Ledger {
    state: State,
    serial: u32,
    history: History,
    /// Length up to the last sound frame.
    len_bytes: u64,
    /// CRC of the last sound frame.
    crc: u32,
    /// The length at which compaction is considered next.
    compact_at_bytes: u64,
    /// The name leads to this file after a power cut too. Until it does, nothing may be appended:
    /// the old file could come back and the new record with the new one be lost.
    name_is_durable: bool,
}

impl Ledger {
    /// Opens the ledger in `disk` for the volume with this serial number.
    pub fn open(disk: &mut impl Disk, serial: u32) -> Result<Self, MailboxError> {
        let bytes = disk
            .read(LEDGER_NAME, LEDGER_LIMIT_BYTES)
            .map_err(MailboxError::io("read the ledger"))?;
        let Some(bytes) = bytes else {
            return Self::fresh(disk, serial, History::Fresh);
        };
        let history = match read_header(&bytes) {
            Some(header) if header.version > VERSION => {
                let (found, known) = (header.version, VERSION);
                return Err(MailboxError::NewerFormat { found, known });
            }
            Some(header) if header.serial == serial => {
                return Self::resume(disk, serial, header.crc, &bytes);
            }
            Some(header) => History::OtherVolume {
                serial: header.serial,
            },
            None => History::Damaged,
        };
        keep_aside(disk).map_err(MailboxError::io("keep an old ledger aside"))?;
        Self::fresh(disk, serial, history)
    }

    fn fresh(disk: &mut impl Disk, serial: u32, history: History) -> Result<Self, MailboxError> {
        let header = codec::header(serial);
        disk.write_durably(LEDGER_NAME, &header)
            .map_err(MailboxError::io("make the ledger"))?;
        Ok(Self {
            state: State::default(),
            serial,
            history,
            len_bytes: HEADER_BYTES as u64,
            crc: read_header(&header).map_or(0, |header| header.crc),
            compact_at_bytes: COMPACT_MIN_BYTES,
            name_is_durable: true,
        })
    }

    fn resume(
        disk: &mut impl Disk,
        serial: u32,
        mut crc: u32,
        bytes: &[u8],
    ) -> Result<Self, MailboxError> {
        let mut state = State::default();
        let mut records = 0;
        let mut rest = bytes.get(HEADER_BYTES..).unwrap_or_default();
        while let Some(frame) = read_frame(rest, crc) {
            frame.records.iter().for_each(|record| state.apply(record));
            records += frame.records.len();
            crc = frame.crc;
            rest = rest.get(frame.len_bytes..).unwrap_or_default();
        }
        let dropped_bytes = rest.len() as u64;
        let len_bytes = (bytes.len() as u64).saturating_sub(dropped_bytes);
        let sound = bytes.get(..bytes.len() - rest.len()).unwrap_or(bytes);
        // Whoever wrote it may have been killed before it was durable, or a sync of it have failed:
        // it is read from a cache. A file of its own lasts.
        disk.write_durably(LEDGER_NAME, sound)
            .map_err(MailboxError::io("mend the ledger"))?;
        let history = History::Resumed {
            records,
            dropped_bytes,
        };
        let compact_at_bytes = COMPACT_MIN_BYTES.max(len_bytes);
        let name_is_durable = true;
        Ok(Self {
            state,
            serial,
            history,
            len_bytes,
            crc,
            compact_at_bytes,
            name_is_durable,
        })
    }

    /// What the ledger remembers.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How it was found.
    pub fn history(&self) -> History {
        self.history
    }

    /// Makes `records` durable, all or (after a power cut) none of what fits one frame, and takes
    /// them in. On an error nothing was taken in.
    pub fn append(&mut self, disk: &mut impl Disk, records: &[Record]) -> Result<(), MailboxError> {
        if records.is_empty() {
            return Ok(());
        }
        let uses_name =
            |record: &Record| matches!(record, Record::Intended { .. } | Record::Published { .. });
        if self.state.name_count() >= NAMES_MAX && records.iter().any(uses_name) {
            return Err(MailboxError::NamesFull { limit: NAMES_MAX });
        }
        let (bytes, crc) = frames(records, self.crc);
        if self.len_bytes.saturating_add(bytes.len() as u64) > LEDGER_LIMIT_BYTES {
            return Err(MailboxError::LedgerFull {
                limit_bytes: LEDGER_LIMIT_BYTES,
            });
        }
        self.settle_name(disk)
            .and_then(|()| append_durably(disk, self.len_bytes, &bytes))
            .map_err(MailboxError::io("write the ledger"))?;
        self.len_bytes = self.len_bytes.saturating_add(bytes.len() as u64);
        self.crc = crc;
        records.iter().for_each(|record| self.state.apply(record));
        if self.len_bytes >= self.compact_at_bytes {
            // The records are durable already. A disk too full to compact must not fail them; it
            // is tried again when the ledger has grown.
            let live_bytes = self.compact(disk).unwrap_or(0);
            let grown_bytes = self.len_bytes.saturating_add(self.len_bytes / RECHECK_PART);
            self.compact_at_bytes = COMPACT_MIN_BYTES
                .max(live_bytes.saturating_mul(2))
                .max(grown_bytes);
        }
        Ok(())
    }

    /// Replaces the file by the shortest with the same state, if that is at most half as long.
    /// Returns the length of the shortest.
    fn compact(&mut self, disk: &mut impl Disk) -> io::Result<u64> {
        let mut bytes = codec::header(self.serial);
        let head_crc = read_header(&bytes).map_or(0, |header| header.crc);
        let (live, crc) = frames(&self.state.snapshot(), head_crc);
        bytes.extend(live);
        let live_bytes = bytes.len() as u64;
        if live_bytes.saturating_mul(2) > self.len_bytes {
            return Ok(live_bytes);
        }
        let new = format!("{LEDGER_NAME}{NEW_SUFFIX}");
        disk.write(&new, &bytes)?;
        disk.sync(&new)?;
        disk.rename(&new, LEDGER_NAME)?;
        self.len_bytes = live_bytes;
        self.crc = crc;
        self.name_is_durable = false;
        self.settle_name(disk)?;
        Ok(live_bytes)
    }

    fn settle_name(&mut self, disk: &mut impl Disk) -> io::Result<()> {
        if !self.name_is_durable {
            disk.sync_folder("")?;
            self.name_is_durable = true;
        }
        Ok(())
    }
}

fn append_durably(disk: &mut impl Disk, at_bytes: u64, bytes: &[u8]) -> io::Result<()> {
    disk.append(LEDGER_NAME, at_bytes, bytes)?;
    disk.sync(LEDGER_NAME)
}

/// Moves the ledger to `ledger.old-1`, those before it one up, and the oldest away.
fn keep_aside(disk: &mut impl Disk) -> io::Result<()> {
    let aside = |number: u32| format!("{LEDGER_NAME}.old-{number}");
    for number in (1..ASIDE_MAX).rev() {
        match disk.rename(&aside(number), &aside(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    disk.rename(LEDGER_NAME, &aside(1))?;
    disk.sync_folder("")
}
