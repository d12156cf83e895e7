//! Random weights, drawn in the type that they are stored in, so that a large model is written in
//! seconds. Norms are 1, and a matrix keeps the length of a vector about the same: numbers stay in
//! the range in which a trained model computes, from the first layer to the last.

use crate::format::TensorType;
use crate::random::Random;
use crate::tensors::Tensor;

/// Of each scale in a `Q6_K` block; the block's own scale is the smaller for it.
const Q6_K_SCALE: i8 = 16;
const Q6_K_SCALES: usize = 16;

/// Each of the 8 scales and 8 minima in a `Q4_K` block …
const Q4_K_SCALE: f32 = 32.0;
/// … and how `get_scale_min_k4` in ggml-quants.c reads them: of the last four of each, the two high
/// bits of six are above the first four, and the low ones, here 0, are in bytes of their own.
const Q4_K_SCALES: [u8; 12] = {
    const FIRST: u8 = 32 | (32 >> 4) << 6;
    [
        FIRST, FIRST, FIRST, FIRST, FIRST, FIRST, FIRST, FIRST, 0, 0, 0, 0,
    ]
};

/// Appends one row.
pub(crate) fn row(tensor: &Tensor, random: &mut Random, out: &mut Vec<u8>) {
    if tensor.is_norm() {
        (0..tensor.columns).for_each(|_| out.extend(1f32.to_le_bytes()));
        return;
    }
    // Weights are drawn uniformly from -limit to limit, which has the standard deviation
    // limit / sqrt(3).
    let deviation = 1.0 / f32::sqrt(tensor.columns as f32);
    let limit = deviation * f32::sqrt(3.0);
    for _ in 0..tensor.columns / tensor.kind.block_weights() {
        block(tensor.kind, limit, random, out);
    }
}

/// One block: the `block_*` structures in ggml-common.h.
fn block(kind: TensorType, limit: f32, random: &mut Random, out: &mut Vec<u8>) {
    // Of the largest quantised number.
    const Q4_LIMIT: f32 = 8.0;
    const Q5_0_LIMIT: f32 = 16.0;
    const Q6_K_LIMIT: f32 = 32.0;
    const Q8_0_LIMIT: f32 = 128.0;
    match kind {
        TensorType::F32 => out.extend((random.signed() * limit).to_le_bytes()),
        TensorType::Q4_0 => {
            out.extend(f16(limit / Q4_LIMIT).to_le_bytes());
            noise(16, random, out);
        }
        TensorType::Q5_0 => {
            out.extend(f16(limit / Q5_0_LIMIT).to_le_bytes());
            // The high bit of each weight, and the 4 low ones.
            noise(4 + 16, random, out);
        }
        TensorType::Q4_K => {
            // From 0 to 15, less a minimum that makes it -8 to 7.
            let scale = limit / Q4_LIMIT / Q4_K_SCALE;
            out.extend(f16(scale).to_le_bytes());
            out.extend(f16(scale * Q4_LIMIT).to_le_bytes());
            out.extend(Q4_K_SCALES);
            noise(128, random, out);
        }
        TensorType::Q8_0 => {
            out.extend(f16(limit / Q8_0_LIMIT).to_le_bytes());
            noise(32, random, out);
        }
        TensorType::Q6_K => {
            // 4 low and 2 high bits of each weight.
            noise(128 + 64, random, out);
            out.extend([Q6_K_SCALE.to_le_bytes()[0]; Q6_K_SCALES]);
            let scale = limit / Q6_K_LIMIT / f32::from(Q6_K_SCALE);
            out.extend(f16(scale).to_le_bytes());
        }
    }
}

fn noise(bytes: usize, random: &mut Random, out: &mut Vec<u8>) {
    let end = out.len() + bytes;
    while out.len() < end {
        out.extend(random.bits().to_le_bytes());
    }
    out.truncate(end);
}

/// The IEEE 754 half-precision number that is just below a number; 0 below its normal range, the
/// largest above it.
fn f16(value: f32) -> u16 {
    const F32_BIAS: u32 = 127;
    const F16_BIAS: u32 = 15;
    const F16_LARGEST: u16 = 0x7bff;
    let bits = value.to_bits();
    let exponent = (bits >> 23) + F16_BIAS;
    let fraction = ((bits >> 13) & 0x3ff) as u16;
    match exponent.checked_sub(F32_BIAS) {
        None | Some(0) => 0,
        Some(exponent @ 1..=30) => ((exponent as u16) << 10) | fraction,
        Some(_) => F16_LARGEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_known_numbers() {
        assert_eq!(f16(1.0), 0x3c00);
        assert_eq!(f16(0.5), 0x3800);
        assert_eq!(f16(65_504.0), 0x7bff);
        assert_eq!(f16(0.000_061_035_156), 0x0400);
        assert_eq!(f16(1e-30), 0);
        assert_eq!(f16(1e30), 0x7bff);
    }

    #[test]
    fn a_block_has_the_bytes_of_its_type() {
        use TensorType::{F32, Q4_0, Q4_K, Q5_0, Q6_K, Q8_0};
        for kind in [F32, Q4_0, Q4_K, Q5_0, Q6_K, Q8_0] {
            let mut bytes = Vec::new();
            block(kind, 0.1, &mut Random::new(1), &mut bytes);
            assert_eq!(bytes.len(), kind.block_bytes() as usize, "{kind:?}");
        }
    }
}
