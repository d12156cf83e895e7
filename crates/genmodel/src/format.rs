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
    /// 4 bits a weight for the output matrix too: the quantiser's `--pure`.
    Q4_0_PURE,
    /// A mixture around 4 bits, and around 5 where a row is not a number of blocks of 256.
    Q4_K_M,
}

/// What a matrix does, as far as its type depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The output matrix, or the embedding that stands for it.
    Output,
    /// The values of attention, and the second matrix of the feed-forward part, of a layer: some
    /// layers get more bits.
    Sensitive { layer: u32, layers: u32 },
    /// Any other.
    Other,
}

impl Role {
    /// `use_more_bits` in llama-quant.cpp: the first and last eighth, and every third between.
    const fn has_more_bits(self) -> bool {
        match self {
            Self::Sensitive { layer, layers } => {
                let eighth = layers / 8;
                layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2
            }
            _ => false,
        }
    }
}

impl Format {
    /// All, by the name that a command line has for them.
    pub const NAMED: [(&'static str, Self); 5] = [
        ("f32", Self::F32),
        ("q8_0", Self::Q8_0),
        ("q4_0", Self::Q4_0),
        ("q4_0-pure", Self::Q4_0_PURE),
        ("q4_k_m", Self::Q4_K_M),
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
            Self::Q4_0 | Self::Q4_0_PURE => 2,
            Self::Q8_0 => 7,
            Self::Q4_K_M => 15,
        }
    }

    /// The type of a matrix with rows of `columns` weights, by the rules of llama.cpp's quantiser
    /// (`llama_tensor_get_type_impl` and `tensor_type_fallback` in llama-quant.cpp): some matrices
    /// have more bits than the rest of a file, and where a row is not a number of whole blocks,
    /// the type is the next larger one whose blocks are smaller.
    pub(crate) const fn tensor_type(self, role: Role, columns: u32) -> TensorType {
        let wanted = match (self, role) {
            (Self::F32, _) => TensorType::F32,
            (Self::Q8_0, _) => TensorType::Q8_0,
            (Self::Q4_0 | Self::Q4_K_M, Role::Output) => TensorType::Q6_K,
            (Self::Q4_0 | Self::Q4_0_PURE, _) => TensorType::Q4_0,
            (Self::Q4_K_M, role) if role.has_more_bits() => TensorType::Q6_K,
            (Self::Q4_K_M, _) => TensorType::Q4_K,
        };
        match wanted {
            _ if columns.is_multiple_of(wanted.block_weights()) => wanted,
            TensorType::Q4_K => TensorType::Q5_0,
            TensorType::Q6_K => TensorType::Q8_0,
            _ => wanted,
        }
    }
}

/// How one tensor is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "as everybody writes them")]
pub(crate) enum TensorType {
    F32,
    Q4_0,
    Q4_K,
    Q5_0,
    Q6_K,
    Q8_0,
}

impl TensorType {
    /// `enum ggml_type` in ggml.h.
    pub(crate) const fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::Q4_0 => 2,
            Self::Q5_0 => 6,
            Self::Q8_0 => 8,
            Self::Q4_K => 12,
            Self::Q6_K => 14,
        }
    }

    /// Weights that share a scale.
    pub(crate) const fn block_weights(self) -> u32 {
        match self {
            Self::F32 => 1,
            Self::Q4_0 | Self::Q5_0 | Self::Q8_0 => 32,
            Self::Q4_K | Self::Q6_K => 256,
        }
    }

    /// Bytes of a block: the `block_*` structures in ggml-common.h.
    pub(crate) const fn block_bytes(self) -> u32 {
        match self {
            Self::F32 => 4,
            Self::Q4_0 => 18,
            Self::Q5_0 => 22,
            Self::Q8_0 => 34,
            Self::Q4_K => 144,
            Self::Q6_K => 210,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_matrix_of_a_q4_0_file_has_more_bits() {
        let of = |role, columns| Format::Q4_0.tensor_type(role, columns);
        assert_eq!(of(Role::Other, 576), TensorType::Q4_0);
        assert_eq!(of(Role::Output, 576), TensorType::Q8_0);
        assert_eq!(of(Role::Output, 256), TensorType::Q6_K);
        let pure = Format::Q4_0_PURE.tensor_type(Role::Output, 576);
        assert_eq!(pure, TensorType::Q4_0);
        assert_eq!(Format::F32.tensor_type(Role::Output, 256), TensorType::F32);
    }

    #[test]
    fn a_mixture_gives_some_layers_more_bits() {
        let of = |layer, columns| {
            let role = Role::Sensitive { layer, layers: 30 };
            Format::Q4_K_M.tensor_type(role, columns)
        };
        let more = (0..30).filter(|&layer| of(layer, 256) == TensorType::Q6_K);
        let expected = [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29];
        assert_eq!(more.collect::<Vec<_>>(), expected);
        assert_eq!(
            (of(3, 256), of(3, 576)),
            (TensorType::Q4_K, TensorType::Q5_0)
        );
        assert_eq!(of(2, 576), TensorType::Q8_0);
    }
}
