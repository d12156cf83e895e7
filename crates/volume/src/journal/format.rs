//! The journal byte by byte, as `docs/SPEC.md` section 2 has it.
//!
//! Header, then one record a sector, then a trailer with the checksum of all before it. Reading
//! checks everything before the first record is believed, and never holds more than one record.

use std::io;

use crc32fast::Hasher;

use super::store::JournalStore;
use crate::boot::{MAX_SECTOR_BYTES, MIN_SECTOR_BYTES};
use crate::bytes::{index, put, u32_at, u64_at};
use crate::change::{ChangeSet, Identity, SectorChange};

const MAGIC: &[u8; 8] = b"PSTKJRNL";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 48;
const OFFSET_BYTES: usize = 8;
const TRAILER_BYTES: usize = 8;
const END_MAGIC: &[u8; 4] = b"DONE";
/// Records are written and checked in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;

/// Writes a whole journal into a store where it was just created.
pub(super) fn write<J: JournalStore>(journal: &mut J, changes: &ChangeSet) -> io::Result<()> {
    let mut sum = Hasher::new();
    let mut piece = header(changes)?.to_vec();
    for sector in &changes.sectors {
        piece.extend_from_slice(&sector.offset_bytes.to_le_bytes());
        piece.extend_from_slice(&sector.before);
        piece.extend_from_slice(&sector.after);
        if piece.len() >= PIECE_BYTES {
            sum.update(&piece);
            journal.append(&piece)?;
            piece.clear();
        }
    }
    sum.update(&piece);
    piece.extend_from_slice(&sum.finalize().to_le_bytes());
    piece.extend_from_slice(END_MAGIC);
    journal.append(&piece)
}

fn header(changes: &ChangeSet) -> io::Result<[u8; HEADER_BYTES]> {
    let Identity {
        image_bytes,
        partition_offset_bytes,
        serial,
        sector_bytes,
    } = changes.identity;
    let count = u32::try_from(changes.sectors.len()).map_err(io::Error::other)?;
    let mut header = [0; HEADER_BYTES];
    put(&mut header, 0, MAGIC);
    put(&mut header, 8, &VERSION.to_le_bytes());
    put(&mut header, 12, &sector_bytes.to_le_bytes());
    put(&mut header, 16, &image_bytes.to_le_bytes());
    put(&mut header, 24, &partition_offset_bytes.to_le_bytes());
    put(&mut header, 32, &serial.to_le_bytes());
    put(&mut header, 36, &count.to_le_bytes());
    let sum = crc32fast::hash(&header[..40]);
    put(&mut header, 40, &sum.to_le_bytes());
    Ok(header)
}

/// A journal that was found whole.
pub(super) struct Journal {
    pub(super) identity: Identity,
    pub(super) records: u32,
}

impl Journal {
    /// Reads and checks a journal; `None` where it is not whole.
    pub(super) fn open<J: JournalStore>(store: &J, len_bytes: u64) -> io::Result<Option<Self>> {
        if len_bytes < (HEADER_BYTES + TRAILER_BYTES) as u64 {
            return Ok(None);
        }
        let mut header = [0; HEADER_BYTES];
        store.read_at(0, &mut header)?;
        let sound = &header[..8] == MAGIC
            && u32_at(&header, 8) == VERSION
            && u32_at(&header, 40) == crc32fast::hash(&header[..40]);
        let identity = Identity {
            sector_bytes: u32_at(&header, 12),
            image_bytes: u64_at(&header, 16),
            partition_offset_bytes: u64_at(&header, 24),
            serial: u32_at(&header, 32),
        };
        let sector_sound = identity.sector_bytes.is_power_of_two()
            && (MIN_SECTOR_BYTES..=MAX_SECTOR_BYTES).contains(&identity.sector_bytes);
        let journal = Self {
            identity,
            records: u32_at(&header, 36),
        };
        if !sound || !sector_sound || journal.len_bytes() != len_bytes {
            return Ok(None);
        }
        Ok(is_whole(store, len_bytes)?.then_some(journal))
    }

    /// Record `number`, counted from 0 and below `records`.
    pub(super) fn record<J: JournalStore>(
        &self,
        store: &J,
        number: u32,
    ) -> io::Result<SectorChange> {
        let offset = HEADER_BYTES as u64 + u64::from(number) * self.record_bytes();
        let mut record = vec![0; index(self.record_bytes())];
        store.read_at(offset, &mut record)?;
        let (before, after) = record[OFFSET_BYTES..].split_at((record.len() - OFFSET_BYTES) / 2);
        Ok(SectorChange {
            offset_bytes: u64_at(&record, 0),
            before: before.into(),
            after: after.into(),
        })
    }

    fn record_bytes(&self) -> u64 {
        OFFSET_BYTES as u64 + 2 * u64::from(self.identity.sector_bytes)
    }

    fn len_bytes(&self) -> u64 {
        let fixed = (HEADER_BYTES + TRAILER_BYTES) as u64;
        fixed + u64::from(self.records) * self.record_bytes()
    }
}

/// Whether the trailer is there and its checksum is that of all before it.
fn is_whole<J: JournalStore>(store: &J, len_bytes: u64) -> io::Result<bool> {
    let covered_bytes = len_bytes - TRAILER_BYTES as u64;
    let mut sum = Hasher::new();
    let mut at = 0;
    let mut piece = vec![0; PIECE_BYTES];
    while at < covered_bytes {
        let count = (covered_bytes - at).min(PIECE_BYTES as u64);
        let part = &mut piece[..index(count)];
        store.read_at(at, part)?;
        sum.update(part);
        at += count;
    }
    let mut trailer = [0; TRAILER_BYTES];
    store.read_at(covered_bytes, &mut trailer)?;
    Ok(u32_at(&trailer, 0) == sum.finalize() && trailer[4..] == *END_MAGIC)
}
