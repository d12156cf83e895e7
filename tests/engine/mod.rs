//! The engine against real llama.cpp, with small models of random weights.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod fit;
mod support;
mod worker;
