//! Records to bytes and back, and the frames that hold them.
//!
//! All numbers are little-endian. Decoding is total: bytes that are no record give `None`, and
//! nothing is allocated before its bytes are there.

use super::{Answer, Record, Source};
use crate::digest::{DIGEST_BYTES, Digest};
use crate::job::{JobId, Stamp};
use crate::limits::{FRAME_LIMIT_BYTES, PATH_LIMIT_BYTES};
use crate::name::OutcomeKind;

/// First bytes of a ledger.
pub(super) const MAGIC: [u8; 8] = *b"PSLEDGER";
/// Version of the format.
pub(super) const VERSION: u32 = 1;
/// Magic, version, serial number, CRC-32.
pub(super) const HEADER_BYTES: usize = 20;
/// Length and CRC-32 before a frame's records.
pub(super) const FRAME_HEAD_BYTES: usize = 8;

mod tag {
    pub const ADDED: u8 = 1;
    pub const SEEN: u8 = 2;
    pub const ANSWERED: u8 = 3;
    pub const INTENDED: u8 = 4;
    pub const PUBLISHED: u8 = 5;
    pub const GONE: u8 = 6;
    pub const REQUEUED: u8 = 7;
    pub const DROPPED: u8 = 8;
    pub const USED: u8 = 9;
    pub const NEXT_ID: u8 = 10;
}

/// What a ledger's first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub version: u32,
    pub serial: u32,
    /// The CRC of the header: the first frame's chain begins with it.
    pub crc: u32,
}

/// The header of a ledger for the volume with this serial number: [`HEADER_BYTES`] bytes.
pub(super) fn header(serial: u32) -> Vec<u8> {
    let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &serial.to_le_bytes()].concat();
    let crc = crc32fast::hash(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// The header, if its checksum holds.
pub(super) fn read_header(bytes: &[u8]) -> Option<Header> {
    let mut reader = Reader(bytes);
    let magic: [u8; 8] = reader.array()?;
    let version = reader.u32()?;
    let serial = reader.u32()?;
    let crc = reader.u32()?;
    let sum = crc32fast::hash(bytes.get(..HEADER_BYTES - 4)?);
    (magic == MAGIC && crc == sum).then_some(Header {
        version,
        serial,
        crc,
    })
}

/// The CRC of a frame: it covers the CRC before it, so a frame counts only in its place.
fn chain(previous: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&previous.to_le_bytes());
    hasher.update(
        &u32::try_from(payload.len())
            .unwrap_or(u32::MAX)
            .to_le_bytes(),
    );
    hasher.update(payload);
    hasher.finalize()
}

/// Frames with `records`, after a frame whose CRC was `previous`; and the last one's CRC.
pub(super) fn frames(records: &[Record], mut previous: u32) -> (Vec<u8>, u32) {
    let mut bytes = Vec::new();
    let mut payload = Vec::new();
    let mut flush = |payload: &mut Vec<u8>| {
        if payload.is_empty() {
            return;
        }
        previous = chain(previous, payload);
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        bytes.extend(len.to_le_bytes());
        bytes.extend(previous.to_le_bytes());
        bytes.append(payload);
    };
    for record in records {
        let record = encode(record);
        if payload.len() + record.len() > FRAME_LIMIT_BYTES {
            flush(&mut payload);
        }
        payload.extend(record);
    }
    flush(&mut payload);
    (bytes, previous)
}

/// A frame's records.
pub(super) struct Frame {
    pub records: Vec<Record>,
    pub crc: u32,
    pub len_bytes: usize,
}

/// The frame that `bytes` begins with, if a whole and sound one does.
pub(super) fn read_frame(bytes: &[u8], previous: u32) -> Option<Frame> {
    let mut reader = Reader(bytes);
    let len = usize::try_from(reader.u32()?)
        .ok()
        .filter(|len| *len <= FRAME_LIMIT_BYTES)?;
    let crc = reader.u32()?;
    let payload = reader.take(len)?;
    if len == 0 || chain(previous, payload) != crc {
        return None;
    }
    let mut reader = Reader(payload);
    let mut records = Vec::new();
    while !reader.0.is_empty() {
        records.push(reader.record()?);
    }
    Some(Frame {
        records,
        crc,
        len_bytes: FRAME_HEAD_BYTES + len,
    })
}

