//! Writes small GGUF models of the Llama architecture with random weights, so that tests need no
//! download. Any shape can be written, those of stories15M and SmolLM2-135M by name; weights are
//! drawn in the stored type itself, so that a large one is written in seconds. The same seed gives
//! the same bytes. Used by the engine's and the daemon's tests.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// How matrices are stored; norms are always `F32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    F32,
    Q8_0,
    Q4_0,
}

/// Which tokenizer the file describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokenizer {
    /// `SentencePiece`: bytes as `<0x00>`, printable ASCII, `▁` for a space.
    Spm,
    /// Byte-level BPE as in GPT-2, with a merge for each word.
    Gpt2,
}

/// What to write.
#[derive(Debug, Clone)]
pub struct Spec {
    pub layers: u32,
    pub embedding: u32,
    pub feed_forward: u32,
    pub heads: u32,
    pub kv_heads: u32,
    /// At least [`MIN_VOCABULARY`].
    pub vocabulary: u32,
    pub context_tokens: u32,
    pub kind: Kind,
    pub tokenizer: Tokenizer,
    /// `tokenizer.chat_template`, if any.
    pub chat_template: Option<&'static str>,
    /// Control tokens can be chosen. Without it a response only ends by a limit.
    pub can_end: bool,
    /// No token has any of these ASCII characters.
    pub without: &'static str,
    pub seed: u64,
}

/// Specials, 256 bytes and printable ASCII.
pub const MIN_VOCABULARY: u32 = 384;

/// A common chat template; llama.cpp knows it by its marks.
pub const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' \
    + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}\
    {{ '<|im_start|>assistant\n' }}{% endif %}";

impl Spec {
    /// The smallest that is useful; a token takes well under a millisecond.
    pub fn tiny() -> Self {
        Self {
            layers: 2,
            embedding: 64,
            feed_forward: 128,
            heads: 4,
            kv_heads: 2,
            vocabulary: MIN_VOCABULARY,
            context_tokens: 256,
            kind: Kind::F32,
            tokenizer: Tokenizer::Spm,
            chat_template: None,
            can_end: false,
            without: "",
            seed: 1,
        }
    }

    /// The tiny one with a chat template.
    pub fn tiny_chat() -> Self {
        Self {
            chat_template: Some(CHATML),
            ..Self::tiny()
        }
    }

    /// Goes on until somebody stops it, slowly enough to be caught at it: some seconds for what
    /// fits its context.
    pub fn endless() -> Self {
        Self {
            layers: 12,
            embedding: 384,
            feed_forward: 1_024,
            heads: 6,
            kv_heads: 6,
            context_tokens: 4_096,
            kind: Kind::Q8_0,
            ..Self::tiny()
        }
    }

    /// The shape of stories15M (llama2.c).
    pub fn stories15m(kind: Kind) -> Self {
        Self {
            layers: 6,
            embedding: 288,
            feed_forward: 768,
            heads: 6,
            kv_heads: 6,
            vocabulary: 32_000,
            context_tokens: 256,
            kind,
            ..Self::tiny()
        }
    }

    /// The shape of `SmolLM2-135M-Instruct`.
    pub fn smollm2_135m(kind: Kind) -> Self {
        Self {
            layers: 30,
            embedding: 576,
            feed_forward: 1_536,
            heads: 9,
            kv_heads: 3,
            vocabulary: 49_152,
            context_tokens: 8_192,
            kind,
            tokenizer: Tokenizer::Gpt2,
            chat_template: Some(CHATML),
            ..Self::tiny()
        }
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        self.write_to(&mut out)?;
        out.flush()
    }

    /// The file as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_to(&mut out).expect("writing to memory");
        out
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let tensors = self.tensors();
        let header = self.header(&tensors);
        out.write_all(&header)?;
        let mut position = header.len();
        pad(out, &mut position)?;
        let mut random = Random(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for tensor in &tensors {
            let mut bytes = tensor.data(&mut random);
            if !self.can_end && tensor.name == EMBEDDING {
                // Rows of 0: a logit of 0 is never among the highest.
                let row = bytes.len() / self.vocabulary as usize;
                bytes[..row * specials().len()].fill(0);
            }
            position += bytes.len();
            out.write_all(&bytes)?;
            pad(out, &mut position)?;
        }
        Ok(())
    }

