//! The program as a library: what `main` runs, and what the tests run with a world of their own.
//!
//! [`daemon::Session`] is generic over everything that it reaches outside itself
//! ([`daemon::World`]), so that a simulation can hold its clock, its disk and its hosts. Nothing
//! else is meant to be used from outside.

pub mod cli;
pub mod config;
pub mod daemon;
mod log;
mod output;
mod size;
mod stick;
mod wall_clock;
