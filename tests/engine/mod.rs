//! The engine against real llama.cpp, with tiny models of random weights.

mod support;
mod worker;
