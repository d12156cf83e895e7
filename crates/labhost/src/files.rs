//! Contents of files: making, writing, comparing. Used by scenarios and models.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::Result;
use crate::error::{Doing, ensure};

/// SHA-256 in hexadecimal.
pub fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// Two digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that look random, the same ones for the same seed (xorshift64*).
pub fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend(random.next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Numbers that look random (xorshift64*; Vigna 2014, arXiv:1402.6246).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next one.
    #[allow(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

/// Writes a file and waits until it and its folder's entry are on the medium.
///
/// # Errors
/// The system refuses.
pub fn write_synced(path: &Path, content: &[u8]) -> Result<()> {
    let what = format!("writing {}", path.display());
    let mut file = File::create(path).doing(&what)?;
    file.write_all(content).doing(&what)?;
    file.sync_all().doing(&what)?;
    drop(file);
    let folder = path.parent().unwrap_or(path);
    let folder = File::open(folder).doing(&what)?;
    folder.sync_all().doing(what)
}

/// Reads a file; `None` where there is none.
///
/// # Errors
/// It is there and cannot be read.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).doing(format!("reading {}", path.display())),
    }
}

/// Fails unless both are the same bytes.
///
/// # Errors
/// They are not; the message says where they part.
pub fn ensure_same(what: &str, seen: &[u8], expected: &[u8]) -> Result<()> {
    let part = seen.iter().zip(expected).position(|(a, b)| a != b);
    ensure(seen == expected, || {
        let (seen, expected) = (seen.len(), expected.len());
        match part {
            Some(at) => format!("{what} differs from byte {at} on ({seen} of {expected} bytes)"),
            None => format!("{what} has {seen} bytes instead of {expected}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(random(1, 100), random(1, 100));
        assert_ne!(random(1, 100), random(2, 100));
        assert_eq!(random(3, 7).len(), 7);
    }

    #[test]
    fn a_known_hash() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
    }

    #[test]
    fn a_difference_is_told_with_its_place() {
        let error = ensure_same("a", b"abd", b"abc").expect_err("they differ");
        assert!(error.to_string().contains("byte 2"), "{error}");
        let error = ensure_same("a", b"ab", b"abc").expect_err("they differ");
        assert!(
            error.to_string().contains("2 bytes instead of 3"),
            "{error}"
        );
    }
}
