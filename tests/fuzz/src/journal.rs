//! Target of the recovery: whatever the journal says, the image changes only to what a whole
//! journal for it says, all of it or nothing; cut anywhere and run again, the outcome is the same.
//!
//! The judge reads the journal by itself, after `docs/SPEC.md` section 2.

use std::io;

use volume::testing::PagedImage;
use volume::{JournalStore, ReadAt, Recovery, WriteAt, recover_with};

use crate::base::bases;
use crate::image::{Recipe, Write};
use crate::input::Input;

/// Most records of a journal that is made.
const MAX_RECORDS: usize = 24;
const HEADER_BYTES: usize = 48;
const TRAILER_BYTES: usize = 8;
const SERIAL: u32 = 0x1234_ABCD;

/// Recovers an image with a journal. The first byte says whether the rest is the journal as it is,
/// or the notation of one whose checksums are made to hold.
pub fn journal(data: &[u8]) {
    let mut input = Input(data);
    let Some(kind) = input.u8() else { return };
    let (image, bytes) = if kind & 1 == 0 {
        let base = usize::from(kind >> 1) % bases().len();
        (bases()[base].image.clone(), input.0.to_vec())
    } else {
        written(kind, &mut input)
    };
    let mut expected = image.clone();
    let wanted = judged(&image, &bytes);
    if let Some(writes) = &wanted {
        for write in writes {
            let written = expected.write_at(write.offset_bytes, &write.bytes);
            written.expect("the judge has seen that it fits");
        }
    }
    // No publication changes what tells one volume from another. A journal that does so is applied,
    // but one that was cut is for another image from then on.
    let stays = identity(&image) == identity(&expected);
    let writes = wanted.as_ref().map_or(0, Vec::len);
    let first_cut = if stays { 0 } else { writes };
    for cut in first_cut..writes + 2 {
        recover(&image, &bytes, cut, wanted.is_some(), &expected);
    }
}

fn identity(image: &PagedImage) -> Option<(u64, u32, u32)> {
    let volume = volume::Volume::open(image).ok()?;
    let geometry = volume.geometry();
    let (serial, sector_bytes) = (geometry.serial, geometry.sector_bytes);
    Some((geometry.partition_offset_bytes, serial, sector_bytes))
}

/// Recovers with the power cut before write number `cut`, then again without.
fn recover(image: &PagedImage, bytes: &[u8], cut: usize, wanted: bool, expected: &PagedImage) {
    let mut device = Device {
        image: image.clone(),
        writes_left: cut,
    };
    let mut store = MemoryJournal::of(bytes);
    let mut outcome = recover_with(&mut device, &mut store);
    if outcome.is_err() {
        assert!(wanted && store.bytes.is_some());
        device.writes_left = usize::MAX;
        outcome = recover_with(&mut device, &mut store);
    }
    let outcome = outcome.expect("nothing fails any more");
    assert_eq!(
        matches!(outcome, Recovery::Replayed { .. }),
        wanted,
        "{outcome:?}"
    );
    assert_eq!(device.image, *expected, "{outcome:?}");
    assert!(store.bytes.is_none() && store.aside.is_some() != wanted);
    let again = recover_with(&mut device, &mut store);
    assert!(matches!(again, Ok(Recovery::Nothing)));
    assert_eq!(device.image, *expected);
}

