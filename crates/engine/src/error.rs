//! What can go wrong, in the words that a person reads.
//!
//! [`Failure`] is about one request: it crosses the pipe from the child and ends in an error file
//! or on the terminal. [`EngineError`] is about the caller's use of a [`crate::Worker`].

use std::path::{Path, PathBuf};

use gguf::foreign_text;
use serde::{Deserialize, Serialize};

/// Why a request has no (whole) response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Failure {
    /// The prompt with its template does not fit the context.
    #[error("the prompt is {tokens} tokens long, the model takes {limit_tokens}; shorten it")]
    TooLong {
        /// Tokens of the prompt, the system prompt and the chat template together.
        tokens: u32,
        /// The most that would have been accepted.
        limit_tokens: u32,
    },
    /// Nothing to answer.
    #[error("the prompt is empty; write something into it")]
    EmptyPrompt,
    /// A value of the request is out of range.
    #[error("the request cannot be run: {why}")]
    BadRequest {
        /// Which value and its range.
        why: String,
    },
    /// There is no such model file.
    #[error(
        "there is no model file {}; copy it there or choose another model",
        file_name(path)
    )]
    ModelMissing {
        /// Where it was looked for. The message has the name only: it may be read on the host.
        path: PathBuf,
    },
    /// The file is damaged, or not a model that llama.cpp runs.
    #[error("the model file cannot be used: {why}; copy it again or choose another model")]
    ModelUnreadable {
        /// What is wrong with it.
        why: String,
    },
    /// The fit check refused the model.
    #[error("{}", does_not_fit(*needed_bytes, *available_bytes))]
    DoesNotFit {
        /// Weights, key/value cache, buffers and tables.
        needed_bytes: u64,
        /// What [`crate::memory`] found, at most the worker's own limit.
        available_bytes: u64,
    },
    /// Memory ran out although the fit check passed.
    #[error("memory ran out while the model was answering; choose a smaller model or context")]
    OutOfMemory,
    /// The child process ended by itself.
    #[error("the model stopped: {how}; if it happens again, choose another model")]
    Crashed {
        /// How the process ended.
        how: ChildEnd,
    },
    /// The child process has not said anything for too long, so it was ended.
    #[error("the model did nothing for {seconds} s and was stopped; choose a smaller model")]
    Stuck {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The child process could not be started or does not answer as it should.
    #[error("the model's process cannot be used: {why}; restart the stick")]
    Worker {
        /// What happened.
        why: String,
    },
    /// llama.cpp reported an error while computing.
    #[error("the model failed while computing: {why}; try again or choose another model")]
    Compute {
        /// llama.cpp's words or code.
        why: String,
    },
}

/// How a child process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildEnd {
    /// By a signal (its number).
    Signal(i32),
    /// By an exit status.
    Exit(i32),
    /// It closed its pipe, did not end, and was ended by its parent.
    ClosedPipe,
    /// Its status is not known.
    Unknown,
}

impl std::fmt::Display for ChildEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ChildEnd::Signal(libc::SIGKILL) => {
                write!(
                    f,
                    "killed by signal {}, as happens when memory runs out",
                    libc::SIGKILL
                )
            }
            ChildEnd::Signal(libc::SIGSEGV | libc::SIGBUS) => write!(f, "a bad memory access"),
            ChildEnd::Signal(libc::SIGABRT) => write!(f, "it gave up (abort)"),
            ChildEnd::Signal(signal) => write!(f, "ended by signal {signal}"),
            ChildEnd::Exit(code) => write!(f, "exit status {code}"),
            ChildEnd::ClosedPipe => {
                write!(f, "it closed its pipe, did not end, and was ended")
            }
            ChildEnd::Unknown => write!(f, "how is not known"),
        }
    }
}

/// A call that cannot be carried out; nothing was changed by it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A request is already running; a worker runs one at a time.
    #[error("the model is already answering a prompt; wait for it or cancel it")]
    Busy,
    /// The request is larger than a frame may be.
    #[error("the request is too large: {bytes} bytes, at most {limit_bytes}")]
    RequestTooLarge {
        /// Size as it would be sent.
        bytes: usize,
        /// [`crate::wire::MAX_FRAME_BYTES`].
        limit_bytes: usize,
    },
    /// The request cannot be written as a frame.
    #[error("the request cannot be sent: {0}")]
    Encode(#[from] serde_json::Error),
}

fn file_name(path: &Path) -> String {
    foreign_text(&path.file_name().unwrap_or_default().to_string_lossy())
}

const BYTES_PER_MEBIBYTE: u64 = 1 << 20;

fn does_not_fit(needed_bytes: u64, available_bytes: u64) -> String {
    format!(
        "the model needs {} MiB of memory and {} MiB are available; choose a smaller model or a \
         smaller context",
        mebibytes_up(needed_bytes),
        mebibytes_down(available_bytes),
    )
}

fn mebibytes_up(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_MEBIBYTE)
}

fn mebibytes_down(bytes: u64) -> u64 {
    bytes / BYTES_PER_MEBIBYTE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_never_rounds_to_equal_numbers() {
        let failure = Failure::DoesNotFit {
            needed_bytes: (5 << 20) + 1,
            available_bytes: (5 << 20) - 1,
        };
        assert!(
            failure
                .to_string()
                .contains("needs 6 MiB of memory and 4 MiB")
        );
    }

    #[test]
    fn a_missing_model_is_named_without_the_devices_folders() {
        let failure = Failure::ModelMissing {
            path: "/var/lib/some\nwhere/mo\u{1b}del.gguf".into(),
        };
        let text = failure.to_string();
        assert!(text.contains("model file mo del.gguf;"), "{text}");
        assert!(!text.contains("var"), "{text}");
    }

    #[test]
    fn failures_survive_the_pipe() {
        for failure in [
            Failure::TooLong {
                tokens: 9,
                limit_tokens: 8,
            },
            Failure::Crashed {
                how: ChildEnd::Signal(9),
            },
            Failure::OutOfMemory,
        ] {
            let bytes = serde_json::to_vec(&failure).unwrap();
            assert_eq!(serde_json::from_slice::<Failure>(&bytes).unwrap(), failure);
        }
    }
}
