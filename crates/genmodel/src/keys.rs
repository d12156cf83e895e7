//! The keys of the header: what llama.cpp's converter writes for a Llama model.

use crate::gguf::{ALIGNMENT_BYTES, Value};
use crate::shape::{Shape, Tokenizer};
use crate::spec::Spec;
use crate::vocabulary::{self, BEGIN, END, END_OF_TURN, Token, UNKNOWN};

/// `GGML_QNT_VERSION` in ggml.h.
const QUANTISATION_VERSION: u32 = 2;
const NORM_EPSILON: f32 = 1e-5;

/// All keys with their values.
pub(crate) fn keys(spec: &Spec) -> Vec<(String, Value)> {
    let shape = &spec.shape;
    let mut keys = general(spec);
    keys.extend(architecture(shape));
    keys.extend(tokenizer(shape, &vocabulary::tokens(shape, spec.without)));
    keys
}

fn general(spec: &Spec) -> Vec<(String, Value)> {
    let key = |name: &str| format!("general.{name}");
    let mut keys = vec![
        (key("architecture"), text("llama")),
        (key("name"), text("random weights")),
        (key("file_type"), Value::U32(spec.format.file_type())),
        (
            key("quantization_version"),
            Value::U32(QUANTISATION_VERSION),
        ),
    ];
    if spec.alignment_bytes != ALIGNMENT_BYTES {
        keys.push((key("alignment"), Value::U32(spec.alignment_bytes)));
    }
    keys
}

fn architecture(shape: &Shape) -> Vec<(String, Value)> {
    let numbers = [
        ("vocab_size", shape.vocabulary),
        ("context_length", shape.context_tokens),
        ("embedding_length", shape.embedding),
        ("block_count", shape.layers),
        ("feed_forward_length", shape.feed_forward),
        ("attention.head_count", shape.heads),
        ("attention.head_count_kv", shape.kv_heads),
        ("rope.dimension_count", shape.head()),
    ];
    let key = |name: &str| format!("llama.{name}");
    let mut keys = numbers
        .map(|(name, number)| (key(name), Value::U32(number)))
        .to_vec();
    let epsilon = key("attention.layer_norm_rms_epsilon");
    keys.push((epsilon, Value::F32(NORM_EPSILON)));
    keys
}

fn tokenizer(shape: &Shape, tokens: &[Token]) -> Vec<(String, Value)> {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let texts = tokens.iter().map(|token| token.text.clone()).collect();
    let kinds = tokens.iter().map(|token| token.kind).collect();
    let end = match shape.chat_template {
        Some(_) => END_OF_TURN,
        None => END,
    };
    let mut keys = vec![
        (key("tokens"), Value::Texts(texts)),
        (key("token_type"), Value::I32s(kinds)),
        (key("bos_token_id"), Value::U32(BEGIN)),
        (key("eos_token_id"), Value::U32(end)),
    ];
    match shape.tokenizer {
        Tokenizer::Spm => {
            let scores = tokens.iter().map(|token| token.score).collect();
            keys.push((key("model"), text("llama")));
            keys.push((key("scores"), Value::F32s(scores)));
            keys.push((key("unknown_token_id"), Value::U32(UNKNOWN)));
        }
        Tokenizer::Gpt2 => {
            keys.push((key("model"), text("gpt2")));
            keys.push((key("pre"), text("smollm")));
            keys.push((key("merges"), Value::Texts(vocabulary::merges(tokens))));
            keys.push((key("add_bos_token"), Value::Bool(false)));
        }
    }
    if let Some(template) = shape.chat_template {
        keys.push(("tokenizer.chat_template".to_owned(), text(template)));
    }
    keys
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
