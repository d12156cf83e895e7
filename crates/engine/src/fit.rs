//! How much memory a model needs, estimated from its header before anything is loaded.
//!
//! ```text
//! weights  = bytes of the file (mapped; every page is read for every token, so it must stay)
//! packed   = with the backend armv6: its own form of the matrices that it takes, which then do not
//!            count among the mapped weights
//! kv       = sum of kv heads over the layers x (key width + value width) x 2 bytes (f16)
//!            x context rounded up to 256, plus recurrent state x layers x 4 bytes
//! buffers  = logits: vocabulary x 4 x 2 (graph and copy out) + sampling: vocabulary x 12
//!            + batch x 4 x (6 x embedding + 3 x feed forward + 2 x heads x (key + value width))
//!            + mask: batch x context x 6 + graph and scheduler: 512 x (64 x layers + 1024)
//! overhead = 16 MiB (program, libraries, stacks, allocator)
//!            + vocabulary x 192 + its bytes x 3 + merges x 224 (llama.cpp's token tables)
//! ```
//! Where from: `llama_kv_cache` (f16, `GGML_PAD(n_ctx, 256)`), `llama_context::sched_reserve` and
//! `llm_graph_context` in llama.cpp; attention is the flash kind, so there is no product of queries
//! and keys of the whole context. The constants of the last two lines were fitted to the peak
//! memory of models of several shapes; `tests/engine/fit.rs` holds the estimate against reality.

use std::path::Path;

use gguf::foreign_text;
use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::error::Failure;
use crate::gguf::{Card, GgufError, read_card};
use crate::memory::MOST_PROCESS_BYTES;
use crate::options::ModelOptions;
use crate::report::{ModelInfo, PromptStyle, TensorTypeUse};

/// Memory of a Raspberry Pi Zero W.
pub const PI_ZERO_W_BYTES: u64 = 512 << 20;
/// What of it is not there for a model: 64 MiB that the firmware gives the GPU by default, and
/// about as much for the kernel, systemd, the daemon and a working page cache. A planning figure,
/// not measured on a board.
pub const PI_ZERO_W_SYSTEM_BYTES: u64 = 128 << 20;

/// `llama_context` rounds the context up to a multiple of this.
const CONTEXT_STEP_TOKENS: u64 = 256;
const F16_BYTES: u64 = 2;
const F32_BYTES: u64 = 4;
/// `sizeof(llama_token_data)`.
const CANDIDATE_BYTES: u64 = 12;
const GRAPH_NODE_BYTES: u64 = 512;
const GRAPH_NODES_PER_LAYER: u64 = 64;
const GRAPH_NODES_BASE: u64 = 1_024;
const BASE_OVERHEAD_BYTES: u64 = 16 << 20;
const TOKEN_TABLE_BYTES: u64 = 192;
const TOKEN_TEXT_COPIES: u64 = 3;
const MERGE_TABLE_BYTES: u64 = 224;

/// An estimate of memory, in its parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryNeed {
    /// What is needed of the mapped file.
    pub weights_bytes: u64,
    /// Weights in a form of their own, which is not the file's ([`Backend::Armv6`]).
    #[serde(default)]
    pub packed_bytes: u64,
    /// Key/value cache and recurrent state.
    pub kv_bytes: u64,
    /// Buffers of a computation step.
    pub buffers_bytes: u64,
    /// The program and llama.cpp's tables.
    pub overhead_bytes: u64,
}

impl MemoryNeed {
    /// All of it.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.weights_bytes.saturating_add(self.private_bytes())
    }

    /// What is not backed by the file: counted by `RLIMIT_DATA`.
    #[must_use]
    pub fn private_bytes(&self) -> u64 {
        self.kv_bytes
            .saturating_add(self.packed_bytes)
            .saturating_add(self.buffers_bytes)
            .saturating_add(self.overhead_bytes)
    }

    /// The estimate for a context and a batch (tokens). Saturates; every figure of a card is
    /// bounded.
    #[must_use]
    pub fn estimate(card: &Card, context_tokens: u32, batch_tokens: u32, backend: Backend) -> Self {
        let context = u64::from(context_tokens).next_multiple_of(CONTEXT_STEP_TOKENS);
        let batch = u64::from(batch_tokens);
        let layers = u64::from(card.layers);
        let vocabulary = u64::from(card.vocabulary);
        let head_width = u64::from(card.key_width) + u64::from(card.value_width);
        let activations = 6 * u64::from(card.embedding)
            + 3 * u64::from(card.feed_forward)
            + (2 * u64::from(card.heads)).saturating_mul(head_width);
        let kv_bytes = product(&[card.kv_heads_all_layers, head_width, F16_BYTES, context])
            .saturating_add(product(&[card.recurrent_state, layers, F32_BYTES]));
        let buffers_bytes = vocabulary * (2 * F32_BYTES + CANDIDATE_BYTES)
            + GRAPH_NODE_BYTES * (GRAPH_NODES_PER_LAYER * layers + GRAPH_NODES_BASE);
        Self {
            weights_bytes: backend.mapped_bytes(card),
            packed_bytes: backend.packed_bytes(card),
            kv_bytes,
            buffers_bytes: buffers_bytes
                .saturating_add(product(&[batch, F32_BYTES, activations]))
                .saturating_add(product(&[batch, context, F32_BYTES + F16_BYTES])),
            overhead_bytes: BASE_OVERHEAD_BYTES
                .saturating_add(vocabulary * TOKEN_TABLE_BYTES)
                .saturating_add(card.vocabulary_bytes.saturating_mul(TOKEN_TEXT_COPIES))
                .saturating_add(card.merges.saturating_mul(MERGE_TABLE_BYTES)),
        }
    }

    /// Refuses what does not fit.
    ///
    /// # Errors
    /// [`Failure::DoesNotFit`] with both numbers.
    pub fn check(&self, available_bytes: u64) -> Result<(), Failure> {
        let needed_bytes = self.total_bytes();
        if needed_bytes > available_bytes {
            return Err(Failure::DoesNotFit {
                needed_bytes,
                available_bytes,
            });
        }
        Ok(())
    }
}

