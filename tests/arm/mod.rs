//! The builds for the Pi Zero W, as `cargo xtask build-pi` leaves them: that they hold nothing
//! which its core or its system does not have, and that on an emulated ARM1176 they do what the
//! program does here. An emulated core shows which instructions run and what they compute. It
//! shows nothing of the board's speed.

mod answers;
mod board;
mod disassembly;
mod instructions;
mod libraries;
mod mnemonics;
mod traps;
