//! Choosing the next token.
//!
//! Order: top-k, repeat penalty, top-p, min-p, temperature, draw. Top-k comes first because all
//! others then work on a few dozen candidates and not on the whole vocabulary (29 million cycles
//! a token on the board with 49 k tokens, 1 million with top-k first).
//!
//! With a grammar the choice is made without it and checked; only when the check fails is the
//! grammar applied to the whole vocabulary and the choice made again. Both are exact.

use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;

use crate::error::Failure;
use crate::grammar;
use crate::llama::{Context, Model};
use crate::request::Sampling;
use crate::utf8::Utf8Decoder;

/// Tokens of the response that the repeat penalty looks back on.
pub const PENALTY_TOKENS: i32 = 64;
/// Candidates that top-p and min-p leave at least.
const MIN_KEEP: usize = 1;

/// The samplers of one request.
#[derive(Debug)]
pub struct Sampler {
    chain: LlamaSampler,
    grammar: Option<LlamaSampler>,
    candidates: LlamaTokenDataArray,
}

impl Sampler {
    /// Prepares for a request.
    ///
    /// # Errors
    /// [`Failure::Compute`] when llama.cpp does not take the grammar.
    pub fn new(model: &Model, sampling: &Sampling, json: bool) -> Result<Self, Failure> {
        let grammar = json
            .then(|| LlamaSampler::grammar(model.inner(), &grammar::json(), grammar::ROOT))
            .transpose()
            .map_err(|error| Failure::Compute {
                why: error.to_string(),
            })?;
        let candidates = LlamaTokenDataArray::new(Vec::new(), false);
        Ok(Self {
            chain: chain(model, sampling),
            grammar,
            candidates,
        })
    }

    /// Chooses from the logits of the last token; `None` when nothing is allowed to follow:
    /// a JSON value is complete then, or the vocabulary lacks what it needs.
    ///
    /// # Errors
    /// [`Failure::Compute`] without logits.
    pub fn pick(
        &mut self,
        context: &Context<'_>,
        model: &Model,
        text_so_far: &Utf8Decoder,
    ) -> Result<Option<LlamaToken>, Failure> {
        context.candidates(&mut self.candidates)?;
        self.candidates.apply_sampler(&mut self.chain);
        let mut picked = self.candidates.selected_token();
        if let (Some(grammar), Some(token)) = (self.grammar.as_mut(), picked)
            && !is_allowed(grammar, model, text_so_far, token)
        {
            context.candidates(&mut self.candidates)?;
            self.candidates.apply_sampler(grammar);
            self.candidates.data.retain(|candidate| {
                candidate.logit() != f32::NEG_INFINITY
                    && is_text(model, text_so_far, candidate.id())
            });
            if self.candidates.data.is_empty() {
                return Ok(None);
            }
            self.candidates.apply_sampler(&mut self.chain);
            picked = self.candidates.selected_token();
        }
        if let Some(token) = picked {
            self.chain.accept(token);
            if let Some(grammar) = self.grammar.as_mut() {
                grammar.accept(token);
            }
        }
        Ok(picked)
    }
}

fn is_allowed(
    grammar: &mut LlamaSampler,
    model: &Model,
    text_so_far: &Utf8Decoder,
    token: LlamaToken,
) -> bool {
    let mut one = LlamaTokenDataArray::new(vec![LlamaTokenData::new(token, 0.0, 0.0)], false);
    one.apply_sampler(grammar);
    one.data
        .first()
        .is_some_and(|candidate| candidate.logit() != f32::NEG_INFINITY)
        && is_text(model, text_so_far, token)
}

/// Ends are always possible; other tokens must go on with valid UTF-8.
fn is_text(model: &Model, text_so_far: &Utf8Decoder, token: LlamaToken) -> bool {
    model.is_end(token) || text_so_far.accepts(&model.token_bytes(token))
}

fn chain(model: &Model, sampling: &Sampling) -> LlamaSampler {
    let mut parts = Vec::new();
    if sampling.top_k > 0 {
        parts.push(LlamaSampler::top_k(
            i32::try_from(sampling.top_k).unwrap_or(i32::MAX),
        ));
    }
    // Exactly 1 is the value that means "off"; it is never computed.
    #[expect(clippy::float_cmp)]
    if sampling.repeat_penalty != 1.0 {
        let vocabulary = model.inner().n_vocab();
        let penalty = sampling.repeat_penalty;
        parts.push(LlamaSampler::penalties(
            vocabulary,
            PENALTY_TOKENS,
            penalty,
            0.0,
            0.0,
        ));
    }
    if sampling.temperature <= 0.0 {
        parts.push(LlamaSampler::greedy());
    } else {
        parts.push(LlamaSampler::top_p(sampling.top_p, MIN_KEEP));
        parts.push(LlamaSampler::min_p(sampling.min_p, MIN_KEEP));
        parts.push(LlamaSampler::temp(sampling.temperature));
        parts.push(LlamaSampler::dist(sampling.seed));
    }
    LlamaSampler::chain(parts, true)
}
