//! Attention against the definition, in f64.

use proptest::prelude::*;

use super::mask::f16_to_f32;
use super::products::lowered;
use super::*;

const HIDDEN: u16 = 0xFC00;

/// A small generator of numbers (splitmix64): a seed says a whole case.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }

    /// About normal, with a standard deviation of 1.
    fn normal(&mut self) -> f32 {
        let sum: f32 = (0..12)
            .map(|_| (self.next() >> 40) as f32 / 16_777_216.0)
            .sum();
        sum - 6.0
    }
}

/// Rounds towards zero, which is near enough for making numbers.
fn f32_to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = (bits & 0x7FFF_FFFF).saturating_sub(112 << 23) >> 13;
    sign | magnitude.min(0x7BFF) as u16
}

/// What `attend` counts a cache element as.
fn counted(half: u16) -> f64 {
    f64::from(lowered(half)) * 2f64.powi(112)
}

/// The numbers of a case; slices and strides are in `Attention`.
#[derive(Debug, Clone)]
struct Case {
    shape: Shape,
    q: Vec<f32>,
    k: Vec<u16>,
    v: Vec<u16>,
    mask: Vec<u16>,
    sinks: Vec<f32>,
}

#[derive(Debug, Clone)]
struct Shape {
    kv_heads: usize,
    shared: usize,
    key_width: usize,
    value_width: usize,
    cells: usize,
    tokens: usize,
    /// Elements between what is used, and before the first.
    gap: usize,
    masked: Mask,
    sinks: bool,
    softcap: f32,
    max_bias: f32,
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mask {
    None,
    /// Token t of T sees all but the last T - t - 1 cells, and some are padding.
    Causal,
    Window(usize),
    /// Any cell may be hidden.
    Holes,
    /// Any number.
    Any,
    /// Some token sees nothing.
    Empty,
}

const SMALL: Shape = Shape {
    kv_heads: 3,
    shared: 3,
    key_width: 64,
    value_width: 64,
    cells: 100,
    tokens: 1,
    gap: 0,
    masked: Mask::Causal,
    sinks: false,
    softcap: 0.0,
    max_bias: 0.0,
    seed: 1,
};

impl Shape {
    fn heads(&self) -> usize {
        self.kv_heads * self.shared
    }

    fn case(&self) -> Case {
        let mut random = Random(self.seed);
        let rows = self.cells * self.kv_heads;
        let q = self.tokens * self.heads() * (self.key_width + self.gap) + self.gap;
        let k = rows * (self.key_width + self.gap) + self.gap;
        let v = rows * (self.value_width + self.gap) + self.gap;
        Case {
            q: (0..q).map(|_| random.normal()).collect(),
            k: (0..k).map(|_| f32_to_f16(random.normal())).collect(),
            v: (0..v).map(|_| f32_to_f16(random.normal())).collect(),
            mask: self.mask(&mut random),
            sinks: (0..self.heads()).map(|_| random.normal()).collect(),
            shape: self.clone(),
        }
    }

    fn mask(&self, random: &mut Random) -> Vec<u16> {
        let padding = self.cells / 3;
        let mut mask = Vec::new();
        for token in 0..self.tokens {
            let end = (self.cells - padding + token + 1).saturating_sub(self.tokens);
            let blind = self.masked == Mask::Empty && token == random.below(self.tokens);
            for cell in 0..self.cells {
                let seen = match self.masked {
                    Mask::None => true,
                    Mask::Causal => cell < end,
                    Mask::Window(width) => cell < end && cell + width >= end,
                    Mask::Holes => random.below(3) > 0,
                    Mask::Empty => !blind && random.below(3) > 0,
                    Mask::Any => {
                        let bias = f32_to_f16(random.normal());
                        mask.push(if random.below(4) == 0 { HIDDEN } else { bias });
                        continue;
                    }
                };
                mask.push(if seen { 0 } else { HIDDEN });
            }
        }
        mask
    }
}

impl Case {
    fn attention(&self) -> Attention<'_> {
        let shape = &self.shape;
        let key = shape.key_width + shape.gap;
        let value = shape.value_width + shape.gap;
        Attention {
            q: &self.q[shape.gap..],
            // As llama.cpp has them: the heads of a token side by side.
            q_token_stride: shape.heads() * key,
            q_head_stride: key,
            k: &self.k[shape.gap..],
            k_cell_stride: shape.kv_heads * key,
            k_head_stride: key,
            v: &self.v[shape.gap..],
            v_cell_stride: shape.kv_heads * value,
            v_head_stride: value,
            mask: (shape.masked != Mask::None).then_some((&self.mask, shape.cells)),
            sinks: shape.sinks.then_some(&self.sinks),
            heads: shape.heads(),
            kv_heads: shape.kv_heads,
            key_width: shape.key_width,
            value_width: shape.value_width,
            cells: shape.cells,
            tokens: shape.tokens,
            scale: 1.0 / (shape.key_width as f32).sqrt(),
            softcap: shape.softcap,
            max_bias: shape.max_bias,
        }
    }

