//! GGUF model files, read within hard bounds: the header only, never the weights.
//!
//! The layout is that of ggml's `gguf.h` (version 2 and 3, little-endian):
//! magic, version, tensor count, key count, keys, tensor descriptions, padding, data. A file may be
//! truncated, corrupt or hostile: it costs a bounded number of reads and a [`GgufError`], never a
//! panic, a hang or a large allocation. Used by `engine` for `model inspect` and the fit check,
//! both in processes that must not die; llama.cpp reads the file again, in the child.
//!
//! Knows nothing of llama.cpp, so that tests and fuzzing need not compile it.

mod card;
mod reader;
mod source;
mod text;
mod types;

pub use card::{Card, PackedBytes, Packing, TypeUse, read_card};
pub use reader::{GgufError, Header, Tensor, Value, read_header};
pub use text::{MAX_FOREIGN_TEXT_CHARS, foreign_text};
pub use types::{TENSOR_TYPES, TensorType, tensor_type};

/// The first four bytes of a file.
pub const MAGIC: [u8; 4] = *b"GGUF";
/// Most keys; real files have a few dozen.
pub const MAX_KEYS: u64 = 4_096;
/// Most tensors; the largest public models have a few thousand.
pub const MAX_TENSORS: u64 = 65_536;
/// Longest key or string; chat templates reach a few dozen KiB.
pub const MAX_STRING_BYTES: u64 = 1 << 20;
/// Most elements in all arrays of a file together; the largest vocabularies have some 256 k tokens
/// with three arrays and as many merges.
pub const MAX_ARRAY_ELEMENTS: u64 = 8 << 20;
/// Longest name of a tensor (`GGML_MAX_NAME` less its end mark).
pub const MAX_TENSOR_NAME_BYTES: u64 = 63;
/// Most dimensions of a tensor (`GGML_MAX_DIMS`).
pub const MAX_DIMENSIONS: u32 = 4;
/// Alignment of the data where no key says otherwise (`GGUF_DEFAULT_ALIGNMENT`).
pub const DEFAULT_ALIGNMENT_BYTES: u64 = 32;
