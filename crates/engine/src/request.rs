//! What is asked and what comes back: plain data, shared by both sides of the pipe.
//!
//! A [`Request`] is validated ([`Request::validate`]) before a token is computed; the bounds are
//! named constants here and stated in SPEC.md.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::Failure;

/// The context of a model whose file asks for more, when the caller leaves the choice (tokens).
/// A key/value cache of 2,048 tokens of a 135M model is about 45 MiB, a tenth of the board's memory.
pub const DEFAULT_CONTEXT_CAP_TOKENS: u32 = 2_048;
/// Smallest context that is accepted: less has no room for a template and an answer.
pub const MIN_CONTEXT_TOKENS: u32 = 32;
/// Prompt tokens that are computed in one step. llama.cpp's buffers grow with it and speed on one
/// core does not, so it is small; a step can be aborted in the middle.
pub const DEFAULT_BATCH_TOKENS: u32 = 32;
/// Most stop strings in a request.
pub const MAX_STOP_STRINGS: usize = 16;
/// Longest stop string.
pub const MAX_STOP_BYTES: usize = 256;
/// Room for a response that a prompt must leave in the context.
pub const MIN_RESPONSE_TOKENS: u32 = 16;
/// Most threads that are ever used.
pub const MAX_THREADS: u32 = 64;
const MAX_TEMPERATURE: f32 = 100.0;
const MAX_REPEAT_PENALTY: f32 = 10.0;

/// Which model, and how much of the machine it may use. A change of any field loads it anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelOptions {
    /// The GGUF file.
    pub path: PathBuf,
    /// Context in tokens; 0 means the model's own, at most [`DEFAULT_CONTEXT_CAP_TOKENS`]. More than
    /// the model was trained on is lowered to that.
    pub context_tokens: u32,
    /// Threads that compute; 0 means one for each processor.
    pub threads: u32,
    /// Prompt tokens in one step; 0 means [`DEFAULT_BATCH_TOKENS`].
    #[serde(default)]
    pub batch_tokens: u32,
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
            std::thread::available_parallelism()
                .map_or(1, |n| u32::try_from(n.get()).unwrap_or(MAX_THREADS))
        } else {
            self.threads
        };
        asked.clamp(1, MAX_THREADS)
    }
}

/// One prompt and how to answer it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What the user wrote. White space at its end is dropped (with a chat template, at its
    /// beginning too). Text that looks like a control token is text.
    pub prompt: String,
    /// Instructions before the prompt.
    pub system: Option<String>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Most tokens in the response.
    pub max_tokens: u32,
    /// The response ends before the first of these; they are never part of it. Not used with `json`.
    pub stop: Vec<String>,
    /// The response is one JSON value.
    pub json: bool,
}

impl Request {
    /// Most tokens of a response when the caller has no opinion.
    pub const DEFAULT_MAX_TOKENS: u32 = 256;

    /// A prompt with the defaults for all else.
    #[must_use]
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            system: None,
            sampling: Sampling::default(),
            max_tokens: Self::DEFAULT_MAX_TOKENS,
            stop: Vec::new(),
            json: false,
        }
    }

    /// Checks every bound that does not need the model.
    ///
    /// # Errors
    /// [`Failure::EmptyPrompt`], or [`Failure::BadRequest`] naming the value and its range.
    pub fn validate(&self) -> Result<(), Failure> {
        if self.prompt.trim().is_empty() {
            return Err(Failure::EmptyPrompt);
        }
        let bad = |why: String| Err(Failure::BadRequest { why });
        if self.max_tokens == 0 {
            return bad("max_tokens is 0, at least 1 is needed".into());
        }
        if self.stop.len() > MAX_STOP_STRINGS {
            return bad(format!(
                "{} stop strings, at most {MAX_STOP_STRINGS}",
                self.stop.len()
            ));
        }
        if self
            .stop
            .iter()
            .any(|stop| stop.is_empty() || stop.len() > MAX_STOP_BYTES)
        {
            return bad(format!("a stop string has 1 to {MAX_STOP_BYTES} bytes"));
        }
        self.sampling.validate()
    }
}

/// How the next token is chosen from the model's probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// 0 takes the most probable token; higher is more varied.
    pub temperature: f32,
    /// Only the most probable tokens are considered; 0 means all (slow on the board).
    pub top_k: u32,
    /// Only the smallest set of tokens with this total probability; 1 means all.
    pub top_p: f32,
    /// Only tokens with at least this share of the best one's probability; 0 means all.
    pub min_p: f32,
    /// How much less probable a token of the last 64 becomes; 1 means not at all.
    pub repeat_penalty: f32,
    /// The same seed, prompt and model give the same response on the same machine.
    pub seed: u32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_k: 40,
            top_p: 0.9,
            min_p: 0.05,
            repeat_penalty: 1.1,
            seed: 0,
        }
    }
}

