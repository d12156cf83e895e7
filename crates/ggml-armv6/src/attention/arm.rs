//! [`super::products`] in assembly for the ARM1176: the floating-point unit works on short vectors
//! of four while the integer unit converts the next four f16.
//!
//! VFPv2 has short vectors: with a length in FPSCR, `vmla.f32 s8, s24, s0` is four multiplications
//! with one scalar, s8..s11 += s24..s27 · s0. They take four cycles in their unit, in which three
//! other instructions are issued. So one instruction does for four, and most of the conversion is
//! free. Linux saves and restores the length with the other state, and clears it for signal
//! handlers. `VFPv3` and later do without, so [`has_short_vectors`] asks the kernel, and where it
//! says no the portable code runs.
//!
//! The registers in all loops: s8 to s23 sums, four for each query; s24 to s27 (X) four converted
//! elements for an even step, s28 to s31 (Y) for an odd one; s0 to s3 and s4 to s7 what they are
//! multiplied with. While X is multiplied Y is converted, and the other way round.
//!
//! Two f16 in a word `w` become two f32 by `M & ((w << 16) >> 3)` and `M & (w >> 3)`, with
//! arithmetic shifts and `M` = [`KEEP`]: sign, a zero where f32 has three more bits of exponent,
//! exponent and mantissa.

use std::arch::global_asm;
use std::sync::OnceLock;

use super::products::{Accumulate, LANES, Quad, Score};
use super::softmax::{LOWEST, MAGIC, SERIES};

/// What is kept of the moved bits of an f16.
const KEEP: u32 = 0x8FFF_E000;
/// Elements that one pass of the loops takes: a cache line.
const STEP: usize = 16;
/// Bytes of a cache line.
const LINE: usize = 32;

/// What the assembly reads and changes. The order is part of it.
#[repr(C)]
struct ScoreArguments {
    k: *const u16,
    stride_bytes: usize,
    q: *const f32,
    scores: *mut f32,
    steps: usize,
    groups: usize,
    factor: f32,
    keep: u32,
}

/// What the assembly reads and changes. The order is part of it.
#[repr(C)]
struct AccumulateArguments {
    v: *const u16,
    sums: *mut f32,
    stride_bytes: usize,
    weights: *const f32,
    quads: usize,
    bands: usize,
    /// From the last line of a cell to what is read after this block.
    next_bytes: usize,
    keep: u32,
}

/// What the assembly reads and changes. The order is part of it.
#[repr(C)]
struct WeighArguments {
    scores: *const f32,
    weights: *mut f32,
    score_stride_bytes: usize,
    weight_stride_bytes: usize,
    groups: usize,
    queries: usize,
    /// The bits of [`LOWEST`] without its sign, moved up by one.
    lowest: u32,
    max: *const f32,
    sums: *mut f32,
    magic: f32,
    series: [f32; 6],
}

unsafe extern "C" {
    fn ggml_armv6_attention_largest(
        scores: *const f32,
        groups: usize,
        stride_bytes: usize,
        start: u32,
    ) -> u32;
    fn ggml_armv6_attention_weights(arguments: *mut WeighArguments);
    fn ggml_armv6_attention_scores_1(arguments: *mut ScoreArguments);
    fn ggml_armv6_attention_scores_2(arguments: *mut ScoreArguments);
    fn ggml_armv6_attention_scores_3(arguments: *mut ScoreArguments);
    fn ggml_armv6_attention_scores_4(arguments: *mut ScoreArguments);
    fn ggml_armv6_attention_values_1(arguments: *mut AccumulateArguments);
    fn ggml_armv6_attention_values_2(arguments: *mut AccumulateArguments);
    fn ggml_armv6_attention_values_3(arguments: *mut AccumulateArguments);
    fn ggml_armv6_attention_values_4(arguments: *mut AccumulateArguments);
}

/// Whether the rows can be read by double words and whole steps.
fn fits(rows: &[u16], stride: usize, width: usize) -> bool {
    rows.as_ptr().addr().is_multiple_of(8)
        && stride.is_multiple_of(8 / size_of::<u16>())
        && width.is_multiple_of(STEP)
        && width > 0
        && has_short_vectors()
}

/// Scores as many cells as can be read in whole groups, and says how many groups that were.
pub(super) fn score<const N: usize>(what: &Score<'_, N>, scores: &mut [Quad]) -> usize {
    let groups = what.cells.div_ceil(LANES).min(what.readable / LANES);
    if groups == 0 || !fits(what.k, what.stride, what.width) {
        return 0;
    }
    assert!(what.k.len() >= (groups * LANES - 1) * what.stride + what.width);
    assert!(what.q.len() >= what.width * N);
    assert!(scores.len() >= groups * N);
    let mut arguments = ScoreArguments {
        k: what.k.as_ptr(),
        stride_bytes: what.stride * size_of::<u16>(),
        q: what.q.as_ptr(),
        scores: scores.as_mut_ptr().cast(),
        steps: what.width / STEP,
        groups,
        factor: what.factor,
        keep: KEEP,
    };
    // SAFETY: reads `width` elements of each of `groups * LANES` keys, which the first assertion
    // found in `k`, and `width * N` queries; writes `groups * N * LANES` scores. `fits` has seen to
    // alignment, to whole and at least one step, and that the processor has the instructions.
    unsafe {
        match N {
            1 => ggml_armv6_attention_scores_1(&raw mut arguments),
            2 => ggml_armv6_attention_scores_2(&raw mut arguments),
            3 => ggml_armv6_attention_scores_3(&raw mut arguments),
            4 => ggml_armv6_attention_scores_4(&raw mut arguments),
            _ => return 0,
        }
    }
    groups
}

