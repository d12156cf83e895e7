//! What a stranger can hand to the stick, as functions over arbitrary bytes, each with the
//! assertions that must hold whatever they are: the fuzz targets.
//!
//! `fuzz_targets/` makes a program of clang's fuzzing engine of each (`cargo xtask fuzz`);
//! `tests/replay.rs` runs them over `corpus/` and over mutations of it, with the ordinary compiler,
//! and `tests/hostile/` builds the worst volumes for the reader's budget. An input is the
//! target's own short notation (a base image and what is changed in it), so that a corpus is some
//! kilobytes and most mutations mean something.

pub mod alloc;
pub mod base;
pub mod budget;
mod gguf_target;
pub mod image;
pub mod input;
mod journal;
mod ledger;
pub mod metered;
mod names;
mod prompts;
mod reader;
mod repair;
mod settings;
mod state_disk;

pub use gguf_target::gguf_header;
pub use journal::journal;
pub use ledger::ledger;
pub use names::long_name;
pub use prompts::prompt;
pub use reader::{fat_changing, fat_image, read_everything};
pub use repair::fat_repair;
pub use settings::settings;

/// A function that any bytes may be given to, and the name of its corpus and its program.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As on the command line.
    pub name: &'static str,
    /// Panics where something does not hold.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 9] = [
    target("fat_image", fat_image),
    target("fat_changing", fat_changing),
    target("fat_repair", fat_repair),
    target("long_name", long_name),
    target("prompt", prompt),
    target("settings", settings),
    target("journal", journal),
    target("ledger", ledger),
    target("gguf_header", gguf_header),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}