    fn tensors(&self) -> Vec<Tensor> {
        let (embedding, feed_forward) = (self.embedding, self.feed_forward);
        let kv = embedding / self.heads * self.kv_heads;
        let matrix = |name: String, rows: u32, columns: u32| Tensor {
            name,
            dimensions: vec![rows, columns],
            kind: self.kind,
        };
        let norm = |name: String| Tensor {
            name,
            dimensions: vec![embedding],
            kind: Kind::F32,
        };
        let mut all = vec![matrix(EMBEDDING.into(), embedding, self.vocabulary)];
        for layer in 0..self.layers {
            let name = |part: &str| format!("blk.{layer}.{part}.weight");
            all.push(norm(name("attn_norm")));
            all.push(matrix(name("attn_q"), embedding, embedding));
            all.push(matrix(name("attn_k"), embedding, kv));
            all.push(matrix(name("attn_v"), embedding, kv));
            all.push(matrix(name("attn_output"), embedding, embedding));
            all.push(norm(name("ffn_norm")));
            all.push(matrix(name("ffn_gate"), embedding, feed_forward));
            all.push(matrix(name("ffn_up"), embedding, feed_forward));
            all.push(matrix(name("ffn_down"), feed_forward, embedding));
        }
        all.push(norm("output_norm.weight".into()));
        all
    }

