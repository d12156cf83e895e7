//! Which tensors a model has, of which size and type, and where each lies.

use crate::format::{Format, Role, TensorType};
use crate::gguf::TensorInfo;
use crate::shape::Shape;

/// One tensor: a matrix, or a norm with one row.
#[derive(Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    /// Weights in a row.
    pub(crate) columns: u32,
    /// `None`: a norm.
    rows: Option<u32>,
    pub(crate) kind: TensorType,
    /// Whether its rows are what a token's chance is computed from.
    pub(crate) is_output: bool,
}

impl Tensor {
    pub(crate) fn rows(&self) -> u32 {
        self.rows.unwrap_or(1)
    }

    pub(crate) fn is_norm(&self) -> bool {
        self.rows.is_none()
    }

    pub(crate) fn row_bytes(&self) -> u64 {
        let blocks = u64::from(self.columns / self.kind.block_weights());
        blocks * u64::from(self.kind.block_bytes())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.row_bytes() * u64::from(self.rows())
    }
}

/// All tensors, in the order of the file.
pub(crate) fn tensors(shape: &Shape, format: Format) -> Vec<Tensor> {
    let matrix = |name: String, columns: u32, rows: u32, role: Role| Tensor {
        name,
        columns,
        rows: Some(rows),
        kind: format.tensor_type(role, columns),
        is_output: role == Role::Output,
    };
    let norm = |name: String| Tensor {
        name,
        columns: shape.embedding,
        rows: None,
        kind: TensorType::F32,
        is_output: false,
    };
    let (embedding, feed_forward) = (shape.embedding, shape.feed_forward);
    let kv = shape.head() * shape.kv_heads;
    let whole = |name: &str, role| {
        let name = format!("{name}.weight");
        matrix(name, embedding, shape.vocabulary, role)
    };
    let embedding_role = if shape.tied {
        Role::Output
    } else {
        Role::Other
    };
    let mut all = vec![whole("token_embd", embedding_role)];
    for layer in 0..shape.layers {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        let part = |part: &str, columns, rows| matrix(name(part), columns, rows, Role::Other);
        let layers = shape.layers;
        let sensitive = Role::Sensitive { layer, layers };
        all.push(norm(name("attn_norm")));
        all.push(part("attn_q", embedding, embedding));
        all.push(part("attn_k", embedding, kv));
        all.push(matrix(name("attn_v"), embedding, kv, sensitive));
        all.push(part("attn_output", embedding, embedding));
        all.push(norm(name("ffn_norm")));
        all.push(part("ffn_gate", embedding, feed_forward));
        all.push(part("ffn_up", embedding, feed_forward));
        all.push(matrix(name("ffn_down"), feed_forward, embedding, sensitive));
    }
    all.push(norm("output_norm.weight".to_owned()));
    if !shape.tied {
        all.push(whole("output", Role::Output));
    }
    all
}

/// What the header says about them. Each begins at a multiple of the alignment.
pub(crate) fn infos(tensors: &[Tensor], alignment_bytes: u32) -> Vec<TensorInfo> {
    let mut offset_bytes: u64 = 0;
    let mut infos = Vec::new();
    for tensor in tensors {
        let dimensions = [Some(tensor.columns), tensor.rows];
        infos.push(TensorInfo {
            name: tensor.name.clone(),
            dimensions: dimensions.into_iter().flatten().collect(),
            type_id: tensor.kind.id(),
            offset_bytes,
        });
        offset_bytes = (offset_bytes + tensor.bytes()).next_multiple_of(alignment_bytes.into());
    }
    infos
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIGNMENT_BYTES: u32 = 64;

    fn parameters(shape: Shape) -> u64 {
        let tensors = tensors(&shape, Format::F32);
        tensors.iter().map(|tensor| tensor.bytes() / 4).sum()
    }

    /// As the model cards say; stories15M's own count has the output matrix only once.
    #[test]
    fn parameters_of_known_models() {
        assert_eq!(parameters(Shape::smollm2_135m()), 134_515_008);
        assert_eq!(parameters(Shape::stories15m()), 15_191_712 + 32_000 * 288);
    }

    #[test]
    fn tensors_begin_where_they_may() {
        for (name, shape) in Shape::NAMED {
            let tensors = tensors(&shape, Format::Q4_0);
            let mut end = 0;
            for (tensor, info) in tensors.iter().zip(infos(&tensors, ALIGNMENT_BYTES)) {
                assert!(
                    info.offset_bytes >= end
                        && info.offset_bytes < end + u64::from(ALIGNMENT_BYTES)
                );
                assert!(
                    info.offset_bytes.is_multiple_of(ALIGNMENT_BYTES.into()),
                    "{name}"
                );
                end = info.offset_bytes + tensor.bytes();
            }
        }
    }
}
