//! What a header says about the model: the figures that the fit check and `model inspect` need.
//!
//! Keys as in llama.cpp's `llama-arch.cpp`. A value that is missing or absurd becomes a refusal or
//! 0, never a later overflow: every figure is bounded here.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::reader::{GgufError, Header, Tensor, Value, read_header};

/// Layers of the deepest model that is considered.
const MAX_LAYERS: u32 = 4_096;
/// Bound of every width, head count and vocabulary size, far above real ones.
const MAX_WIDTH: u32 = 1 << 24;
/// Bound of a context length.
const MAX_CONTEXT_TOKENS: u32 = 1 << 28;
/// The header of a small model is about 100 KiB, of one with 49 k tokens 2 MiB.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// The matrix from embedding to logits, where it is one of its own.
const OUTPUT: &str = "output.weight";
const EMBEDDING: &str = "token_embd.weight";
/// Of tensors in the memory of a backend: an allocation begins at a cache line.
const ALIGNMENT_BYTES: u64 = 32;

/// How much of a file is of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeUse {
    /// ggml's name.
    pub name: &'static str,
    /// Tensors.
    pub tensors: u32,
    /// Weights.
    pub parameters: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A model's figures. Widths are in elements, 0 where the file says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// `general.architecture`.
    pub architecture: String,
    /// `general.name`.
    pub name: Option<String>,
    /// Length of the file.
    pub file_bytes: u64,
    /// Bytes of all tensors.
    pub tensor_bytes: u64,
    /// Weights in all tensors.
    pub parameters: u64,
    /// By type, the largest first.
    pub types: Vec<TypeUse>,
    /// `context_length`: what it was trained on (tokens).
    pub context_tokens: u32,
    /// `block_count`.
    pub layers: u32,
    /// `embedding_length`.
    pub embedding: u32,
    /// `feed_forward_length`, the largest of all layers.
    pub feed_forward: u32,
    /// `attention.head_count`, the largest of all layers.
    pub heads: u32,
    /// `attention.head_count_kv`, summed over the layers.
    pub kv_heads_all_layers: u64,
    /// `attention.key_length`, by default `embedding / heads`.
    pub key_width: u32,
    /// `attention.value_length`, by default the same.
    pub value_width: u32,
    /// Elements of recurrent state in each layer (`ssm.*`).
    pub recurrent_state: u64,
    /// Tokens in the vocabulary.
    pub vocabulary: u32,
    /// Bytes of the texts of all tokens.
    pub vocabulary_bytes: u64,
    /// Merges of a byte-pair tokenizer.
    pub merges: u64,
    /// Whether `tokenizer.chat_template` is there.
    pub has_chat_template: bool,
    /// Whether the output matrix is a tensor of its own, and not the embedding.
    pub has_output: bool,
    /// What a backend that packs matrices makes of the file.
    pub packing: Packing,
}

/// The bytes of a tensor in a backend's own memory, in its own order; `None` where it computes
/// with the file's.
pub type PackedBytes = fn(&Tensor) -> Option<u64>;

/// The matrices that a backend takes out of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Packing {
    /// Their bytes in the file, which are not needed once the model is loaded.
    pub file_bytes: u64,
    /// Their bytes in memory.
    pub packed_bytes: u64,
}

/// Reads the card of a file. `packed` says what the backend in question packs.
///
/// # Errors
/// See [`GgufError`].
pub fn read_card(path: &Path, packed: PackedBytes) -> Result<Card, GgufError> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(GgufError::NotGguf);
    }
    let file_bytes = metadata.len();
    let header = read_header(
        BufReader::with_capacity(READ_BUFFER_BYTES, file),
        file_bytes,
    )?;
    Card::from_header(&header, file_bytes, packed)
}

impl Card {
    /// Interprets a header of a file of `file_bytes`.
    ///
    /// # Errors
    /// [`GgufError::Damaged`] when a figure that is needed is missing or out of range.
    pub fn from_header(
        header: &Header,
        file_bytes: u64,
        packed: PackedBytes,
    ) -> Result<Self, GgufError> {
        let architecture = match header.values.get("general.architecture") {
            Some(Value::String(name)) if !name.is_empty() => name.clone(),
            _ => {
                return Err(GgufError::Damaged(
                    "it does not say which architecture it is".into(),
                ));
            }
        };
        let keys = Keys {
            header,
            architecture: &architecture,
        };
        let layers = keys.bounded("block_count", MAX_LAYERS)?;
        let embedding = keys.bounded("embedding_length", MAX_WIDTH)?;
        let heads = keys.largest("attention.head_count")?;
        let default_width = embedding.checked_div(heads).unwrap_or(0);
        let (vocabulary, vocabulary_bytes) = keys.vocabulary()?;
        let types = type_uses(header);
        let some = |n: u32, default: u32| if n == 0 { default } else { n };
        Ok(Self {
            name: keys.general_name(),
            file_bytes,
            tensor_bytes: types.iter().map(|t| t.bytes).sum(),
            parameters: types.iter().map(|t| t.parameters).sum(),
            types,
            context_tokens: keys.bounded("context_length", MAX_CONTEXT_TOKENS)?,
            layers,
            embedding,
            feed_forward: keys.largest("feed_forward_length")?,
            heads,
            kv_heads_all_layers: keys.kv_heads(layers, heads)?,
            key_width: some(
                keys.bounded("attention.key_length", MAX_WIDTH)?,
                default_width,
            ),
            value_width: some(
                keys.bounded("attention.value_length", MAX_WIDTH)?,
                default_width,
            ),
            recurrent_state: keys.recurrent_state()?,
            vocabulary,
            vocabulary_bytes,
            merges: keys.array_elements("tokenizer.ggml.merges"),
            has_chat_template: header.values.contains_key("tokenizer.chat_template"),
            has_output: has_output(header),
            packing: packing(header, packed),
            architecture,
        })
    }
}

