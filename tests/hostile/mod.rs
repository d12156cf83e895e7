//! The host as an attacker: images that no honest host writes, files that change while they are
//! read, names, settings and prompts that are meant to do harm. Each is given to the library, whose
//! reads and results are checked, and to the running daemon, whose memory and processor time are
//! measured; nothing that the host has may be touched, and an ordinary prompt is answered
//! afterwards. What an attack cost is printed:
//!
//!     cargo test -p promptstick --test it hostile:: -- --nocapture

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    reason = "numbers of known size; a test may end this way"
)]

mod chains;
mod craft;
mod crowds;
mod look;
mod moving;
mod names;
mod siege;
mod untouched;
mod words;
