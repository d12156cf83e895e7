//! A deterministic simulation of the stick: disk, cable and hosts in memory, a virtual clock, and
//! all chance from one seed.
//!
//! | Module | What |
//! |---|---|
//! | [`device`], [`world`], [`engine`] | the real session, and what it runs in |
//! | [`disk`] | the device's storage, which loses power and fails |
//! | [`usb`] | the kernel's mass-storage gadget and the cable |
//! | [`host`] | computers that a stick is plugged into, and their users |
//! | [`history`], [`judge`] | what happens to a stick, and what must hold then |
//! | [`explore`] | the tests: many histories |
//! | [`endurance`] | ten thousand prompts on one volume |
//! | [`plain_device`] | the simplest device that keeps the rules, as a check of the hosts |
//! | [`without_device`] | the three alone: hosts are good hosts, cuts lose what they may |
//!
//! Everything is single-threaded; handles are clones of one `Rc`. What acts by itself has
//! `next_ms()`, when it wants to, and `step(now_ms)`.

#![allow(
    dead_code,
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "numbers of known size; not every module uses everything"
)]

mod device;
mod disk;
mod endurance;
mod engine;
mod explore;
mod figures;
mod history;
mod host;
mod journal;
mod judge;
mod plain_device;
#[path = "../support/tool.rs"]
mod tool;
mod usb;
mod without_device;
mod world;
