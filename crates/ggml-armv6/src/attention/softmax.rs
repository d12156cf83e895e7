//! The softmax over the scores of a part: largest score, weights, and their sum.
//!
//! No function of the C library and no arithmetic of doubles: both are slow on the ARM1176. Scores
//! come multiplied with log₂ e, so that weights are powers of two.

use super::products::{LANES, LIFT, Quad};

/// The exponents that are told apart: what has a smaller weight gets 2⁻¹⁵⁰, which is less than the
/// sums of an f32 hold beside 1.
pub(super) const LOWEST: f32 = -150.0;
/// Adding it leaves an integer in the low bits: the usual 1.5·2²³, and the exponent of [`LIFT`], so
/// that the weights carry that factor.
pub(super) const MAGIC: f32 = 12_582_912.0 + 96.0;
/// 2ˣ for |x| ≤ 1/2 within 1.5e-7: coefficients of x⁵ to x⁰, by Remez's algorithm.
pub(crate) const SERIES: [f32; 6] = [
    0.001_327_643_8,
    0.009_675_575,
    0.055_507_135,
    0.240_221_19,
    0.693_146_94,
    1.0,
];

/// The largest of the scores of query `i` and `start`; `scores` is `[groups][N]`.
///
/// A score that is not a number counts as larger than all or not at all: [`weigh`] sees it.
#[cfg(not(armv6_kernels))]
pub(super) fn largest<const N: usize>(scores: &[Quad], i: usize, start: f32) -> f32 {
    let groups = scores.as_chunks::<N>().0;
    groups
        .iter()
        .flat_map(|group| group[i])
        .fold(start, f32::max)
}
#[cfg(armv6_kernels)]
pub(super) use super::arm::largest;

/// Writes the weights of scores `[groups][N]` as `[groups * LANES][N]`, and adds them to the sums.
pub(super) fn weigh<const N: usize>(
    scores: &[Quad],
    max: &[f32; N],
    weights: &mut [f32],
    total: &mut [f32; N],
) {
    // -∞ where the query sees nothing: any other number will do.
    let max = max.map(|max| if max == f32::NEG_INFINITY { 0.0 } else { max });
    let mut sums = [[0.0; LANES]; N];
    #[cfg(armv6_kernels)]
    let done = super::arm::weigh(scores, &max, weights, &mut sums);
    #[cfg(not(armv6_kernels))]
    let done = false;
    if !done {
        portable(scores, &max, weights, &mut sums);
    }
    for (total, [a, b, c, d]) in total.iter_mut().zip(sums) {
        *total += (a + b) + (c + d);
    }
}

/// The weights, and their sums by lane, for any processor.
pub(super) fn portable<const N: usize>(
    scores: &[Quad],
    max: &[f32; N],
    weights: &mut [f32],
    sums: &mut [Quad; N],
) {
    let groups = scores.as_chunks::<N>().0;
    let slots = weights.as_chunks_mut::<N>().0.as_chunks_mut::<LANES>().0;
    for (scores, slots) in groups.iter().zip(slots) {
        for i in 0..N {
            for lane in 0..LANES {
                let weight = weight(scores[i][lane] - max[i]);
                slots[lane][i] = weight;
                sums[i][lane] += weight;
            }
        }
    }
}

/// 2 to the `exponent`, which is at most 0, times [`LIFT`]. Relative error below 5e-7. Not a number
/// for what is none.
#[inline]
pub(super) fn weight(exponent: f32) -> f32 {
    if exponent.is_nan() {
        return f32::NAN;
    }
    let exponent = if exponent < LOWEST { LOWEST } else { exponent };
    let shifted = exponent + MAGIC;
    let rest = exponent - (shifted - MAGIC);
    let series = SERIES[1..]
        .iter()
        .fold(SERIES[0], |sum, term| term + rest * sum);
    // The low bits of `shifted` are the integer part and LIFT's exponent: exponents add.
    f32::from_bits(series.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// The hyperbolic tangent within 1e-6.
pub(super) fn tanh(x: f32) -> f32 {
    let decay = weight(-2.0 * std::f32::consts::LOG2_E * x.abs()) / LIFT;
    ((1.0 - decay) / (1.0 + decay)).copysign(x)
}
