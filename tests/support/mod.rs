//! What the tests across crates share: the judges' tools, images as a host sees them, the program
//! under test.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unwrap_used,
    dead_code,
    reason = "numbers of known size; not every module uses everything"
)]

pub mod image;
pub mod program;
pub mod quantised;
pub mod tool;
