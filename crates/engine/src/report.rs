//! What comes back: figures of a model and of a response, and the events of a running request.
//! Plain data, shared by both sides of the pipe.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::error::Failure;
use crate::fit::MemoryNeed;

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
    pub need: MemoryNeed,
    /// What computes. Before it is loaded, what was asked for.
    pub backend: Backend,
    /// How prompts are put to it. Before it is loaded, `Chat` means only that there is a template.
    pub prompt_style: PromptStyle,
}

/// Why a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model ended it (with `json`: the value is complete, which was checked).
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
/// resident, `Started`, any number of `Prefilled`, then of `Text`, then exactly one of `Finished`
/// and `Failed`.
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
    /// More of the prompt has been computed.
    Prefilled {
        /// Tokens so far, of those in `Started`.
        tokens: u32,
    },
    /// More of the response; never empty, never part of a character.
    Text(String),
    /// The response is complete.
    Finished(Summary),
    /// There is no response, or what came before is all there will be.
    Failed(Failure),
}
