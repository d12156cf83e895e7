//! The file format: GGUF version 3, as `docs/gguf.md` of the ggml project has it. Everything is
//! little-endian.

/// The usual `general.alignment`.
pub(crate) const ALIGNMENT_BYTES: u32 = 32;

const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;

/// `enum gguf_type`, as far as it is used here.
mod kind {
    pub(super) const U32: u32 = 4;
    pub(super) const I32: u32 = 5;
    pub(super) const F32: u32 = 6;
    pub(super) const BOOL: u32 = 7;
    pub(super) const TEXT: u32 = 8;
    pub(super) const ARRAY: u32 = 9;
}

/// The value of a key.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    F32s(Vec<f32>),
    I32s(Vec<i32>),
}

/// What the header says about a tensor.
pub(crate) struct TensorInfo {
    pub(crate) name: String,
    /// The length of a row first.
    pub(crate) dimensions: Vec<u32>,
    pub(crate) type_id: u32,
    /// From where the first one begins.
    pub(crate) offset_bytes: u64,
}

/// The header, without the padding behind it.
pub(crate) fn header(keys: &[(String, Value)], tensors: &[TensorInfo]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((keys.len() as u64).to_le_bytes());
    for (key, value) in keys {
        text(&mut out, key);
        value.write(&mut out);
    }
    for tensor in tensors {
        text(&mut out, &tensor.name);
        out.extend((tensor.dimensions.len() as u32).to_le_bytes());
        for &dimension in &tensor.dimensions {
            out.extend(u64::from(dimension).to_le_bytes());
        }
        out.extend(tensor.type_id.to_le_bytes());
        out.extend(tensor.offset_bytes.to_le_bytes());
    }
    out
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        let scalar = |out: &mut Vec<u8>, kind: u32, bytes: &[u8]| {
            out.extend(kind.to_le_bytes());
            out.extend(bytes);
        };
        let array = |out: &mut Vec<u8>, kind: u32, count: usize| {
            out.extend(kind::ARRAY.to_le_bytes());
            out.extend(kind.to_le_bytes());
            out.extend((count as u64).to_le_bytes());
        };
        match self {
            Self::U32(number) => scalar(out, kind::U32, &number.to_le_bytes()),
            Self::F32(number) => scalar(out, kind::F32, &number.to_le_bytes()),
            Self::Bool(is_true) => scalar(out, kind::BOOL, &[u8::from(*is_true)]),
            Self::Text(value) => {
                out.extend(kind::TEXT.to_le_bytes());
                text(out, value);
            }
            Self::Texts(texts) => {
                array(out, kind::TEXT, texts.len());
                texts.iter().for_each(|value| text(out, value));
            }
            Self::F32s(numbers) => {
                array(out, kind::F32, numbers.len());
                numbers.iter().for_each(|n| out.extend(n.to_le_bytes()));
            }
            Self::I32s(numbers) => {
                array(out, kind::I32, numbers.len());
                numbers.iter().for_each(|n| out.extend(n.to_le_bytes()));
            }
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}
