//! The engine against real llama.cpp, with small models of random weights.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod answers;
mod backends;
mod cli;
mod fit;
mod gguf_files;
mod json;
mod limits;
mod shapes;
mod support;
mod template;
mod worker;