impl Sampling {
    /// Always the most probable token, nothing penalised.
    #[must_use]
    pub fn greedy() -> Self {
        Self {
            temperature: 0.0,
            top_k: 1,
            top_p: 1.0,
            min_p: 0.0,
            repeat_penalty: 1.0,
            seed: 0,
        }
    }

    fn validate(&self) -> Result<(), Failure> {
        let ranges = [
            ("temperature", self.temperature, 0.0, MAX_TEMPERATURE),
            ("top_p", self.top_p, 0.0, 1.0),
            ("min_p", self.min_p, 0.0, 1.0),
            (
                "repeat_penalty",
                self.repeat_penalty,
                f32::MIN_POSITIVE,
                MAX_REPEAT_PENALTY,
            ),
        ];
        for (name, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                let why = format!("{name} is {value}, it may be {low} to {high}");
                return Err(Failure::BadRequest { why });
            }
        }
        Ok(())
    }
}

/// How a prompt is put to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptStyle {
    /// Through the chat template in the file.
    Chat,
    /// As it is: the file has no chat template, so the model goes on with the text.
    Plain,
    /// As it is: the file has a chat template that llama.cpp does not know.
    PlainUnknownTemplate,
}

/// Tensors of one type in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorTypeUse {
    /// ggml's name of the type, such as `Q8_0`.
    pub name: String,
    /// How many tensors.
    pub tensors: u32,
    /// How many weights in them.
    pub parameters: u64,
    /// Their size in the file.
    pub bytes: u64,
}

/// What a model file holds and what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// The name in the file, else the file's own name.
    pub name: String,
    /// llama.cpp's name of the architecture, such as `llama`.
    pub architecture: String,
    /// The type that most weights have, such as `Q4_0`.
    pub quantisation: String,
    /// All types, the largest first.
    pub tensor_types: Vec<TensorTypeUse>,
    /// Size of the file.
    pub file_bytes: u64,
    /// Number of weights.
    pub parameters: u64,
    /// Tokens in the vocabulary.
    pub vocabulary_tokens: u32,
    /// Context that is or would be used (tokens).
    pub context_tokens: u32,
    /// Context that the model was trained on (tokens); 0 when the file does not say.
    pub train_context_tokens: u32,
    /// Memory needed in all, as [`crate::fit`] estimates it.
    pub needed_bytes: u64,
    /// The same in its parts.
    pub need: crate::fit::MemoryNeed,
    /// How prompts are put to it. Before it is loaded, `Chat` means only that there is a template.
    pub prompt_style: PromptStyle,
}

/// Why a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model ended it (with `json`: the value is complete).
    EndOfText,
    /// A stop string was met.
    Stop,
    /// Cut: `max_tokens` were generated. With `json` the text is not a whole value.
    MaxTokens,
    /// Cut: the context is full. With `json` the text is not a whole value.
    ContextFull,
}

/// Counts and times of one response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the prompt with its template.
    pub prompt_tokens: u32,
    /// Tokens generated.
    pub response_tokens: u32,
    /// Time to compute the prompt.
    pub prefill_ms: f64,
    /// Time to generate the response.
    pub decode_ms: f64,
    /// Time to load the model for this request; 0 when it was resident.
    pub load_ms: f64,
}

impl Summary {
    /// Tokens generated per second; 0 when there is nothing to measure.
    #[must_use]
    pub fn tokens_per_second(&self) -> f64 {
        const MS_PER_SECOND: f64 = 1_000.0;
        if self.decode_ms > 0.0 {
            f64::from(self.response_tokens) * MS_PER_SECOND / self.decode_ms
        } else {
            0.0
        }
    }
}

/// What a running request reports, in this order: `Loading` and `Loaded` when the model was not
/// resident, `Started`, any number of `Text`, then exactly one of `Finished` and `Failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Event {
    /// A model is being loaded.
    Loading {
        /// The file.
        path: PathBuf,
        /// Its size.
        file_bytes: u64,
    },
    /// It is loaded.
    Loaded(ModelInfo),
    /// The prompt was accepted and its computation begins.
    Started {
        /// Its length in tokens, with its template.
        prompt_tokens: u32,
    },
    /// More of the response; never empty, never part of a character.
    Text(String),
    /// The response is complete.
    Finished(Summary),
    /// There is no response, or what came before is all there will be.
    Failed(Failure),
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

    #[test]
    fn requests_out_of_range_are_named() {
        let mut request = Request::new("hello");
        assert_eq!(request.validate(), Ok(()));
        request.sampling.temperature = f32::NAN;
        assert!(
            request
                .validate()
                .unwrap_err()
                .to_string()
                .contains("temperature")
        );
        request = Request::new(" \n");
        assert_eq!(request.validate(), Err(Failure::EmptyPrompt));
        request = Request::new("x");
        request.stop = vec![String::new()];
        assert!(
            request
                .validate()
                .unwrap_err()
                .to_string()
                .contains("stop string")
        );
        request.stop = vec!["a".into(); MAX_STOP_STRINGS + 1];
        assert!(request.validate().is_err());
    }
}