    fn attend(&self) -> Vec<f32> {
        let shape = &self.shape;
        let mut out = vec![f32::NAN; shape.tokens * shape.heads() * shape.value_width];
        attend(
            &self.attention(),
            &mut out,
            &mut AttentionScratch::default(),
        );
        out
    }

    /// Compares all outputs with the definition.
    fn check(&self) {
        let what = self.attention();
        let out = self.attend();
        for token in 0..what.tokens {
            for head in 0..what.heads {
                let (expected, bound) = reference(&what, token, head);
                let row = &out[(token * what.heads + head) * what.value_width..];
                for (column, (&got, expected)) in row.iter().zip(expected).enumerate() {
                    let error = (f64::from(got) - expected).abs();
                    assert!(
                        error <= bound,
                        "token {token}, head {head}, column {column}: {got} is not {expected} \
                         within {bound:e} ({:?})",
                        self.shape
                    );
                }
            }
        }
    }
}

/// The output of one head, and how far from it another may be.
fn reference(what: &Attention<'_>, token: usize, head: usize) -> (Vec<f64>, f64) {
    let kv_head = head / (what.heads / what.kv_heads);
    let q = &what.q[token * what.q_token_stride + head * what.q_head_stride..];
    let mut scores = Vec::new();
    let mut score_error: f64 = 0.0;
    for cell in 0..what.cells {
        let bias = what
            .mask
            .map_or(0, |(mask, stride)| mask[token * stride + cell]);
        if bias == HIDDEN {
            continue;
        }
        let k = &what.k[cell * what.k_cell_stride + kv_head * what.k_head_stride..];
        let products = || (0..what.key_width).map(|d| f64::from(q[d]) * counted(k[d]));
        let scale = f64::from(what.scale);
        let mut score = products().sum::<f64>() * scale;
        let magnitude = products().map(f64::abs).sum::<f64>() * scale;
        if what.softcap != 0.0 {
            let cap = f64::from(what.softcap);
            score = cap * (score / cap).tanh();
        }
        score += slope(what, head) * f64::from(f16_to_f32(bias));
        // Half a unit for each addition and product, were they all to err to one side.
        let error = magnitude * (what.key_width + 5) as f64 * 2f64.powi(-24);
        score_error = score_error.max(error + f64::from(what.softcap.abs()) * 1e-6);
        scores.push((cell, score));
    }
    let sink = what.sinks.map(|sinks| f64::from(sinks[head]));
    let all = scores.iter().map(|&(_, score)| score).chain(sink);
    let max = all.clone().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = all.map(|score| (score - max).exp()).sum();
    let mut out = vec![0.0; what.value_width];
    let mut largest: f64 = 0.0;
    for (cell, score) in &scores {
        let v = &what.v[cell * what.v_cell_stride + kv_head * what.v_head_stride..];
        let weight = (score - max).exp() / total;
        for (out, &value) in out.iter_mut().zip(v) {
            *out += weight * counted(value);
            largest = largest.max(counted(value).abs());
        }
    }
    // Relative: an error of the scores counts for the weights and for their sum.
    let sums = scores.len() as f64 * 2f64.powi(-24);
    let bound = largest * (2.0 * score_error.min(1.0) + 2e-6 + 2.0 * sums);
    // What is hidden from this token and not from its neighbours has the lowest weight, 2^-150: the
    // sum of a few hundred such values is below 1e-37.
    (out, bound + 1e-37)
}

