//! The header of a GGUF file as it is on disk, checked but not interpreted.
//!
//! Invariants of what comes out: every tensor's data lies inside the file, in order and without
//! gaps beyond alignment (as ggml demands), sizes were multiplied with overflow checks, names and
//! keys are unique. Arrays are counted and skipped, not kept.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead};

use super::source::Source;
use super::text::foreign_text;
use super::types::{TensorType, tensor_type};
use super::{
    DEFAULT_ALIGNMENT_BYTES, MAGIC, MAX_ARRAY_ELEMENTS, MAX_DIMENSIONS, MAX_KEYS, MAX_STRING_BYTES,
    MAX_TENSOR_NAME_BYTES, MAX_TENSORS,
};

/// Why a file is not a GGUF file that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// Not a GGUF file at all.
    #[error("it is not a GGUF file")]
    NotGguf,
    /// A version or byte order that llama.cpp does not read.
    #[error("it is {0}, which llama.cpp does not read")]
    Unsupported(String),
    /// It ends too early.
    #[error("it is cut off: {0}")]
    Truncated(String),
    /// It contradicts itself or exceeds a bound.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// A value of a key. Integers of all widths are `Integer`, of both widths of float `Float`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Any integer type.
    Integer(i128),
    /// `f32` or `f64`.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A string; bytes that are not UTF-8 are replaced.
    String(String),
    /// An array of integers (any width) with at most 1,024 elements.
    Integers(Vec<i128>),
    /// Any other array.
    Array {
        /// Number of elements.
        elements: u64,
        /// Bytes of the elements (of strings, without their lengths).
        bytes: u64,
    },
}

/// Longest integer array that is kept: some files give a value for each layer.
pub const KEPT_ARRAY_ELEMENTS: u64 = 1_024;

/// One tensor's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Unique in the file.
    pub name: String,
    /// Sizes, the contiguous dimension first.
    pub dimensions: Vec<u64>,
    /// How its weights are stored.
    pub kind: TensorType,
    /// Number of weights.
    pub weights: u64,
    /// Size of its data.
    pub bytes: u64,
    /// Where its data begins, from the beginning of the file.
    pub offset_bytes: u64,
}

/// All of the header.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// Keys and values.
    pub values: HashMap<String, Value>,
    /// In the order of the file.
    pub tensors: Vec<Tensor>,
    /// Where the data of tensors begins.
    pub data_offset_bytes: u64,
}

/// Reads the header. `file_bytes` is the length of the file that `source` reads from its beginning;
/// wrap a file in a `BufReader`.
///
/// # Errors
/// See [`GgufError`].
pub fn read_header(source: impl BufRead, file_bytes: u64) -> Result<Header, GgufError> {
    let mut reader = Reader {
        source: Source::new(source, file_bytes),
        array_elements: 0,
    };
    let (version, tensor_count, key_count) = reader.preamble()?;
    let values = reader.values(key_count)?;
    let alignment = alignment_bytes(&values)?;
    let mut tensors = reader.tensors(tensor_count)?;
    let data_offset_bytes = reader
        .source
        .position_bytes()
        .checked_next_multiple_of(alignment);
    let data_offset_bytes = data_offset_bytes.ok_or_else(|| damaged("its sizes overflow"))?;
    place(&mut tensors, data_offset_bytes, alignment, file_bytes)?;
    Ok(Header {
        version,
        values,
        tensors,
        data_offset_bytes,
    })
}

fn damaged(why: impl Into<String>) -> GgufError {
    GgufError::Damaged(why.into())
}

fn alignment_bytes(values: &HashMap<String, Value>) -> Result<u64, GgufError> {
    match values.get("general.alignment") {
        None => Ok(DEFAULT_ALIGNMENT_BYTES),
        Some(Value::Integer(n)) => u32::try_from(*n)
            .ok()
            .filter(|n| n.is_power_of_two())
            .map(u64::from)
            .ok_or_else(|| damaged(format!("an alignment of {n}"))),
        Some(_) => Err(damaged("its alignment is not a number")),
    }
}

