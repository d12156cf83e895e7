//! Tests across crates.

mod engine;
mod support;
