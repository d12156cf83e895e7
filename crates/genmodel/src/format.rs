//! How matrices are stored: the formats of a file, and the tensor types that they mix.

/// The format of a file, as llama.cpp's quantiser names it. Norms are always F32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "as everybody writes them")]
pub enum Format {
    /// Not quantised.
    F32,
    /// 8 bits a weight.
    Q8_0,
    /// 4 bits a weight, and more for the output matrix.
    Q4_0,
}

impl Format {
    /// All, by the name that a command line has for them.
    pub const NAMED: [(&'static str, Self); 3] = [
        ("f32", Self::F32),
        ("q8_0", Self::Q8_0),
        ("q4_0", Self::Q4_0),
    ];

    /// One of [`Self::NAMED`].
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let found = Self::NAMED.iter().find(|(known, _)| *known == name);
        found.map(|(_, format)| *format)
    }

    /// `general.file_type` (`enum llama_ftype` in llama.h).
    pub(crate) const fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::Q4_0 => 2,
            Self::Q8_0 => 7,
        }
    }

    /// The type of a matrix with rows of `columns` weights, by the rules of llama.cpp's quantiser
    /// (`llama_tensor_get_type_impl` and `tensor_type_fallback` in llama-quant.cpp): the output
    /// matrix, or the embedding that stands for it, has 6 bits a weight in a `Q4_0` file, or 8
    /// where a row is not a number of whole blocks of that type.
    pub(crate) const fn tensor_type(self, is_output: bool, columns: u32) -> TensorType {
        match self {
            Self::F32 => TensorType::F32,
            Self::Q8_0 => TensorType::Q8_0,
            Self::Q4_0 if !is_output => TensorType::Q4_0,
            Self::Q4_0 if columns.is_multiple_of(TensorType::Q6_K.block_weights()) => {
                TensorType::Q6_K
            }
            Self::Q4_0 => TensorType::Q8_0,
        }
    }
}

/// How one tensor is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "as everybody writes them")]
pub(crate) enum TensorType {
    F32,
    Q4_0,
    Q6_K,
    Q8_0,
}

impl TensorType {
    /// `enum ggml_type` in ggml.h.
    pub(crate) const fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::Q4_0 => 2,
            Self::Q8_0 => 8,
            Self::Q6_K => 14,
        }
    }

    /// Weights that share a scale.
    pub(crate) const fn block_weights(self) -> u32 {
        match self {
            Self::F32 => 1,
            Self::Q4_0 | Self::Q8_0 => 32,
            Self::Q6_K => 256,
        }
    }

    /// Bytes of a block: the `block_*` structures in ggml-common.h.
    pub(crate) const fn block_bytes(self) -> u32 {
        match self {
            Self::F32 => 4,
            Self::Q4_0 => 18,
            Self::Q8_0 => 34,
            Self::Q6_K => 210,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_matrix_of_a_q4_0_file_has_more_bits() {
        let of = |is_output, columns| Format::Q4_0.tensor_type(is_output, columns);
        assert_eq!(of(false, 576), TensorType::Q4_0);
        assert_eq!(of(true, 576), TensorType::Q8_0);
        assert_eq!(of(true, 256), TensorType::Q6_K);
        assert_eq!(Format::F32.tensor_type(true, 256), TensorType::F32);
    }
}
