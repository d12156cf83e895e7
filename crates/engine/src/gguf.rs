//! GGUF model files as the engine sees them: the header as the crate [`gguf`] reads it, and what
//! `ggml-armv6` packs of it.
//!
//! Used by [`crate::inspect`] and the fit check.

use std::path::Path;

use ggml_armv6::pack::Layout;

pub use ::gguf::{Card, GgufError, Header, MAGIC, Packing, Tensor, TypeUse, read_header};

/// Reads the card of a file.
///
/// # Errors
/// See [`GgufError`].
pub fn read_card(path: &Path) -> Result<Card, GgufError> {
    ::gguf::read_card(path, packed_bytes)
}

/// Interprets a header of a file of `file_bytes`.
///
/// # Errors
/// [`GgufError::Damaged`] when a figure that is needed is missing or out of range.
pub fn card(header: &Header, file_bytes: u64) -> Result<Card, GgufError> {
    Card::from_header(header, file_bytes, packed_bytes)
}

/// What is packed: matrices of types that `ggml-armv6` knows.
fn packed_bytes(tensor: &Tensor) -> Option<u64> {
    let [columns, rows] = tensor.dimensions[..] else {
        return None;
    };
    let size = |extent: u64| usize::try_from(extent).ok();
    let layout = Layout::of(tensor.kind.id, size(rows)?, size(columns)?)?;
    Some(layout.bytes() as u64)
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use ::gguf::{TENSOR_TYPES, tensor_type};

    #[test]
    fn the_table_agrees_with_the_library() {
        for known in &TENSOR_TYPES {
            let id = known.id as llama_cpp_sys_2::ggml_type;
            // SAFETY: pure look-ups in static tables, for ids below GGML_TYPE_COUNT.
            let (weights, bytes, name) = unsafe {
                (
                    llama_cpp_sys_2::ggml_blck_size(id),
                    llama_cpp_sys_2::ggml_type_size(id),
                    CStr::from_ptr(llama_cpp_sys_2::ggml_type_name(id)),
                )
            };
            assert_eq!(
                u64::try_from(weights).unwrap(),
                known.block_weights,
                "{}",
                known.name
            );
            assert_eq!(bytes as u64, known.block_bytes, "{}", known.name);
            assert!(
                name.to_str().unwrap().eq_ignore_ascii_case(known.name),
                "{name:?}"
            );
        }
    }

    #[test]
    fn no_type_of_the_library_is_missing() {
        for id in 0..llama_cpp_sys_2::GGML_TYPE_COUNT {
            // SAFETY: as above.
            let in_use = unsafe { llama_cpp_sys_2::ggml_blck_size(id) } > 0;
            assert_eq!(in_use, tensor_type(id).is_some(), "type {id}");
        }
    }
}