    fn header(&self, tensors: &[Tensor]) -> Vec<u8> {
        let keys = self.keys();
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((tensors.len() as u64).to_le_bytes());
        out.extend((keys.len() as u64).to_le_bytes());
        for (key, value) in &keys {
            string(&mut out, key);
            value.write(&mut out);
        }
        let mut offset = 0u64;
        for tensor in tensors {
            string(&mut out, &tensor.name);
            out.extend((tensor.dimensions.len() as u32).to_le_bytes());
            for &n in &tensor.dimensions {
                out.extend(u64::from(n).to_le_bytes());
            }
            out.extend(tensor.type_id().to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset = (offset + tensor.bytes()).next_multiple_of(ALIGNMENT as u64);
        }
        out
    }

    fn keys(&self) -> Vec<(String, Value)> {
        let text = |text: &str| Value::Text(text.to_owned());
        let head = self.embedding / self.heads;
        let mut keys = vec![
            ("general.architecture".to_owned(), text("llama")),
            ("general.name".to_owned(), text("random weights")),
            (
                "llama.context_length".to_owned(),
                Value::U32(self.context_tokens),
            ),
            (
                "llama.embedding_length".to_owned(),
                Value::U32(self.embedding),
            ),
            ("llama.block_count".to_owned(), Value::U32(self.layers)),
            (
                "llama.feed_forward_length".to_owned(),
                Value::U32(self.feed_forward),
            ),
            (
                "llama.attention.head_count".to_owned(),
                Value::U32(self.heads),
            ),
            (
                "llama.attention.head_count_kv".to_owned(),
                Value::U32(self.kv_heads),
            ),
            (
                "llama.attention.layer_norm_rms_epsilon".to_owned(),
                Value::F32(1e-5),
            ),
            ("llama.rope.dimension_count".to_owned(), Value::U32(head)),
            ("llama.vocab_size".to_owned(), Value::U32(self.vocabulary)),
        ];
        keys.extend(self.tokenizer_keys());
        if let Some(template) = self.chat_template {
            keys.push(("tokenizer.chat_template".to_owned(), text(template)));
        }
        keys
    }

    fn tokenizer_keys(&self) -> Vec<(String, Value)> {
        let mut tokens = match self.tokenizer {
            Tokenizer::Spm => spm_tokens(self.vocabulary),
            Tokenizer::Gpt2 => gpt2_tokens(self.vocabulary),
        };
        leave_out(&mut tokens, self.without);
        let model = match self.tokenizer {
            Tokenizer::Spm => "llama",
            Tokenizer::Gpt2 => "gpt2",
        };
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        let eos = match self.chat_template {
            Some(_) => IM_END,
            None => EOS,
        };
        let mut keys = vec![
            (key("model"), Value::Text(model.to_owned())),
            (
                key("tokens"),
                Value::Texts(tokens.iter().map(|t| t.text.clone()).collect()),
            ),
            (
                key("token_type"),
                Value::I32s(tokens.iter().map(|t| t.kind).collect()),
            ),
            (key("bos_token_id"), Value::U32(BOS)),
            (key("eos_token_id"), Value::U32(eos)),
        ];
        match self.tokenizer {
            Tokenizer::Spm => {
                keys.push((
                    key("scores"),
                    Value::F32s(tokens.iter().map(|t| t.score).collect()),
                ));
                keys.push((key("unknown_token_id"), Value::U32(UNKNOWN)));
            }
            Tokenizer::Gpt2 => {
                keys.push((key("pre"), Value::Text("smollm".to_owned())));
                keys.push((key("merges"), Value::Texts(merges(&tokens))));
                keys.push((key("add_bos_token"), Value::Bool(false)));
            }
        }
        keys
    }
}

const EMBEDDING: &str = "token_embd.weight";
const ALIGNMENT: usize = 32;
const UNKNOWN: u32 = 0;
const BOS: u32 = 1;
const EOS: u32 = 2;
const IM_END: u32 = 4;
const NORMAL: i32 = 1;
const UNKNOWN_KIND: i32 = 2;
const CONTROL: i32 = 3;
const BYTE: i32 = 6;

struct Token {
    text: String,
    kind: i32,
    score: f32,
}

fn specials() -> Vec<Token> {
    let special = |text: &str, kind| Token {
        text: text.to_owned(),
        kind,
        score: 0.0,
    };
    vec![
        special("<unk>", UNKNOWN_KIND),
        special("<s>", CONTROL),
        special("</s>", CONTROL),
        special("<|im_start|>", CONTROL),
        special("<|im_end|>", CONTROL),
    ]
}

fn spm_tokens(count: u32) -> Vec<Token> {
    let mut tokens = specials();
    let bytes = (0..=u8::MAX).map(|b| (format!("<0x{b:02X}>"), BYTE));
    let ascii = (b'!'..=b'~').map(|b| (char::from(b).to_string(), NORMAL));
    let words = [
        "▁", "▁the", "▁a", "é", "▁é", "你", "🦀", "\",", "\":", "{\"", "[[", "\"}",
    ];
    let words = words.map(|word| (word.to_owned(), NORMAL));
    for (text, kind) in bytes.chain(ascii).chain(words) {
        tokens.push(Token {
            text,
            kind,
            score: -(tokens.len() as f32),
        });
    }
    fill(tokens, count)
}

fn gpt2_tokens(count: u32) -> Vec<Token> {
    let mut tokens = specials();
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut next = 256u32;
    for byte in 0..=u8::MAX {
        let c = if printable(byte) {
            char::from(byte)
        } else {
            next += 1;
            char::from_u32(next - 1).expect("a letter")
        };
        tokens.push(Token {
            text: c.to_string(),
            kind: NORMAL,
            score: 0.0,
        });
    }
    let merged = words().take((count as usize).saturating_sub(tokens.len()));
    tokens.extend(merged.map(|text| Token {
        text,
        kind: NORMAL,
        score: 0.0,
    }));
    fill(tokens, count)
}

/// `aa`, `ab` … `zz`, `aaa` …: each is the one before it in length and a letter.
fn words() -> impl Iterator<Item = String> {
    const LETTERS: usize = 26;
    const SHORTEST: u32 = 2;
    const LONGEST: u32 = 4;
    (SHORTEST..=LONGEST).flat_map(|length| {
        (0..LETTERS.pow(length)).map(move |number| {
            let letter = |place| b'a' + (number / LETTERS.pow(place) % LETTERS) as u8;
            (0..length)
                .rev()
                .map(|place| char::from(letter(place)))
                .collect()
        })
    })
}

/// How each of the words is made of two.
fn merges(tokens: &[Token]) -> Vec<String> {
    let is_word = |text: &str| text.len() > 1 && text.bytes().all(|b| b.is_ascii_lowercase());
    let words = tokens.iter().filter(|token| is_word(&token.text));
    words
        .map(|token| token.text.split_at(token.text.len() - 1))
        .map(|(a, b)| format!("{a} {b}"))
        .collect()
}

fn fill(mut tokens: Vec<Token>, count: u32) -> Vec<Token> {
    assert!(
        tokens.len() <= count as usize,
        "{} tokens at least",
        tokens.len()
    );
    while tokens.len() < count as usize {
        let text = format!("word{}", tokens.len());
        tokens.push(Token {
            text,
            kind: NORMAL,
            score: -(tokens.len() as f32),
        });
    }
    tokens
}

/// Puts other texts in the place of all tokens with one of these characters.
fn leave_out(tokens: &mut [Token], characters: &str) {
    for (number, token) in tokens.iter_mut().enumerate() {
        let has = |c: char| token.text.contains(c) || token.text == format!("<0x{:02X}>", c as u32);
        if characters.chars().any(has) {
            token.text = format!("gone{number}");
            token.kind = NORMAL;
        }
    }
}

/// A value of a key.
#[derive(Debug, Clone)]
pub enum Value {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    F32s(Vec<f32>),
    I32s(Vec<i32>),
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        let array = |out: &mut Vec<u8>, kind: u32, count: usize| {
            out.extend(9u32.to_le_bytes());
            out.extend(kind.to_le_bytes());
            out.extend((count as u64).to_le_bytes());
        };
        match self {
            Value::U32(n) => {
                out.extend(4u32.to_le_bytes());
                out.extend(n.to_le_bytes());
            }
            Value::F32(n) => {
                out.extend(6u32.to_le_bytes());
                out.extend(n.to_le_bytes());
            }
            Value::Bool(b) => {
                out.extend(7u32.to_le_bytes());
                out.push(u8::from(*b));
            }
            Value::Text(text) => {
                out.extend(8u32.to_le_bytes());
                string(out, text);
            }
            Value::Texts(texts) => {
                array(out, 8, texts.len());
                texts.iter().for_each(|text| string(out, text));
            }
            Value::F32s(numbers) => {
                array(out, 6, numbers.len());
                numbers.iter().for_each(|n| out.extend(n.to_le_bytes()));
            }
            Value::I32s(numbers) => {
                array(out, 5, numbers.len());
                numbers.iter().for_each(|n| out.extend(n.to_le_bytes()));
            }
        }
    }
}

