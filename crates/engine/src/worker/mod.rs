//! The child process that holds the model, and its parent's side.
//!
//! - [`child`]: `promptstick worker`, reads [`crate::wire`] frames, computes, writes frames;
//! - [`limits`]: what the child takes from itself before it opens the model;
//! - [`supervise`]: which frame, death or request leads to what: a state machine without I/O;
//! - [`parent`]: [`Worker`], the futures around it.

pub mod child;
pub mod limits;
pub mod parent;
mod process;
pub mod supervise;

pub use child::run;
pub use parent::{Worker, WorkerOptions};
pub use process::StderrPolicy;