/// One record: its tag, its job or key, the rest.
pub(super) fn encode(record: &Record) -> Vec<u8> {
    let mut out = Vec::new();
    let mut head = |tag: u8, number: u64| {
        out.push(tag);
        out.extend(number.to_le_bytes());
    };
    match record {
        Record::Added {
            id,
            source,
            digest,
            stamp,
            path,
        } => {
            head(tag::ADDED, id.0);
            out.push(source_byte(*source));
            out.extend(digest.0);
            put_stamp(&mut out, stamp);
            put_text(&mut out, path);
        }
        Record::Seen { id, stamp, path } => {
            head(tag::SEEN, id.0);
            put_stamp(&mut out, stamp);
            put_text(&mut out, path);
        }
        Record::Answered { id, answer } => {
            head(tag::ANSWERED, id.0);
            out.push(u8::from(answer.kind == OutcomeKind::Error));
            out.extend(answer.digest.0);
            out.extend(answer.len_bytes.to_le_bytes());
        }
        Record::Intended { id, path } => {
            head(tag::INTENDED, id.0);
            put_text(&mut out, path);
        }
        Record::Published { id, path } => {
            head(tag::PUBLISHED, id.0);
            put_text(&mut out, path);
        }
        Record::Gone { id } => head(tag::GONE, id.0),
        Record::Requeued { id } => head(tag::REQUEUED, id.0),
        Record::Dropped { id } => head(tag::DROPPED, id.0),
        Record::Used { key, ordinal } => {
            head(tag::USED, *key);
            out.extend(ordinal.to_le_bytes());
        }
        Record::NextId { id } => head(tag::NEXT_ID, id.0),
    }
    out
}

fn source_byte(source: Source) -> u8 {
    match source {
        Source::Content => 0,
        Source::Name => 1,
        Source::Settings => 2,
    }
}

fn put_stamp(out: &mut Vec<u8>, stamp: &Stamp) {
    out.extend(stamp.first_cluster.to_le_bytes());
    out.extend(stamp.len_bytes.to_le_bytes());
    let (modified, created) = (stamp.modified, stamp.created);
    for half in [modified.0, modified.1, created.0, created.1] {
        out.extend(half.to_le_bytes());
    }
}

/// A text of at most [`PATH_LIMIT_BYTES`], which every path on FAT is; a longer one is cut.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let fits = text.char_indices().map(|(start, c)| start + c.len_utf8());
    let len = fits
        .take_while(|end| *end <= PATH_LIMIT_BYTES)
        .last()
        .unwrap_or(0);
    out.extend(u16::try_from(len).unwrap_or(0).to_le_bytes());
    out.extend(text.as_bytes().get(..len).unwrap_or_default());
}

/// Takes parts off the front of some bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn digest(&mut self) -> Option<Digest> {
        self.array::<DIGEST_BYTES>().map(Digest)
    }

    fn stamp(&mut self) -> Option<Stamp> {
        Some(Stamp {
            first_cluster: self.u32()?,
            len_bytes: self.u32()?,
            modified: (self.u16()?, self.u16()?),
            created: (self.u16()?, self.u16()?),
        })
    }

    fn text(&mut self) -> Option<String> {
        let len = usize::from(self.u16()?);
        Some(std::str::from_utf8(self.take(len)?).ok()?.to_owned())
    }

    fn source(&mut self) -> Option<Source> {
        match self.u8()? {
            0 => Some(Source::Content),
            1 => Some(Source::Name),
            2 => Some(Source::Settings),
            _ => None,
        }
    }

    fn kind(&mut self) -> Option<OutcomeKind> {
        match self.u8()? {
            0 => Some(OutcomeKind::Response),
            1 => Some(OutcomeKind::Error),
            _ => None,
        }
    }

    fn answer(&mut self) -> Option<Answer> {
        Some(Answer {
            kind: self.kind()?,
            digest: self.digest()?,
            len_bytes: self.u64()?,
        })
    }

    fn record(&mut self) -> Option<Record> {
        let tag = self.u8()?;
        let number = self.u64()?;
        let id = JobId(number);
        Some(match tag {
            tag::ADDED => Record::Added {
                id,
                source: self.source()?,
                digest: self.digest()?,
                stamp: self.stamp()?,
                path: self.text()?,
            },
            tag::SEEN => Record::Seen {
                id,
                stamp: self.stamp()?,
                path: self.text()?,
            },
            tag::ANSWERED => Record::Answered {
                id,
                answer: self.answer()?,
            },
            tag::INTENDED => Record::Intended {
                id,
                path: self.text()?,
            },
            tag::PUBLISHED => Record::Published {
                id,
                path: self.text()?,
            },
            tag::GONE => Record::Gone { id },
            tag::REQUEUED => Record::Requeued { id },
            tag::DROPPED => Record::Dropped { id },
            tag::USED => Record::Used {
                key: number,
                ordinal: self.u32()?,
            },
            tag::NEXT_ID => Record::NextId { id },
            _ => return None,
        })
    }
}
