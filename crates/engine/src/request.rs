//! What is asked: plain data, shared by both sides of the pipe.
//!
//! A [`Request`] is validated ([`Request::validate`]) before a token is computed; the bounds are
//! named constants here and stated in SPEC.md.

use serde::{Deserialize, Serialize};

use crate::error::Failure;

/// Most stop strings in a request.
pub const MAX_STOP_STRINGS: usize = 16;
/// Longest stop string.
pub const MAX_STOP_BYTES: usize = 256;
/// Room for a response that a prompt must leave in the context.
pub const MIN_RESPONSE_TOKENS: u32 = 16;
const MAX_TEMPERATURE: f32 = 100.0;
const MAX_REPEAT_PENALTY: f32 = 10.0;

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
    /// The response ends before the first of these; they are never part of it. Not used with
    /// `json`.
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

#[cfg(test)]
mod tests {
    use super::*;

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
