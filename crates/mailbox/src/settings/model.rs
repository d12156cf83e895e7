//! The settings themselves: values that have passed every check, and the limits they passed.
//!
//! Invariant: a `Settings` that came out of a parser is within these limits.

/// The most tokens of a response. On a Pi Zero that is already some hours.
pub const MAX_TOKENS_MAX: u32 = 4096;
/// The highest temperature; above it every model babbles.
pub const TEMPERATURE_MAX: f32 = 2.0;
/// The highest `top_k`; 0 turns it off.
pub const TOP_K_MAX: u32 = 1000;
/// The highest `top_p`, which turns it off.
pub const TOP_P_MAX: f32 = 1.0;
/// The highest `min_p`; 0 turns it off.
pub const MIN_P_MAX: f32 = 1.0;
/// The lowest `repeat_penalty`; 1 turns it off.
pub const REPEAT_PENALTY_MIN: f32 = 0.5;
/// The highest `repeat_penalty`.
pub const REPEAT_PENALTY_MAX: f32 = 2.0;
/// The highest seed; the next number means "draw one" to llama.cpp.
pub const SEED_MAX: u32 = crate::digest::RESERVED_SEED - 1;
/// The longest system prompt, in UTF-8.
pub const SYSTEM_LIMIT_BYTES: usize = 4096;
/// The most stop texts.
pub const STOP_MAX: usize = 8;
/// The longest stop text, in UTF-8.
pub const STOP_TEXT_LIMIT_BYTES: usize = 64;
/// The longest name of a model, as on any file system.
const MODEL_NAME_LIMIT_BYTES: usize = 255;

/// What a response looks like. The file's name is the same for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// What the model writes.
    #[default]
    Text,
    /// One JSON value: the model can write nothing else.
    Json,
}

/// How a prompt is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// File name in the models folder; none for the stick's own choice.
    pub model: Option<String>,
    /// The longest response, in tokens; 1 to [`MAX_TOKENS_MAX`].
    pub max_tokens: u32,
    /// Sampling temperature; 0 picks the likeliest token each time.
    pub temperature: f32,
    /// Sample from so many likeliest tokens; 0 is off.
    pub top_k: u32,
    /// Sample from the likeliest tokens of this total probability; 1 is off.
    pub top_p: f32,
    /// Sample from tokens at least this likely, relative to the likeliest; 0 is off.
    pub min_p: f32,
    /// Divides the logits of recent tokens; 1 is off.
    pub repeat_penalty: f32,
    /// The seed; none for one made from the prompt (`Digest::seed`).
    pub seed: Option<u32>,
    /// The system prompt.
    pub system: Option<String>,
    /// The response ends before any of these.
    pub stop: Vec<String>,
    /// Text or JSON.
    pub format: Format,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            max_tokens: 256,
            temperature: 0.7,
            top_k: 40,
            top_p: 0.9,
            min_p: 0.05,
            repeat_penalty: 1.1,
            seed: None,
            system: None,
            stop: Vec::new(),
            format: Format::Text,
        }
    }
}

/// Whether `name` can only be a file in the models folder itself: a plain name on every system.
pub fn is_model_name(name: &str) -> bool {
    let plain = |c: char| !c.is_control() && !"/\\:*?\"<>|".contains(c);
    !name.is_empty()
        && name.len() <= MODEL_NAME_LIMIT_BYTES
        && !name.starts_with('.')
        && name.trim() == name
        && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_a_plain_file_name() {
        for name in [
            "demo.gguf",
            "SmolLM2-135M-Instruct-Q8_0.gguf",
            "mein Modell.gguf",
        ] {
            assert!(is_model_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "../x.gguf",
            "a/b.gguf",
            "a\\b",
            "C:x",
            ".hidden",
            "a\0b",
            " a",
            "a\n",
        ] {
            assert!(!is_model_name(name), "{name:?}");
        }
    }
}
