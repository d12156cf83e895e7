//! A ggml backend for the ARM1176JZF-S, the processor of the Raspberry Pi Zero, Zero W and 1.
//!
//! llama.cpp is used as it is: [`register`] adds a device before a model is loaded, and llama.cpp
//! then gives it the quantised matrices, which it keeps in an order of its own ([`pack`]), and the
//! operations on them. What it does not take stays with ggml's CPU backend.
//!
//! - [`pack`]: the packed forms of a matrix, what each ggml type becomes, and rows back as f32;
//! - [`activations`]: a vector as 16-bit coefficients, with the bound that keeps 32-bit sums exact;
//! - [`kernels`]: packed matrix times coefficients, in assembly on `ARMv6` and portable elsewhere,
//!   with the same integers in both;
//! - [`attention`]: attention over an f16 key/value cache;
//! - `gate`: the gate of a feed-forward part;
//! - `backend`: what ggml calls;
//! - `float_mode`: what a thread's floating-point unit does with numbers next to 0.
//!
//! On other processors, and on ARM cores before `ARMv6`, the same crate builds with portable
//! kernels of identical arithmetic; `build.rs` tells them apart.

pub mod activations;
pub mod attention;
mod backend;
mod float_mode;
mod gate;
pub mod kernels;
pub mod matrix;
pub mod pack;

pub use backend::{RegisterError, Take, register, release_sources, take};
pub use float_mode::flush_denormals;
