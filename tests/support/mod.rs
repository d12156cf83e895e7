//! What several test modules need.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unwrap_used,
    dead_code,
    reason = "numbers of known size; not every module uses everything"
)]

pub mod gguf;
