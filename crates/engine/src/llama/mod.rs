//! The edge to llama.cpp: everything that calls it is in this folder.
//!
//! Models, vocabularies and samplers come through `llama-cpp-2`. The context is our own thin layer
//! on `llama-cpp-sys-2`, because `llama-cpp-2` has no abort callback and no bound on outputs.

mod backend;
mod context;
mod fill;
mod log;
mod model;

pub use context::{Context, DecodeEnd};
pub use model::{Model, is_out_of_memory};
