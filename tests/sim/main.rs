//! A deterministic simulation of the stick: disk, cable and hosts in memory, a virtual clock, and
//! all chance from one seed.
//!
//! | Module | What |
//! |---|---|
//! | [`device`], [`world`], [`engine`] | the real session, and what it runs in |
//! | [`process`] | the daemon as its kernel has it: killed, and refused what it asks for |
//! | [`gadget`] | what it asks the kernel about its drives |
//! | [`disk`], [`files`] | the device's storage, which loses power and fails |
//! | [`usb`] | the kernel's mass-storage gadget and the cable |
//! | [`host`] | computers that a stick is plugged into, and their users |
//! | [`image`] | what a stick begins with |
//! | [`history`], [`judge`] | what happens to a stick, and what must hold then |
//! | [`trouble`] | what goes wrong that is no host's doing |
//! | [`explore`] | the tests: many histories |
//! | [`endurance`] | ten thousand prompts on one volume |
//! | [`refused`] | faults at each operation in turn |
//! | [`plain_device`] | the simplest device that keeps the rules, as a check of the hosts |
//! | [`without_device`] | the three alone: hosts are good hosts, cuts lose what they may |
//!
//! Everything is single-threaded; handles are clones of one `Rc`. What acts by itself has
//! `next_ms()`, when it wants to, and `step(now_ms)`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "numbers of known size"
)]

mod device;
mod disk;
mod endurance;
mod engine;
mod explore;
mod figures;
mod files;
mod gadget;
mod history;
mod host;
mod image;
mod judge;
mod plain_device;
mod process;
mod refused;
#[allow(dead_code, reason = "it has more for the other tests")]
#[path = "../support/tool.rs"]
mod tool;
mod trouble;
mod usb;
mod without_device;
mod world;
