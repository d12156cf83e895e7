//! Writes GGUF models of the Llama architecture with random weights, so that tests and
//! measurements need no download. A model has the tensors, types and tokenizer tables that a file
//! of its shape made by llama.cpp has, so it takes as much memory and as many operations. What it
//! says means nothing. The same [`Spec`] gives the same bytes.
//!
//! Used by the tests across crates and by `cargo xtask make-model`; never part of the program.
//!
//! ```no_run
//! # use genmodel::{Format, Shape, Spec};
//! Spec::new(Shape::smollm2_135m(), Format::Q4_0).write("model.gguf".as_ref())?;
//! # Ok::<(), std::io::Error>(())
//! ```

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "numbers of our own, far below where that matters"
)]

mod format;
mod gguf;
mod keys;
mod random;
mod shape;
mod spec;
mod tensors;
mod vocabulary;
mod weights;

pub use format::Format;
pub use random::Random;
pub use shape::{CHATML, Shape, Tokenizer};
pub use spec::Spec;
