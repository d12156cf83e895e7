//! Tests across crates, in one binary: `cargo test --test it daemon::answer` runs one module.
//!
//! What a single crate promises is tested in that crate; here are the judges that we did not
//! write, and the program as its users run it.

#![allow(clippy::unwrap_used, reason = "a test may end this way")]

mod arm;
mod daemon;
mod engine;
mod hostile;
mod lab;
mod support;
mod volume;
