//! Which of llama.cpp's backends computes.

use std::fmt;
use std::str::FromStr;

use gguf::Card;
use serde::{Deserialize, Serialize};

/// What computes with the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// ggml's own, for every processor and every type of weight.
    Cpu,
    /// `ggml-armv6`: SIMD kernels for the board's processor; on others the same arithmetic, slowly.
    /// What it does not take, the other one computes.
    Armv6,
}

impl Backend {
    /// What the program uses when nobody chooses.
    pub const DEFAULT: Self = if cfg!(target_arch = "arm") {
        Self::PI_ZERO_W
    } else {
        Self::Cpu
    };
    /// What a Pi Zero W uses when nobody chooses.
    pub const PI_ZERO_W: Self = Self::Armv6;
    /// By the names that a command line and a configuration have for them.
    pub const NAMED: [(&'static str, Self); 2] = [("cpu", Self::Cpu), ("armv6", Self::Armv6)];

    /// Bytes of a model file that stay mapped and in use.
    #[must_use]
    pub fn mapped_bytes(self, card: &Card) -> u64 {
        match self {
            Self::Cpu => card.file_bytes,
            Self::Armv6 => card.file_bytes.saturating_sub(card.packing.file_bytes),
        }
    }

    /// Bytes of weights that are not the file's.
    #[must_use]
    pub fn packed_bytes(self, card: &Card) -> u64 {
        match self {
            Self::Cpu => 0,
            Self::Armv6 => card.packing.packed_bytes,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Armv6 => "armv6",
        }
    }
}

impl Default for Backend {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no backend has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no such backend; cpu and armv6 are known")]
pub struct UnknownBackend;

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(name: &str) -> Result<Self, UnknownBackend> {
        let found = Self::NAMED.iter().find(|(known, _)| *known == name);
        found.map(|(_, backend)| *backend).ok_or(UnknownBackend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_everywhere() {
        for (name, backend) in Backend::NAMED {
            assert_eq!(name.parse(), Ok(backend));
            assert_eq!(backend.to_string(), name);
            let json = serde_json::to_string(&backend).unwrap();
            assert_eq!(json, format!("\"{name}\""));
        }
        assert_eq!("gpu".parse::<Backend>(), Err(UnknownBackend));
    }
}