/// ggml's formula.
fn slope(what: &Attention<'_>, head: usize) -> f64 {
    if what.max_bias == 0.0 {
        return 1.0;
    }
    let power = 2f64.powf((what.heads as f64).log2().floor());
    let bias = f64::from(what.max_bias);
    let head = head as f64;
    if head < power {
        2f64.powf(-bias / power).powf(head + 1.0)
    } else {
        2f64.powf(-bias / 2.0 / power)
            .powf(2.0 * (head - power) + 1.0)
    }
}

fn any_mask() -> impl Strategy<Value = Mask> {
    prop_oneof![
        Just(Mask::None),
        Just(Mask::Causal),
        (1usize..40).prop_map(Mask::Window),
        Just(Mask::Holes),
        Just(Mask::Any),
        Just(Mask::Empty),
    ]
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let width = prop_oneof![
        1usize..20,
        Just(48),
        Just(64),
        Just(80),
        Just(128),
        Just(36)
    ];
    let heads = (1usize..4, 1usize..10);
    let sizes = (width.clone(), width, 1usize..200, 1usize..6);
    let gap = prop_oneof![Just(0), Just(4), Just(16), 1usize..8];
    let numbers = (
        any::<bool>(),
        prop_oneof![Just(0.0f32), Just(5.0)],
        any::<u64>(),
    );
    let bias = prop_oneof![Just(0.0f32), Just(8.0)];
    (heads, sizes, gap, any_mask(), numbers, bias).prop_map(
        |(heads, sizes, gap, masked, numbers, max_bias)| Shape {
            kv_heads: heads.0,
            shared: heads.1,
            key_width: sizes.0,
            value_width: sizes.1,
            cells: sizes.2,
            tokens: sizes.3,
            gap,
            masked,
            sinks: numbers.0,
            softcap: numbers.1,
            max_bias,
            seed: numbers.2,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_shape_is_as_defined(shape in any_shape()) {
        shape.case().check();
    }

    #[test]
    fn any_bits_of_the_cache_give_numbers(shape in any_shape()) {
        let mut case = shape.case();
        let mut random = Random(shape.seed);
        for half in case.k.iter_mut().chain(&mut case.v) {
            if random.below(5) == 0 {
                *half = [0x7C00, 0xFC00, 0x7E00, 0xFE01, 0x7FFF, 0x0001, 0x83FF][random.below(7)];
            }
        }
        case.check();
    }

    #[test]
    fn weights_are_within_a_millionth(exponent in -150.0f32..0.0) {
        let got = f64::from(softmax::weight(exponent)) / f64::from(products::LIFT);
        let expected = f64::from(exponent).exp2();
        prop_assert!((got / expected - 1.0).abs() < 5e-7, "{} {}", got, expected);
    }

    #[test]
    fn tanh_is_within_a_millionth(x in -20.0f32..20.0) {
        prop_assert!((f64::from(softmax::tanh(x)) - f64::from(x).tanh()).abs() < 1e-6);
    }
}

#[test]
fn the_shapes_of_the_models_are_as_defined() {
    let widths = [(64, 3), (48, 1), (80, 2), (128, 4), (256, 5), (64, 8)];
    for (width, shared) in widths {
        for tokens in [1, 2, 7, 32] {
            let shape = Shape {
                key_width: width,
                value_width: width,
                shared,
                tokens,
                cells: 256,
                ..SMALL
            };
            Shape {
                kv_heads: 2,
                ..shape
            }
            .case()
            .check();
        }
    }
}

#[test]
fn a_token_that_sees_nothing_gets_zeros() {
    for sinks in [false, true] {
        for tokens in [1, 3] {
            let mut case = Shape {
                shared: 1,
                tokens,
                sinks,
                masked: Mask::Holes,
                ..SMALL
            }
            .case();
            case.mask[..100].fill(HIDDEN);
            let out = case.attend();
            assert!(out[..3 * 64].iter().all(|&value| value == 0.0));
            case.check();
        }
    }
}

#[test]
fn no_cells_give_zeros() {
    let case = Shape {
        cells: 0,
        masked: Mask::None,
        ..SMALL
    }
    .case();
    assert!(case.attend().iter().all(|&value| value == 0.0));
}

#[test]
fn huge_scores_choose_one_cell() {
    for factor in [1e4, 1e6, 1e9] {
        let mut case = Shape {
            masked: Mask::None,
            ..SMALL
        }
        .case();
        case.q.iter_mut().for_each(|q| *q *= factor);
        case.check();
        let what = case.attention();
        let best = (0..100).max_by(|&a, &b| {
            let dot = |cell: usize| {
                let k = &what.k[cell * what.k_cell_stride..];
                (0..64)
                    .map(|d| f64::from(what.q[d]) * counted(k[d]))
                    .sum::<f64>()
            };
            dot(a).total_cmp(&dot(b))
        });
        let v = &what.v[best.expect("a cell") * what.v_cell_stride..];
        for (got, &value) in case.attend()[..64].iter().zip(v) {
            assert!((f64::from(*got) - counted(value)).abs() < 1e-5);
        }
    }
}

#[test]
fn a_query_that_is_not_a_number_spoils_its_own_output_only() {
    for poison in [f32::NAN, -f32::NAN, f32::INFINITY] {
        let mut case = Shape { tokens: 2, ..SMALL }.case();
        let clean = case.attend();
        case.q[64 + 5] = poison;
        let out = case.attend();
        assert!(out[64..128].iter().all(|value| value.is_nan()), "{poison}");
        assert_eq!(out[..64], clean[..64]);
        assert_eq!(out[128..], clean[128..]);
    }
}

#[test]
fn hidden_cells_are_not_looked_at() {
    let mut case = Shape {
        masked: Mask::Window(10),
        ..SMALL
    }
    .case();
    let clean = case.attend();
    for cell in 0..100 {
        if case.mask[cell] == HIDDEN {
            case.k[cell * 192..][..192].fill(0x7E00);
            case.v[cell * 192..][..192].fill(0x7C00);
        }
    }
    assert_eq!(case.attend(), clean);
}

#[test]
fn small_cache_elements_err_by_less_than_a_unit_of_their_magnitude() {
    for half in 0..=0x7C00u16 {
        let error = (counted(half) - f64::from(f16_to_f32(half))).abs();
        assert!(half == 0x7C00 || error < 2f64.powi(-14), "{half:#x}");
        assert!(half < 0x400 || half == 0x7C00 || error == 0.0, "{half:#x}");
    }
}

#[test]
#[should_panic(expected = "the keys are short")]
fn a_short_cache_is_refused() {
    let mut case = SMALL.case();
    case.k.pop();
    case.attend();
}

/// Attention of a shape that the assembly takes.
#[cfg(armv6_kernels)]
pub fn attend_once() {
    let found = SMALL.case().attend();
    assert!(found.iter().all(|value| value.is_finite()));
}

/// The assembly, against the portable code.
#[cfg(armv6_kernels)]
mod assembly {
    use super::super::products::{Accumulate, LANES, Quad, Score};
    use super::*;

    fn random_quads(count: usize, random: &mut Random) -> Vec<Quad> {
        (0..count)
            .map(|_| std::array::from_fn(|_| random.normal()))
            .collect()
    }

    fn bits(quads: &[Quad]) -> Vec<u32> {
        quads
            .as_flattened()
            .iter()
            .map(|value| value.to_bits())
            .collect()
    }

    fn compare<const N: usize>(seed: u64) {
        let mut random = Random(seed);
        for width in [16, 32, 48, 64, 80, 96, 112, 128, 256] {
            for cells in [1usize, 2, 3, 4, 5, 31, 32, 64] {
                let stride = width + 4 * random.below(5);
                let readable = cells.next_multiple_of(LANES);
                // Double words, because the assembly wants their alignment.
                let halves: Vec<[u16; 4]> = (0..readable * stride / 4)
                    .map(|_| std::array::from_fn(|_| (random.next() & 0xFFFF) as u16))
                    .collect();
                let cache = align(&halves);
                scores_agree::<N>(cache, stride, width, cells, &mut random);
                values_agree::<N>(cache, stride, width, cells, &mut random);
            }
        }
        weights_agree::<N>(&mut random);
    }

    fn align(halves: &[[u16; 4]]) -> &[u16] {
        let halves = halves.as_flattened();
        // An allocation of at least eight bytes starts at a multiple of eight with musl and glibc.
        assert!(halves.as_ptr().addr().is_multiple_of(8));
        halves
    }

    fn scores_agree<const N: usize>(
        k: &[u16],
        stride: usize,
        width: usize,
        cells: usize,
        random: &mut Random,
    ) {
        let q: Vec<f32> = (0..width * N)
            .map(|_| random.normal() * products::LIFT)
            .collect();
        let readable = k.len() / stride;
        let what = Score::<N> {
            k,
            stride,
            width,
            cells,
            readable,
            q: &q,
            factor: 0.3,
        };
        let groups = cells.div_ceil(LANES);
        let mut got = vec![[0.0; LANES]; groups * N];
        let mut expected = got.clone();
        assert_eq!(arm::score(&what, &mut got), groups);
        what.portable(0, &mut expected);
        assert_eq!(
            bits(&got),
            bits(&expected),
            "{N} queries, width {width}, {cells} cells"
        );
    }

    fn values_agree<const N: usize>(
        v: &[u16],
        stride: usize,
        width: usize,
        cells: usize,
        random: &mut Random,
    ) {
        let readable = v.len() / stride;
        let mut weights: Vec<f32> = (0..readable * N)
            .map(|_| random.normal() * products::LIFT)
            .collect();
        weights[cells * N..].fill(0.0);
        let what = Accumulate::<N> {
            v,
            stride,
            width,
            cells,
            readable,
            weights: &weights,
        };
        let mut got = random_quads(width / LANES * N, random);
        let mut expected = got.clone();
        assert_eq!(arm::accumulate(&what, &mut got), readable);
        what.portable(0, &mut expected);
        assert_eq!(
            bits(&got),
            bits(&expected),
            "{N} queries, width {width}, {cells} cells"
        );
    }

    fn weights_agree<const N: usize>(random: &mut Random) {
        for groups in [1, 2, 16] {
            for rare in [f32::NEG_INFINITY, -150.1, -1e30, f32::NAN, -f32::NAN, 0.0] {
                let mut scores = random_quads(groups * N, random);
                for score in scores.as_flattened_mut() {
                    *score = match random.below(6) {
                        0 => rare,
                        _ => -(score.abs() * 20.0),
                    };
                }
                let max = std::array::from_fn(|_| random.normal().abs());
                let mut got = vec![0.0; groups * N * LANES];
                let mut expected = got.clone();
                let mut got_sums = [[1.0; LANES]; N];
                let mut expected_sums = got_sums;
                assert!(arm::weigh(&scores, &max, &mut got, &mut got_sums));
                softmax::portable(&scores, &max, &mut expected, &mut expected_sums);
                let bits = |values: &[f32]| -> Vec<u32> {
                    values
                        .iter()
                        .map(|value| (*value + 0.0).to_bits())
                        .collect()
                };
                assert_eq!(bits(&got), bits(&expected), "{N} queries, {rare}");
                let sums = |sums: &[Quad]| bits(sums.as_flattened());
                assert_eq!(sums(&got_sums), sums(&expected_sums), "{N} queries, {rare}");
            }
        }
    }

    #[test]
    fn it_gives_the_same_bits() {
        compare::<1>(1);
        compare::<2>(2);
        compare::<3>(3);
        compare::<4>(4);
    }
}
