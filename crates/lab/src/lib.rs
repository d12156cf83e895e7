//! The lab: guests with real kernels, booted in QEMU, in which the daemon and a scripted host share
//! a USB cable. Used by `tests/lab` (module `lab` of the tests across crates) and by
//! `cargo xtask try --usb`. docs/LAB.md says how it is built and how to read a failure.
//!
//! [`packages`] and [`kernel`] get kernels from Debian, [`initramfs`] builds what a guest boots
//! from, [`guest`] runs one and listens; `crates/labhost` is what runs inside.

pub mod board;
pub mod busybox;
pub mod cache;
pub mod debian;
pub mod error;
pub mod guest;
pub mod initramfs;
pub mod kernel;
pub mod libraries;
pub mod modules;
pub mod packages;
pub mod programs;
pub mod tool;
pub mod torture;

pub use board::Board;
pub use error::{LabError, Result};
pub use kernel::Series;