/// Checks where the tensors lie and turns their offsets into offsets in the file.
fn place(
    tensors: &mut [Tensor],
    data_offset_bytes: u64,
    alignment_bytes: u64,
    file_bytes: u64,
) -> Result<(), GgufError> {
    let mut expected = 0u64;
    for tensor in tensors {
        let name = foreign_text(&tensor.name);
        if tensor.offset_bytes != expected {
            let at = tensor.offset_bytes;
            return Err(damaged(format!(
                "tensor {name} lies at {at} instead of {expected}"
            )));
        }
        let overflow = || damaged(format!("the size of tensor {name} overflows"));
        tensor.offset_bytes = data_offset_bytes
            .checked_add(expected)
            .ok_or_else(overflow)?;
        let end = tensor
            .offset_bytes
            .checked_add(tensor.bytes)
            .ok_or_else(overflow)?;
        if end > file_bytes {
            return Err(GgufError::Truncated(format!(
                "tensor {name} ends at byte {end}, the file at {file_bytes}"
            )));
        }
        expected = expected
            .checked_add(tensor.bytes)
            .and_then(|end| end.checked_next_multiple_of(alignment_bytes))
            .ok_or_else(overflow)?;
    }
    Ok(())
}

struct Reader<R> {
    source: Source<R>,
    /// Over all arrays so far.
    array_elements: u64,
}

impl<R: BufRead> Reader<R> {
    fn preamble(&mut self) -> Result<(u32, u64, u64), GgufError> {
        if self.source.is_shorter_than(MAGIC.len() as u64) || self.source.array::<4>()? != MAGIC {
            return Err(GgufError::NotGguf);
        }
        let version = self.source.u32()?;
        match version {
            2 | 3 => {}
            1 => return Err(GgufError::Unsupported("GGUF version 1".into())),
            _ if version.swap_bytes() <= 3 => {
                return Err(GgufError::Unsupported("a big-endian GGUF file".into()));
            }
            _ => return Err(GgufError::Unsupported(format!("GGUF version {version}"))),
        }
        let tensors = self.source.u64()?;
        let keys = self.source.u64()?;
        if tensors > MAX_TENSORS {
            return Err(damaged(format!(
                "{tensors} tensors, at most {MAX_TENSORS} are possible"
            )));
        }
        if keys > MAX_KEYS {
            return Err(damaged(format!(
                "{keys} keys, at most {MAX_KEYS} are possible"
            )));
        }
        Ok((version, tensors, keys))
    }

    fn values(&mut self, count: u64) -> Result<HashMap<String, Value>, GgufError> {
        let mut values = HashMap::new();
        for _ in 0..count {
            let key = self.source.string(MAX_STRING_BYTES)?;
            let kind = self.source.u32()?;
            let value = self.value(kind)?;
            let shown = foreign_text(&key);
            if values.insert(key, value).is_some() {
                return Err(damaged(format!("the key {shown} is there twice")));
            }
        }
        Ok(values)
    }

    fn value(&mut self, kind: u32) -> Result<Value, GgufError> {
        const STRING: u32 = 8;
        const ARRAY: u32 = 9;
        match kind {
            STRING => Ok(Value::String(self.source.string(MAX_STRING_BYTES)?)),
            ARRAY => self.array_value(),
            _ => self.scalar(kind),
        }
    }

    /// `enum gguf_type`, without string and array.
    fn scalar(&mut self, kind: u32) -> Result<Value, GgufError> {
        Ok(match kind {
            0 => Value::Integer(u8::from_le_bytes(self.source.array()?).into()),
            1 => Value::Integer(i8::from_le_bytes(self.source.array()?).into()),
            2 => Value::Integer(u16::from_le_bytes(self.source.array()?).into()),
            3 => Value::Integer(i16::from_le_bytes(self.source.array()?).into()),
            4 => Value::Integer(u32::from_le_bytes(self.source.array()?).into()),
            5 => Value::Integer(i32::from_le_bytes(self.source.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.source.array()?).into()),
            7 => Value::Bool(self.source.array::<1>()? != [0]),
            10 => Value::Integer(u64::from_le_bytes(self.source.array()?).into()),
            11 => Value::Integer(i64::from_le_bytes(self.source.array()?).into()),
            12 => Value::Float(f64::from_le_bytes(self.source.array()?)),
            other => return Err(damaged(format!("a value of the unknown type {other}"))),
        })
    }