/// Refuses what does not fit the addresses of a process, where these are few: the whole file is
/// mapped, also what is packed and then not needed of it.
///
/// # Errors
/// [`Failure::DoesNotFit`] with both numbers.
pub fn check_addresses(info: &ModelInfo) -> Result<(), Failure> {
    let mapped = MemoryNeed {
        weights_bytes: info.file_bytes,
        ..info.need
    };
    mapped.check(MOST_PROCESS_BYTES)
}

fn product(factors: &[u64]) -> u64 {
    factors
        .iter()
        .fold(1, |product, &n| product.saturating_mul(n))
}

/// Reads a model file's header and says what the model is and needs. Never gives the file to
/// llama.cpp; safe for any file.
///
/// # Errors
/// [`Failure::ModelMissing`] or [`Failure::ModelUnreadable`].
pub fn inspect(options: &ModelOptions) -> Result<ModelInfo, Failure> {
    let card = read_card(&options.path).map_err(|error| unreadable(&options.path, &error))?;
    Ok(model_info(&card, options))
}

fn unreadable(path: &Path, error: &GgufError) -> Failure {
    match error {
        GgufError::Io(io) if io.kind() == std::io::ErrorKind::NotFound => Failure::ModelMissing {
            path: path.to_owned(),
        },
        _ => Failure::ModelUnreadable {
            why: error.to_string(),
        },
    }
}

fn model_info(card: &Card, options: &ModelOptions) -> ModelInfo {
    let context_tokens = options.effective_context_tokens(card.context_tokens);
    let batch_tokens = options.effective_batch_tokens(context_tokens);
    let need = MemoryNeed::estimate(card, context_tokens, batch_tokens, options.backend);
    let file_stem = || {
        options
            .path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    ModelInfo {
        name: foreign_text(&card.name.clone().unwrap_or_else(file_stem)),
        architecture: foreign_text(&card.architecture),
        quantisation: card.types.first().map_or("none", |t| t.name).to_owned(),
        tensor_types: card
            .types
            .iter()
            .map(|known| TensorTypeUse {
                name: known.name.to_owned(),
                tensors: known.tensors,
                parameters: known.parameters,
                bytes: known.bytes,
            })
            .collect(),
        file_bytes: card.file_bytes,
        parameters: card.parameters,
        vocabulary_tokens: card.vocabulary,
        context_tokens,
        train_context_tokens: card.context_tokens,
        needed_bytes: need.total_bytes(),
        need,
        backend: options.backend,
        prompt_style: if card.has_chat_template {
            PromptStyle::Chat
        } else {
            PromptStyle::Plain
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::Packing;

    /// The figures of `SmolLM2-135M` as its file gives them.
    fn smollm2() -> Card {
        Card {
            architecture: "llama".into(),
            name: None,
            file_bytes: 145 << 20,
            tensor_bytes: 143 << 20,
            parameters: 134_515_008,
            types: Vec::new(),
            context_tokens: 8_192,
            layers: 30,
            embedding: 576,
            feed_forward: 1_536,
            heads: 9,
            kv_heads_all_layers: 90,
            key_width: 64,
            value_width: 64,
            recurrent_state: 0,
            vocabulary: 49_152,
            vocabulary_bytes: 400_000,
            merges: 48_900,
            has_chat_template: true,
            has_output: false,
            packing: Packing {
                file_bytes: 143 << 20,
                packed_bytes: 151 << 20,
            },
        }
    }

    #[test]
    fn key_value_cache_of_a_known_model() {
        // llama.cpp says 45.00 MiB for 2,048 tokens: 30 layers, 3 kv heads, 2 x 64 wide, f16.
        let need = MemoryNeed::estimate(&smollm2(), 2_048, 32, Backend::Cpu);
        assert_eq!(need.kv_bytes, 45 << 20);
        assert!(need.total_bytes() < PI_ZERO_W_BYTES - PI_ZERO_W_SYSTEM_BYTES);
    }

    #[test]
    fn packed_weights_are_private_and_their_place_in_the_file_is_not_needed() {
        let cpu = MemoryNeed::estimate(&smollm2(), 2_048, 32, Backend::Cpu);
        let armv6 = MemoryNeed::estimate(&smollm2(), 2_048, 32, Backend::Armv6);
        assert_eq!(armv6.weights_bytes, 2 << 20);
        assert_eq!(armv6.private_bytes(), cpu.private_bytes() + (151 << 20));
        assert_eq!(armv6.total_bytes(), cpu.total_bytes() + (8 << 20));
    }

    #[test]
    fn a_refusal_has_both_numbers() {
        let need = MemoryNeed::estimate(&smollm2(), 2_048, 32, Backend::Cpu);
        let needed_bytes = need.total_bytes();
        assert_eq!(need.check(needed_bytes), Ok(()));
        let available_bytes = needed_bytes - 1;
        let refusal = Failure::DoesNotFit {
            needed_bytes,
            available_bytes,
        };
        assert_eq!(need.check(available_bytes), Err(refusal));
    }

    #[test]
    fn absurd_figures_saturate() {
        let mut card = smollm2();
        card.kv_heads_all_layers = u64::MAX;
        card.recurrent_state = u64::MAX;
        card.merges = u64::MAX;
        let need = MemoryNeed::estimate(&card, u32::MAX, u32::MAX, Backend::Armv6);
        assert_eq!(need.total_bytes(), u64::MAX);
    }
}