/// A journal from its notation: a base image with changes, then a byte of what is wrong with the
/// header and records of offset (3 bytes of sectors or odd bytes), kind and a pattern.
fn written(kind: u8, input: &mut Input<'_>) -> (PagedImage, Vec<u8>) {
    let image = Recipe::read(&mut Input(input.short_bytes().unwrap_or_default())).image;
    let sector = if kind & 2 == 0 { 512 } else { 1024_usize };
    let partition_bytes = u64::from(kind & 4 != 0) << 20;
    let serial = if kind & 8 == 0 { SERIAL } else { 7 };
    let mut records = Vec::new();
    while let (Some(at), Some(how), Some(fill)) = (input.u16(), input.u8(), input.u8()) {
        let step = if how & 0x80 == 0 { 512 } else { 100 };
        let offset = u64::from(at) * step + if how & 0x40 == 0 { 0 } else { 1 << 32 };
        records.push(record(&image, offset, sector, how, fill));
        if records.len() == MAX_RECORDS {
            break;
        }
    }
    let mut bytes = Vec::from(*b"PSTKJRNL");
    bytes.extend(u32::from(kind & 16 != 0).wrapping_add(1).to_le_bytes());
    bytes.extend(u32::try_from(sector).unwrap_or(0).to_le_bytes());
    bytes.extend(image.len().to_le_bytes());
    bytes.extend(partition_bytes.to_le_bytes());
    bytes.extend(serial.to_le_bytes());
    bytes.extend(u32::try_from(records.len()).unwrap_or(0).to_le_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes.extend([0; 4]);
    records.iter().for_each(|record| bytes.extend(record));
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes.extend(b"DONE");
    (image, bytes)
}

/// A record whose sector is old, new, torn or foreign.
fn record(image: &PagedImage, offset: u64, sector: usize, how: u8, fill: u8) -> Vec<u8> {
    let mut now = vec![0; sector];
    let _ = image.read_at(offset, &mut now);
    let pattern = vec![fill; sector];
    let mut torn = now.clone();
    torn[..sector / 2].fill(fill);
    let (before, after) = match how & 3 {
        0 => (now, pattern),
        1 => (pattern, now),
        2 => (now, torn),
        _ => (pattern.clone(), pattern),
    };
    [&offset.to_le_bytes()[..], &before, &after].concat()
}

/// What a whole journal for this image wants written; `None` where it is none, or the image was
/// changed since.
fn judged(image: &PagedImage, bytes: &[u8]) -> Option<Vec<Write>> {
    let field = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let long = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let header = bytes.get(..40)?;
    let sound = header.starts_with(b"PSTKJRNL") && field(8)? == 1;
    let body = bytes.len().checked_sub(TRAILER_BYTES)?;
    let sums = crc32fast::hash(header) == field(40)?
        && crc32fast::hash(&bytes[..body]) == field(body)?
        && bytes.ends_with(b"DONE");
    let geometry = volume::Volume::open(image).ok()?.geometry().clone();
    let ours = long(16)? == image.len()
        && long(24)? == geometry.partition_offset_bytes
        && field(32)? == geometry.serial
        && field(12)? == geometry.sector_bytes;
    let sector = geometry.sector_bytes as usize;
    let records = bytes.get(HEADER_BYTES..body)?.chunks(8 + 2 * sector);
    if !sound || !sums || !ours || records.len() != field(36)? as usize {
        return None;
    }
    let mut writes = Vec::new();
    let mut end = 0;
    for record in records {
        let offset_bytes = u64::from_le_bytes(*record.first_chunk()?);
        let (before, after) = record.get(8..)?.split_at_checked(sector)?;
        let mut now = vec![0; sector];
        let inside = offset_bytes.checked_add(sector as u64)? <= image.len();
        if !inside || offset_bytes < end || image.read_at(offset_bytes, &mut now).is_err() {
            return None;
        }
        end = offset_bytes + sector as u64;
        let mut places = now.iter().zip(before.iter().zip(after));
        if !places.all(|(now, (before, after))| now == before || now == after) {
            return None;
        }
        let bytes = after.to_vec();
        writes.push(Write {
            offset_bytes,
            bytes,
        });
    }
    Some(writes)
}

/// An image that fails to be written after so many writes.
struct Device {
    image: PagedImage,
    writes_left: usize,
}

impl ReadAt for Device {
    fn len(&self) -> u64 {
        self.image.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.image.read_at(offset, buf)
    }
}

impl WriteAt for Device {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let left = self.writes_left.checked_sub(1);
        self.writes_left = left.ok_or(io::ErrorKind::TimedOut)?;
        self.image.write_at(offset, data)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A journal in memory.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    begun: Option<Vec<u8>>,
    bytes: Option<Vec<u8>>,
    aside: Option<Vec<u8>>,
}

impl MemoryJournal {
    fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: Some(bytes.to_vec()),
            ..Self::default()
        }
    }

    /// Whether there is none, and none put aside.
    pub fn is_gone(&self) -> bool {
        self.bytes.is_none() && self.aside.is_none()
    }
}

impl JournalStore for MemoryJournal {
    fn len_bytes(&self) -> io::Result<Option<u64>> {
        Ok(self.bytes.as_ref().map(|bytes| bytes.len() as u64))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes.as_ref().ok_or(io::ErrorKind::NotFound)?;
        bytes.read_at(offset, buf)
    }

    fn create(&mut self) -> io::Result<()> {
        self.begun = Some(Vec::new());
        Ok(())
    }

    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        let begun = self.begun.as_mut().ok_or(io::ErrorKind::NotFound)?;
        begun.extend_from_slice(data);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn commit(&mut self) -> io::Result<()> {
        self.bytes = self.begun.take();
        Ok(())
    }

    fn abandon(&mut self) -> io::Result<()> {
        self.begun = None;
        Ok(())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self) -> io::Result<()> {
        self.bytes = None;
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        self.aside = self.bytes.take();
        Ok(())
    }
}