fn has_output(header: &Header) -> bool {
    header.tensors.iter().any(|tensor| tensor.name == OUTPUT)
}

/// The embedding is packed only where it is the output matrix too, since its rows are looked up and
/// nothing more.
fn packing(header: &Header, packed: PackedBytes) -> Packing {
    let keeps_embedding = has_output(header);
    let mut sum = Packing::default();
    for tensor in &header.tensors {
        if keeps_embedding && tensor.name == EMBEDDING {
            continue;
        }
        if let Some(packed_bytes) = packed(tensor) {
            sum.file_bytes = sum.file_bytes.saturating_add(tensor.bytes);
            let bytes = packed_bytes.max(tensor.bytes);
            let bytes = bytes.checked_next_multiple_of(ALIGNMENT_BYTES);
            sum.packed_bytes = sum.packed_bytes.saturating_add(bytes.unwrap_or(u64::MAX));
        }
    }
    sum
}

fn type_uses(header: &Header) -> Vec<TypeUse> {
    let mut uses: Vec<TypeUse> = Vec::new();
    for tensor in &header.tensors {
        let at = uses.iter().position(|known| known.name == tensor.kind.name);
        let at = at.unwrap_or_else(|| {
            uses.push(TypeUse {
                name: tensor.kind.name,
                tensors: 0,
                parameters: 0,
                bytes: 0,
            });
            uses.len() - 1
        });
        uses[at].tensors += 1;
        // Sums of sizes that all lie in one file, so they fit.
        uses[at].parameters += tensor.weights;
        uses[at].bytes += tensor.bytes;
    }
    uses.sort_by_key(|known| std::cmp::Reverse(known.bytes));
    uses
}

struct Keys<'a> {
    header: &'a Header,
    architecture: &'a str,
}

impl Keys<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.header
            .values
            .get(&format!("{}.{name}", self.architecture))
    }

    fn general_name(&self) -> Option<String> {
        match self.header.values.get("general.name") {
            Some(Value::String(name)) if !name.trim().is_empty() => Some(name.clone()),
            _ => None,
        }
    }

    /// A number from 0 to `most`; 0 when it is missing.
    fn bounded(&self, name: &str, most: u32) -> Result<u32, GgufError> {
        match self.get(name) {
            None => Ok(0),
            Some(Value::Integer(n)) => within(name, *n, most),
            Some(_) => Err(GgufError::Damaged(format!("{name} is not a number"))),
        }
    }

    /// The largest of a number or of one for each layer.
    fn largest(&self, name: &str) -> Result<u32, GgufError> {
        match self.get(name) {
            Some(Value::Integers(all)) => {
                within(name, all.iter().copied().max().unwrap_or(0), MAX_WIDTH)
            }
            _ => self.bounded(name, MAX_WIDTH),
        }
    }

    fn kv_heads(&self, layers: u32, heads: u32) -> Result<u64, GgufError> {
        const NAME: &str = "attention.head_count_kv";
        match self.get(NAME) {
            None => Ok(u64::from(heads) * u64::from(layers)),
            Some(Value::Integers(all)) => all
                .iter()
                .map(|&n| within(NAME, n, MAX_WIDTH).map(u64::from))
                .sum(),
            Some(_) => Ok(u64::from(self.bounded(NAME, MAX_WIDTH)?) * u64::from(layers)),
        }
    }

    fn recurrent_state(&self) -> Result<u64, GgufError> {
        let inner = u64::from(self.bounded("ssm.inner_size", MAX_WIDTH)?);
        let state = u64::from(self.bounded("ssm.state_size", MAX_WIDTH)?);
        let kernel = u64::from(self.bounded("ssm.conv_kernel", MAX_WIDTH)?);
        Ok(inner.saturating_mul(state + kernel))
    }

    /// Tokens, and bytes of their texts.
    fn vocabulary(&self) -> Result<(u32, u64), GgufError> {
        match self.header.values.get("tokenizer.ggml.tokens") {
            Some(Value::Array { elements, bytes }) => Ok((
                within("vocabulary", i128::from(*elements), MAX_WIDTH)?,
                *bytes,
            )),
            _ => Ok((self.bounded("vocab_size", MAX_WIDTH)?, 0)),
        }
    }

    fn array_elements(&self, key: &str) -> u64 {
        match self.header.values.get(key) {
            Some(Value::Array { elements, .. }) => *elements,
            _ => 0,
        }
    }
}

fn within(name: &str, value: i128, most: u32) -> Result<u32, GgufError> {
    u32::try_from(value)
        .ok()
        .filter(|&n| n <= most)
        .ok_or_else(|| GgufError::Damaged(format!("{name} is {value}, at most {most} is possible")))
}
