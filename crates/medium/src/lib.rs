//! Who holds the medium: when what a host wrote may be believed, and when the device may write.
//!
//! One medium has one writer at a time. [`Machine`] decides, as a pure function of events and the
//! time, when to read the volume, which files have settled, and when to ask for the medium;
//! [`Medium`] is the edge where it is really taken and given back: [`PlainFile`], or the kernel's
//! USB drive ([`gadget`]). [`ImageLock`] keeps two daemons off one image.
//!
//! This crate knows nothing of prompts and nothing of FAT: a file is a path and a fingerprint.

pub mod gadget;
mod lease;
mod lock;
mod machine;
mod plain;
mod port;
mod settle;
mod timing;

pub use lock::{ImageLock, LockError};
pub use machine::{Action, Event, Machine, Refusal};
pub use plain::PlainFile;
pub use port::{Medium, MediumError, Take};
pub use settle::{Fingerprint, Observation, Settler, View};
pub use timing::Timing;
