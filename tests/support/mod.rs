//! What the tests across crates share: the judges' tools, images as a host sees them, the program
//! under test, and models made up for it.

pub mod gguf;
pub mod image;
pub mod program;
pub mod tool;
