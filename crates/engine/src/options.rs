//! Which model, and how much of the machine it may use.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::backend::Backend;

/// The context of a model whose file asks for more, when the caller leaves the choice (tokens).
/// A key/value cache of 2,048 tokens of a 135M model is about 45 MiB, a tenth of the board's
/// memory.
pub const DEFAULT_CONTEXT_CAP_TOKENS: u32 = 2_048;
/// Smallest context that is accepted: less has no room for a template and an answer.
pub const MIN_CONTEXT_TOKENS: u32 = 32;
/// Prompt tokens that are computed in one step. llama.cpp's buffers grow with it and speed on one
/// core does not, so it is small; a step can be aborted in the middle.
pub const DEFAULT_BATCH_TOKENS: u32 = 32;
/// Threads when the caller leaves the choice. The board has one processor, and models that fit it
/// are small: threads wait for each other by spinning after each operation, which on a busy
/// machine makes two of them many times slower than one.
pub const DEFAULT_THREADS: u32 = 1;
/// Most threads that are ever used.
pub const MAX_THREADS: u32 = 64;

/// Which model, and how much of the machine it may use. A change of any field loads it anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelOptions {
    /// The GGUF file.
    pub path: PathBuf,
    /// Context in tokens; 0 means the model's own, at most [`DEFAULT_CONTEXT_CAP_TOKENS`]. More
    /// than the model was trained on is lowered to that.
    pub context_tokens: u32,
    /// Threads that compute; 0 means [`DEFAULT_THREADS`].
    pub threads: u32,
    /// Prompt tokens in one step; 0 means [`DEFAULT_BATCH_TOKENS`].
    #[serde(default)]
    pub batch_tokens: u32,
    /// What computes.
    #[serde(default)]
    pub backend: Backend,
}

impl ModelOptions {
    /// A model with the defaults for all else.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            context_tokens: 0,
            threads: 0,
            batch_tokens: 0,
            backend: Backend::DEFAULT,
        }
    }

    /// The context in tokens for a model that was trained on `trained_tokens` (0: not known).
    #[must_use]
    pub fn effective_context_tokens(&self, trained_tokens: u32) -> u32 {
        let asked = match (self.context_tokens, trained_tokens) {
            (0, 0) => DEFAULT_CONTEXT_CAP_TOKENS,
            (0, trained) => trained.min(DEFAULT_CONTEXT_CAP_TOKENS),
            (asked, 0) => asked,
            (asked, trained) => asked.min(trained),
        };
        asked.max(MIN_CONTEXT_TOKENS)
    }

    /// Prompt tokens in one step, never more than the context.
    #[must_use]
    pub fn effective_batch_tokens(&self, context_tokens: u32) -> u32 {
        let asked = if self.batch_tokens == 0 {
            DEFAULT_BATCH_TOKENS
        } else {
            self.batch_tokens
        };
        asked.min(context_tokens).max(1)
    }

    /// Threads that compute.
    #[must_use]
    pub fn effective_threads(&self) -> u32 {
        let asked = if self.threads == 0 {
            DEFAULT_THREADS
        } else {
            self.threads
        };
        asked.clamp(1, MAX_THREADS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_is_the_models_own_up_to_the_cap() {
        let with = |context_tokens| ModelOptions {
            context_tokens,
            ..ModelOptions::new("m")
        };
        assert_eq!(with(0).effective_context_tokens(256), 256);
        assert_eq!(
            with(0).effective_context_tokens(8192),
            DEFAULT_CONTEXT_CAP_TOKENS
        );
        assert_eq!(with(512).effective_context_tokens(256), 256);
        assert_eq!(with(4096).effective_context_tokens(8192), 4096);
        assert_eq!(with(1).effective_context_tokens(0), MIN_CONTEXT_TOKENS);
    }
}
