//! What a model is apart from its weights: layers, widths, tokenizer. The figures of the named ones
//! are those in the `config.json` of the model.

/// A common chat template; llama.cpp knows it by its marks.
pub const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' \
    + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}\
    {{ '<|im_start|>assistant\n' }}{% endif %}";

/// Which tokenizer the file describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokenizer {
    /// `SentencePiece`: bytes as `<0x00>`, printable ASCII, `▁` for a space.
    Spm,
    /// Byte-level BPE as in GPT-2, with a merge for each word.
    Gpt2,
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Transformer blocks.
    pub layers: u32,
    /// Width of the embedding.
    pub embedding: u32,
    /// Width of the feed-forward part.
    pub feed_forward: u32,
    /// Attention heads of the queries.
    pub heads: u32,
    /// Attention heads of keys and values.
    pub kv_heads: u32,
    /// Tokens of the vocabulary, at least [`Shape::MIN_VOCABULARY`].
    pub vocabulary: u32,
    /// Context that the file says the model was trained on, in tokens.
    pub context_tokens: u32,
    /// Whether the embedding is the output matrix too, so that the file has it once.
    pub tied: bool,
    /// How text becomes tokens.
    pub tokenizer: Tokenizer,
    /// `tokenizer.chat_template`, if any.
    pub chat_template: Option<&'static str>,
}

impl Shape {
    /// Room for special tokens, the 256 bytes and printable ASCII.
    pub const MIN_VOCABULARY: u32 = 384;

    /// The shapes that have a name.
    pub const NAMED: [(&'static str, Self); 5] = [
        ("tiny", Self::tiny()),
        ("demo", Self::demo()),
        ("endless", Self::endless()),
        ("stories15m", Self::stories15m()),
        ("smollm2-135m", Self::smollm2_135m()),
    ];

    /// One of [`Self::NAMED`].
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let found = Self::NAMED.iter().find(|(known, _)| *known == name);
        found.map(|(_, shape)| *shape)
    }

    /// The smallest that is useful; a token takes well under a millisecond on a PC.
    #[must_use]
    pub const fn tiny() -> Self {
        Self {
            layers: 2,
            embedding: 64,
            feed_forward: 128,
            heads: 4,
            kv_heads: 2,
            vocabulary: Self::MIN_VOCABULARY,
            context_tokens: 256,
            tied: true,
            tokenizer: Tokenizer::Spm,
            chat_template: None,
        }
    }

    /// The demonstration model of this repository (`image/model/model.py`).
    #[must_use]
    pub const fn demo() -> Self {
        Self {
            layers: 4,
            embedding: 256,
            feed_forward: 512,
            heads: 8,
            kv_heads: 2,
            vocabulary: 5_120,
            context_tokens: 512,
            tied: true,
            tokenizer: Tokenizer::Gpt2,
            chat_template: Some(CHATML),
        }
    }

    /// Goes on until somebody stops it, slowly enough to be caught at it on a PC: some seconds for
    /// what fits its context.
    #[must_use]
    pub const fn endless() -> Self {
        Self {
            layers: 12,
            embedding: 384,
            feed_forward: 1_024,
            heads: 6,
            kv_heads: 6,
            context_tokens: 4_096,
            ..Self::tiny()
        }
    }

    /// stories15M (llama2.c), with the output matrix of its own that its GGUF files have.
    #[must_use]
    pub const fn stories15m() -> Self {
        Self {
            layers: 6,
            embedding: 288,
            feed_forward: 768,
            heads: 6,
            kv_heads: 6,
            vocabulary: 32_000,
            context_tokens: 256,
            tied: false,
            ..Self::tiny()
        }
    }

    /// `SmolLM2-135M-Instruct`.
    #[must_use]
    pub const fn smollm2_135m() -> Self {
        Self {
            layers: 30,
            embedding: 576,
            feed_forward: 1_536,
            heads: 9,
            kv_heads: 3,
            vocabulary: 49_152,
            context_tokens: 8_192,
            tied: true,
            tokenizer: Tokenizer::Gpt2,
            chat_template: Some(CHATML),
        }
    }

    /// Width of one head.
    pub(crate) const fn head(&self) -> u32 {
        self.embedding / self.heads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_by_name() {
        assert_eq!(Shape::named("smollm2-135m"), Some(Shape::smollm2_135m()));
        assert_eq!(Shape::named("SmolLM2"), None);
    }
}
