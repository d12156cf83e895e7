//! What the tests across crates share: the judges' tools, images as a host sees them, and the
//! program under test.

pub mod image;
pub mod program;
pub mod tool;
