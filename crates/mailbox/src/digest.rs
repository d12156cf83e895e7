//! SHA-256 of a prompt's bytes: what tells one content from another.
//!
//! Used by the ledger and the reconciliation for identity, and by the daemon for the seed of a
//! prompt that names none, so that the same prompt gives the same answer when it is run again.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Bytes of a digest (FIPS 180-4, SHA-256).
pub const DIGEST_BYTES: usize = 32;

/// The value that llama.cpp reads as "draw a seed" (`LLAMA_DEFAULT_SEED`); never a seed of ours.
pub const RESERVED_SEED: u32 = u32::MAX;

/// SHA-256 of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; DIGEST_BYTES]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The seed that stands in when the settings name none. Same prompt, same seed.
    pub fn seed(&self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        match u32::from_le_bytes([a, b, c, d]) {
            RESERVED_SEED => 0,
            seed => seed,
        }
    }

    /// The first eight bytes as a number: a short hash for tables.
    pub fn short(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The first four bytes tell digests apart in a failing test's output.
        self.0
            .iter()
            .take(4)
            .try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_sha_256() {
        // `printf abc | sha256sum`
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), expected);
    }

    #[test]
    fn the_seed_depends_on_the_content_alone_and_is_never_the_reserved_one() {
        assert_eq!(Digest::of(b"a").seed(), Digest::of(b"a").seed());
        assert_ne!(Digest::of(b"a").seed(), Digest::of(b"b").seed());
        assert_eq!(Digest([0xff; DIGEST_BYTES]).seed(), 0);
    }
}
