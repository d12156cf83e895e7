//! `SwiGLU`: the gate of a feed-forward part, y = x / (1 + e^-x) * up.
//!
//! No function of the C library, which costs a hundred cycles a value on the ARM1176. Four values
//! at a time, so that none waits for its own results. Used by `backend`.

use std::f32::consts::LOG2_E;

use crate::activations::ROUNDER;
use crate::attention::SERIES;

/// Values that are computed together.
const TOGETHER: usize = 4;
/// In this range of x, e^-x and its exponent need no care.
const PLAIN: f32 = 86.0;

/// Computes it for all values, each within 1e-7 (4 + |x|) of its own size: the exponent of a gate
/// that is shut is rounded as a float of that size is.
///
/// What is not a number gives none, but for a gate of -∞, which lets nothing through.
///
/// # Panics
/// Where the slices are of different lengths.
pub fn swiglu(gate: &[f32], up: &[f32], out: &mut [f32]) {
    assert!(gate.len() == up.len() && gate.len() == out.len());
    let (gates, gates_left) = gate.as_chunks::<TOGETHER>();
    let (ups, ups_left) = up.as_chunks::<TOGETHER>();
    let (outs, outs_left) = out.as_chunks_mut::<TOGETHER>();
    for ((gate, up), out) in gates.iter().zip(ups).zip(outs) {
        *out = some(*gate, *up);
    }
    for ((gate, up), out) in gates_left.iter().zip(ups_left).zip(outs_left) {
        [*out] = some([*gate], [*up]);
    }
}

#[inline]
fn some<const N: usize>(gate: [f32; N], up: [f32; N]) -> [f32; N] {
    // Sizes of floats are in the order of their bits, and what is no number is larger than all.
    let size = |x: f32| x.to_bits() & 0x7FFF_FFFF;
    let largest = gate.iter().fold(0, |largest, &x| size(x).max(largest));
    let (gate, limited) = if largest > PLAIN.to_bits() {
        // A gate that is shut so far lets nothing through.
        let gate = gate.map(|x| if x < -PLAIN { -PLAIN } else { x });
        (gate, gate.map(|x| if x > PLAIN { PLAIN } else { x }))
    } else {
        (gate, gate)
    };
    let decays = decays(limited);
    std::array::from_fn(|at| gate[at] * up[at] / (1.0 + decays[at]))
}

/// e^-x, of |x| up to [`PLAIN`].
#[inline]
fn decays<const N: usize>(x: [f32; N]) -> [f32; N] {
    let exponents = x.map(|x| x * -LOG2_E);
    let shifted = exponents.map(|exponent| exponent + ROUNDER);
    let rests: [f32; N] = std::array::from_fn(|at| exponents[at] - (shifted[at] - ROUNDER));
    let mut series = [SERIES[0]; N];
    for term in &SERIES[1..] {
        for at in 0..N {
            series[at] = term + rests[at] * series[at];
        }
    }
    // The low bits of `shifted` are the integer part: exponents add.
    std::array::from_fn(|at| {
        f32::from_bits(
            series[at]
                .to_bits()
                .wrapping_add(shifted[at].to_bits() << 23),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(x: f32, up: f32) -> f64 {
        f64::from(x) * f64::from(up) / (1.0 + (-f64::from(x)).exp())
    }

    fn judge(gate: &[f32], up: &[f32]) {
        let mut out = vec![f32::NAN; gate.len()];
        swiglu(gate, up, &mut out);
        for ((&x, &up), &found) in gate.iter().zip(up).zip(&out) {
            let exact = exact(x, up);
            // Far below what is added to anything, for a gate that is shut.
            let most = 1.0e-7 * (4.0 + f64::from(x.abs())) * exact.abs();
            let most = most + 1.0e-33 * f64::from(up).abs();
            assert!(
                (f64::from(found) - exact).abs() <= most,
                "{x}, {up}: {found}, not {exact}"
            );
        }
    }

    proptest! {
        #[test]
        fn it_is_as_defined(
            values in prop::collection::vec((-100.0_f32..100.0, -9.0_f32..9.0), 1..40),
        ) {
            let (gate, up): (Vec<_>, Vec<_>) = values.into_iter().unzip();
            judge(&gate, &up);
        }
    }

    #[test]
    fn large_gates_are_open_or_shut() {
        let gate = [PLAIN, -PLAIN, 1.0e30, -1.0e30, 0.0, -0.0, 1.0e-30, 3.0e38];
        judge(&gate, &[1.0; 8]);
    }

    #[test]
    fn what_is_no_number_gives_none() {
        let mut out = [0.0; 8];
        let gate = [f32::NAN, 1.0, 1.0, 1.0, 1.0, f32::INFINITY, 1.0, 1.0];
        let up = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, f32::NAN, 1.0];
        swiglu(&gate, &up, &mut out);
        let finite = out.map(f32::is_finite);
        assert_eq!(finite, [false, true, true, true, true, false, false, true]);
    }
}
