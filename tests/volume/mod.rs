//! Judges of the crate `volume` that we did not write: `mkfs.fat`, `fsck.fat`, mtools and the
//! `fatfs` crate; and what it promises under damage, power cuts and 32 GiB.

// The helpers of a test are tests too: an unwrap that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod cli;
mod crosslink;
mod damage;
mod edit;
mod format;
mod growing;
mod memory;
mod model;
mod names;
mod opening;
mod power;
mod publish;
mod reading;
mod repair;
pub mod support;
mod writing;
