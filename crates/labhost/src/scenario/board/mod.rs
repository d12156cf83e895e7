//! What is particular to the board: little memory, a processor that takes its time, no clock that
//! keeps it.

pub mod boot;
pub mod clock;
pub mod memory;