/// Adds the values of as many cells as can be read in fours, and says how many cells that were.
pub(super) fn accumulate<const N: usize>(what: &Accumulate<'_, N>, sums: &mut [Quad]) -> usize {
    let quads = what.cells.div_ceil(LANES).min(what.readable / LANES);
    if quads == 0 || !fits(what.v, what.stride, what.width) {
        return 0;
    }
    let cells = quads * LANES;
    assert!(what.v.len() >= (cells - 1) * what.stride + what.width);
    assert!(what.weights.len() >= cells * N);
    assert!(sums.len() >= what.width / LANES * N);
    let bands = what.width / STEP;
    let mut arguments = AccumulateArguments {
        v: what.v.as_ptr(),
        sums: sums.as_mut_ptr().cast(),
        stride_bytes: what.stride * size_of::<u16>(),
        weights: what.weights.as_ptr(),
        quads,
        bands,
        next_bytes: (cells * what.stride * size_of::<u16>()).wrapping_sub((bands - 1) * LINE),
        keep: KEEP,
    };
    // SAFETY: reads `width` elements of each of `cells` values, which the first assertion found in
    // `v`, and `cells * N` weights; reads and writes `width * N` sums. `fits` has seen to
    // alignment, to whole and at least one step, and that the processor has the instructions.
    // What is fetched ahead may lie anywhere: that never faults.
    unsafe {
        match N {
            1 => ggml_armv6_attention_values_1(&raw mut arguments),
            2 => ggml_armv6_attention_values_2(&raw mut arguments),
            3 => ggml_armv6_attention_values_3(&raw mut arguments),
            4 => ggml_armv6_attention_values_4(&raw mut arguments),
            _ => return 0,
        }
    }
    cells
}

/// The largest of the scores of query `i` and `start`.
pub(super) fn largest<const N: usize>(scores: &[Quad], i: usize, start: f32) -> f32 {
    let groups = scores.len() / N;
    if groups == 0 {
        return start;
    }
    let scores = &scores[i..];
    assert!(scores.len() > (groups - 1) * N);
    let (stride, start) = (N * size_of::<Quad>(), start.to_bits());
    // SAFETY: reads one four of scores in `N`, `groups` times: the assertion found the last. Only
    // instructions that every ARM has.
    let bits =
        unsafe { ggml_armv6_attention_largest(scores.as_ptr().cast(), groups, stride, start) };
    f32::from_bits(bits)
}

/// Weights of all scores; adds them to the sums, by lane. Whether it did: the processor must be
/// able to.
pub(super) fn weigh<const N: usize>(
    scores: &[Quad],
    max: &[f32; N],
    weights: &mut [f32],
    sums: &mut [Quad; N],
) -> bool {
    let groups = scores.len() / N;
    if groups == 0 || !has_short_vectors() {
        return false;
    }
    assert!(weights.len() >= groups * N * LANES);
    let mut arguments = WeighArguments {
        scores: scores.as_ptr().cast(),
        weights: weights.as_mut_ptr(),
        score_stride_bytes: N * size_of::<Quad>(),
        weight_stride_bytes: N * size_of::<f32>(),
        groups,
        queries: N,
        lowest: LOWEST.to_bits() << 1,
        max: max.as_ptr(),
        sums: sums.as_mut_ptr().cast(),
        magic: MAGIC,
        series: SERIES,
    };
    // SAFETY: reads `groups * N` fours of scores and `N` largest ones; writes as many weights, for
    // which the assertion found room, and `N` fours of sums. The processor has the instructions.
    unsafe { ggml_armv6_attention_weights(&raw mut arguments) };
    true
}

/// Whether the processor has VFPv2 and nothing later. The kernel says so.
fn has_short_vectors() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        use std::ffi::c_ulong;
        unsafe extern "C" {
            fn getauxval(kind: c_ulong) -> c_ulong;
        }
        /// From `linux/auxvec.h` and `asm/hwcap.h`.
        const AT_HWCAP: c_ulong = 16;
        const VFP: c_ulong = 1 << 6;
        const NEON: c_ulong = 1 << 12;
        const VFP_V3: c_ulong = 1 << 13;
        const VFP_V3_D16: c_ulong = 1 << 14;
        const VFP_V4: c_ulong = 1 << 16;
        // SAFETY: reads what the kernel left for the process; every C library of Linux has it.
        let capabilities = unsafe { getauxval(AT_HWCAP) };
        capabilities & (VFP | NEON | VFP_V3 | VFP_V3_D16 | VFP_V4) == VFP
    })
}

global_asm!(include_str!("arm.s"), options(raw));
