//! The other end of the cable: what a host does to the stick, and what surrounds it in a guest of
//! the lab. The binary of this crate is the guest's init; `crates/lab` builds the guest around it
//! and reads what it reports. docs/LAB.md says how they fit together.
//!
//! Independent of the crates under test on purpose: file systems here are the kernel's or `fatfs`,
//! never our own `volume`.

pub mod clock;
pub mod cpio;
pub mod daemon;
pub mod debian;
pub mod desktop;
pub mod error;
pub mod files;
pub mod gadget;
pub mod init;
pub mod load;
pub mod lun;
pub mod memory;
pub mod model;
pub mod modules;
pub mod mount;
pub mod network;
pub mod protocol;
pub mod report;
pub mod scenario;
pub mod scsi;
pub mod stick;
pub mod sysfs;
pub mod usb;
pub mod usbip;
pub mod wait;

pub use error::{Failure, Result};
