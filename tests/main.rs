//! Tests across crates.

mod volume;
