//! The steps that scenarios share: the daemon with its drive on the bus, what a host does with the
//! drive, and what may be asked of the stick.
//!
//! | Module | Steps |
//! |---|---|
//! | [`serve`] | the daemon is configured and started, and leaves no process behind |
//! | [`log`] | what its log says |
//! | [`plugged`] | it runs, and a host has found its drive |
//! | [`volume`] | the host mounts the drives, copies prompts and reads responses |
//! | [`units`] | what the daemon's gadget has in its units |
//! | [`responses`] | what must be on the stick at the end |
//! | [`writer`] | a program of the host's that writes all the while |
//! | [`board`] | a processor that is as slow as a small board's |

mod board;
pub mod log;
mod plugged;
mod responses;
mod serve;
mod units;
mod volume;
mod writer;

pub use board::SlowBoard;
pub use plugged::Plugged;
pub use responses::{
    ensure_answered_once, ensure_expected, ensure_on_stick, expected_response, on_stick,
    response_name,
};
pub use serve::{
    arguments, configure, ensure_none_lives, serve, serve_image, serve_watched_with, serve_with,
};
pub use units::{GADGET_NAME, inserted, polite_eject};
pub use volume::{
    answers, ask, format_with_prompt, make_history, mounted, remounted_with, response_on,
};
pub use writer::Writer;

use std::time::Duration;

/// From a prompt to its response under emulation on a machine that is shared, with all waiting
/// times of the protocol.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(240);

/// Longer than a medium takes to be noticed, to leave, to be missed and to come back.
pub const SWAP_LIMIT: Duration = Duration::from_secs(60);

/// Far longer than the daemon's waiting times: whatever it would do by itself it has done by then.
pub const QUIET_WATCH: Duration = Duration::from_secs(15);

/// Questions that the model in the guest knows.
pub const QUESTIONS: [&[u8]; 3] = [
    b"How do I use this stick?",
    b"What is the capital of France?",
    b"Who are you?",
];

/// The usual one.
pub const QUESTION: &[u8] = QUESTIONS[0];

/// What makes the model write for long.
pub const STORY: &[u8] = b"One evening, a small fox found a silver key in the forest.";
