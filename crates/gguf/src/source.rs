//! Bytes of a file in order, bounded by its length: the lowest layer of the GGUF reader.
//!
//! Invariant: nothing is read or allocated for a length that does not lie in the file.

use std::io::{self, BufRead};

use super::reader::GgufError;

/// A file that is read from its beginning.
pub(super) struct Source<R> {
    bytes: R,
    file_bytes: u64,
    position_bytes: u64,
}

impl<R: BufRead> Source<R> {
    pub(super) fn new(bytes: R, file_bytes: u64) -> Self {
        Self {
            bytes,
            file_bytes,
            position_bytes: 0,
        }
    }

    pub(super) fn is_shorter_than(&self, bytes: u64) -> bool {
        self.file_bytes < bytes
    }

    pub(super) fn position_bytes(&self) -> u64 {
        self.position_bytes
    }

    pub(super) fn string(&mut self, limit_bytes: u64) -> Result<String, GgufError> {
        let length = self.string_length(limit_bytes)?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.fill(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A length that is below the limit and lies in the file.
    pub(super) fn string_length(&mut self, limit_bytes: u64) -> Result<u64, GgufError> {
        let length = self.u64()?;
        if length > limit_bytes {
            return Err(GgufError::Damaged(format!(
                "a text of {length} bytes, at most {limit_bytes}"
            )));
        }
        self.check_inside(length)?;
        Ok(length)
    }

    fn check_inside(&self, bytes: u64) -> Result<(), GgufError> {
        match self.position_bytes.checked_add(bytes) {
            Some(end) if end <= self.file_bytes => Ok(()),
            _ => Err(GgufError::Truncated(format!(
                "its description goes on after byte {}, where the file ends",
                self.file_bytes
            ))),
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), GgufError> {
        self.check_inside(buffer.len() as u64)?;
        self.bytes.read_exact(buffer)?;
        self.position_bytes += buffer.len() as u64;
        Ok(())
    }

    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), GgufError> {
        self.check_inside(bytes)?;
        let mut left = bytes;
        while left > 0 {
            // A vocabulary is a hundred thousand texts of a few bytes: no more than this for each.
            let buffered = match self.bytes.fill_buf() {
                Ok([]) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(buffered) => buffered.len(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let now = usize::try_from(left).map_or(buffered, |left| left.min(buffered));
            self.bytes.consume(now);
            left -= now as u64;
        }
        self.position_bytes += bytes;
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}