    fn array_value(&mut self) -> Result<Value, GgufError> {
        let kind = self.source.u32()?;
        let elements = self.source.u64()?;
        self.array_elements = self.array_elements.saturating_add(elements);
        if self.array_elements > MAX_ARRAY_ELEMENTS {
            return Err(damaged(format!(
                "{elements} elements in an array, at most {MAX_ARRAY_ELEMENTS} in all are possible"
            )));
        }
        let width: u64 = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 => return self.string_array(elements),
            other => return Err(damaged(format!("an array of the unknown type {other}"))),
        };
        let is_integer = !matches!(kind, 6 | 7 | 12);
        if is_integer && elements <= KEPT_ARRAY_ELEMENTS {
            let mut kept = Vec::new();
            for _ in 0..elements {
                if let Value::Integer(n) = self.scalar(kind)? {
                    kept.push(n);
                }
            }
            return Ok(Value::Integers(kept));
        }
        // Both are bounded far below overflow.
        let bytes = elements * width;
        self.source.skip(bytes)?;
        Ok(Value::Array { elements, bytes })
    }

    fn string_array(&mut self, elements: u64) -> Result<Value, GgufError> {
        let mut bytes = 0u64;
        for _ in 0..elements {
            let length = self.source.string_length(MAX_STRING_BYTES)?;
            self.source.skip(length)?;
            bytes += length;
        }
        Ok(Value::Array { elements, bytes })
    }

    fn tensors(&mut self, count: u64) -> Result<Vec<Tensor>, GgufError> {
        let mut tensors = Vec::new();
        let mut names = HashSet::new();
        for _ in 0..count {
            let tensor = self.tensor()?;
            if !names.insert(tensor.name.clone()) {
                let name = foreign_text(&tensor.name);
                return Err(damaged(format!("the tensor {name} is there twice")));
            }
            tensors.push(tensor);
        }
        Ok(tensors)
    }

    fn tensor(&mut self) -> Result<Tensor, GgufError> {
        let name = self.source.string(MAX_TENSOR_NAME_BYTES)?;
        let shown = foreign_text(&name);
        let dimension_count = self.source.u32()?;
        if dimension_count > MAX_DIMENSIONS {
            return Err(damaged(format!(
                "tensor {shown} has {dimension_count} dimensions"
            )));
        }
        let mut dimensions = Vec::new();
        for _ in 0..dimension_count {
            dimensions.push(self.source.u64()?);
        }
        let type_id = self.source.u32()?;
        let offset_bytes = self.source.u64()?;
        let kind = *tensor_type(type_id).ok_or_else(|| {
            GgufError::Unsupported(format!("a file with tensors of the unknown type {type_id}"))
        })?;
        let weights = dimensions
            .iter()
            .try_fold(1u64, |product, &n| product.checked_mul(n))
            .filter(|&n| i64::try_from(n).is_ok())
            .ok_or_else(|| damaged(format!("the size of tensor {shown} overflows")))?;
        let row = dimensions.first().copied().unwrap_or(1);
        if weights == 0 || row % kind.block_weights != 0 {
            return Err(damaged(format!(
                "tensor {shown} has a size that {} cannot have",
                kind.name
            )));
        }
        let bytes = (weights / kind.block_weights)
            .checked_mul(kind.block_bytes)
            .ok_or_else(|| damaged(format!("the size of tensor {shown} overflows")))?;
        Ok(Tensor {
            name,
            dimensions,
            kind,
            weights,
            bytes,
            offset_bytes,
        })
    }
}