struct Tensor {
    name: String,
    dimensions: Vec<u32>,
    kind: Kind,
}

const BLOCK: u64 = 32;

impl Tensor {
    fn weights(&self) -> u64 {
        self.dimensions.iter().map(|&n| u64::from(n)).product()
    }

    fn type_id(&self) -> u32 {
        match self.kind {
            Kind::F32 => 0,
            Kind::Q4_0 => 2,
            Kind::Q8_0 => 8,
        }
    }

    fn bytes(&self) -> u64 {
        match self.kind {
            Kind::F32 => self.weights() * 4,
            Kind::Q8_0 => self.weights() / BLOCK * 34,
            Kind::Q4_0 => self.weights() / BLOCK * 18,
        }
    }

    /// Norms are 1; matrices keep the length of a vector about the same.
    fn data(&self, random: &mut Random) -> Vec<u8> {
        let bytes = usize::try_from(self.bytes()).expect("fits memory");
        let mut out = Vec::with_capacity(bytes);
        if self.dimensions.len() == 1 {
            (0..self.weights()).for_each(|_| out.extend(1f32.to_le_bytes()));
            return out;
        }
        let deviation = 1.0 / f32::sqrt(self.dimensions[0] as f32);
        // A uniform draw of -n to n has the standard deviation n / sqrt(3).
        let scale = deviation * f32::sqrt(3.0);
        match self.kind {
            Kind::F32 => {
                for _ in 0..self.weights() {
                    out.extend((random.signed() * scale).to_le_bytes());
                }
            }
            Kind::Q8_0 => blocks(&mut out, self.weights(), scale / 128.0, 32, random),
            Kind::Q4_0 => blocks(&mut out, self.weights(), scale / 8.0, 16, random),
        }
        out
    }
}

/// A scale as f16, then random quantised weights.
fn blocks(out: &mut Vec<u8>, weights: u64, scale: f32, bytes: usize, random: &mut Random) {
    for _ in 0..weights / BLOCK {
        out.extend(f16(scale).to_le_bytes());
        for _ in 0..bytes / 8 {
            out.extend(random.next().to_le_bytes());
        }
    }
}

/// Positive normal numbers only, rounded down.
fn f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = (bits >> 23) as i32 - 127 + 15;
    assert!((1..31).contains(&exponent), "{value} is not a normal f16");
    ((exponent as u16) << 10) | ((bits >> 13) & 0x3ff) as u16
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn pad(out: &mut dyn Write, position: &mut usize) -> io::Result<()> {
    let end = position.next_multiple_of(ALIGNMENT);
    out.write_all(&vec![0; end - *position])?;
    *position = end;
    Ok(())
}

/// xorshift64*: small, seeded, good enough for weights and for choosing what to damage.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn signed(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}
