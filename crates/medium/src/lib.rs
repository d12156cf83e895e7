//! Who holds the medium: when what a host wrote may be believed, and when the device may write.
//!
//! One medium has one writer at a time. [`Machine`] decides, as a pure function of events and the
//! time, when to read the volume, which files have settled, and when to ask for the medium;
//! [`Shelf`] does the same for the read-only drives that show answers. The edge where a medium is
//! really taken and given back is [`PlainFile`], or the kernel's USB drive ([`gadget`]).
//! [`ImageLock`] keeps two daemons off one image.
//!
//! This crate knows nothing of prompts and nothing of FAT: a file is a path and a fingerprint.

pub mod gadget;
mod lease;
mod lock;
mod machine;
mod plain;
mod port;
mod settle;
mod shelf;
mod timing;

pub use gadget::Bus;
pub use lock::{ImageLock, LockError};
pub use machine::{Action, Event, How, Machine, Refusal};
pub use plain::PlainFile;
pub use port::{Medium, MediumError, Take};
pub use settle::{Fingerprint, Observation, Settler, View};
pub use shelf::{Shelf, ShelfAction, ShelfEvent};
pub use timing::Timing;
