//! A vector of f32 as the 16-bit coefficients that the kernels multiply packed weights by.
//!
//! The vector is scaled so that one integer step is small and yet no 32-bit sum overflows: a sum of
//! products of integers is bounded by the product of the roots of both sums of squares
//! (Cauchy-Schwarz), and a matrix knows its own. Sums may wrap around on the way; the result
//! cannot. So a large value in one place leaves many bits to the others, and where it leaves too
//! few ([`Norms::is_coarse`]), what rounding lost is multiplied in a second pass ([`subtract`]).
//!
//! 4 bits. A half word is S = n0 + 16 n1 + 256 n2 + 4096 n3 (the top one signed). The kernel
//! multiplies S by a3, and `n_i`, moved to bit 11, by `c_i`. With
//!
//! ```text
//! c_i = 2 a_i - a3 16^i / 2048,  i = 0, 1, 2
//! ```
//!
//! the sum is 4096 (a0 n0 + a1 n1 + a2 n2 + a3 n3). `c_i` is rounded once, so it carries `a_i` in
//! steps of a half. n0, n1 and n2 are 8 more than what they stand for; what that adds, the same for
//! every row, is subtracted where the sum begins.
//!
//! 5 bits. A half word is S = n0 + 32 n1 + 2048 n2, multiplied by a2; n0 and n1 are moved to bit 10
//! and begin 16 too high. With
//!
//! ```text
//! c_i = 2 a_i - a2 32^i / 1024,  i = 0, 1
//! ```
//!
//! the sum is 2048 (a0 n0 + a1 n1 + a2 n2). The two columns that are left over are such a half
//! without n1.
//!
//! 8 bits. A half word is S = x0 + 256 x1. The kernel multiplies S by a1, and x0, moved to bit 8,
//! by `c_0` = `a_0` - a1 / 256: the sum is 256 (a0 x0 + a1 x1).
//!
//! Used by [`crate::matrix`].

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers are cut into lanes, bytes and nibbles on purpose"
)]

mod five;

use crate::pack::{BLOCK_COLUMNS, BLOCK_LIMIT, Format, column_of, words_of};

/// Vectors that a tile kernel takes at once.
pub const TILE: usize = 4;
/// Pairs of words in a block of coefficients, by format: for 4 and 5 bits, of which the first is
/// for what integers begin too high by and for minima, and for 8.
const OFFSET_PAIRS: usize = 9;
const EIGHT_PAIRS: usize = 8;
/// Adding it rounds an f32 to an integer, which then is the difference of the bits.
pub(crate) const ROUNDER: f32 = 12_582_912.0;
/// What a block's sum is multiplied by for its minimum.
const MINIMUM_UNIT: f32 = 32_768.0;
/// Below such a sum, squares of single values may have been too small for an f32.
const SMALL_SQUARES: f32 = 1.0e-30;
/// Below so many steps in the mean of what is not an outlier, what is lost matters.
const FINE_MEAN: f32 = 48.0;
/// The same in the block where that is least.
const FINE_BLOCK: f32 = 12.0;

/// Sizes of a vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norms {
    /// Root of the sum of squares.
    pub whole: f32,
    /// The largest such root of 32 columns.
    pub block: f32,
    /// Mean of the sizes of what is not an outlier: of each 32 columns the sum less the root of the
    /// sum of squares, which one value that is larger by far adds nothing to.
    pub mean: f32,
    /// The least such mean of 32 columns that are not all zeros.
    pub least: f32,
}

impl Norms {
    /// Of a vector whose length is a multiple of 32.
    #[must_use]
    pub fn of(vector: &[f32]) -> Self {
        let mut sums = Sums::default();
        for values in vector.as_chunks::<BLOCK_COLUMNS>().0 {
            let (mut sum, mut size) = ([0.0_f32; 4], [0.0_f32; 4]);
            for four in values.as_chunks::<4>().0 {
                for at in 0..4 {
                    sum[at] += four[at] * four[at];
                    size[at] += four[at].abs();
                }
            }
            sums.add(
                (sum[0] + sum[1]) + (sum[2] + sum[3]),
                (size[0] + size[1]) + (size[2] + size[3]),
            );
        }
        let is_small = sums.squares < SMALL_SQUARES && sums.block > 0.0;
        if sums.squares.is_finite() && !is_small {
            return sums.norms(vector.len(), 1.0);
        }
        Self::of_any(vector)
    }

    /// The same for values whose squares are too large or too small for an f32, or which are no
    /// numbers: of the vector made shorter.
    #[cold]
    fn of_any(vector: &[f32]) -> Self {
        let largest = vector.iter().fold(0.0, |largest: f32, value| {
            if value.abs() > largest || value.is_nan() {
                value.abs()
            } else {
                largest
            }
        });
        let mut sums = Sums::default();
        for values in vector.chunks_exact(BLOCK_COLUMNS) {
            let shorter = || values.iter().map(|value| value / largest);
            sums.add(
                shorter().map(|value| value * value).sum(),
                shorter().map(f32::abs).sum(),
            );
        }
        sums.norms(vector.len(), largest)
    }

    /// Integer steps in 1.0 for a matrix with this limit; 0 for a vector of zeros, and `None` for
    /// one that holds what is no number, or whose length is none.
    #[must_use]
    pub fn steps(&self, limit: f32) -> Option<f32> {
        if !self.whole.is_finite() || !self.block.is_finite() || !self.mean.is_finite() {
            return None;
        }
        if self.whole <= 0.0 {
            return Some(0.0);
        }
        let steps = (BLOCK_LIMIT / self.block).min(limit / self.whole);
        // So small a vector that its steps have no number: it counts as zero.
        Some(if steps.is_finite() { steps } else { 0.0 })
    }

    /// Whether so few steps are coarse for most of the values.
    #[must_use]
    pub fn is_coarse(&self, steps: f32) -> bool {
        self.mean * steps < FINE_MEAN || self.least * steps < FINE_BLOCK
    }
}

/// What norms are made of.
#[derive(Default)]
struct Sums {
    squares: f32,
    block: f32,
    rests: f32,
    least: Option<f32>,
}

impl Sums {
    /// Adds the sum of squares and the sum of sizes of 32 columns.
    #[inline]
    fn add(&mut self, squares: f32, sizes: f32) {
        self.squares += squares;
        self.block = if squares > self.block {
            squares
        } else {
            self.block
        };
        let rest = sizes - squares.sqrt();
        self.rests += rest;
        if sizes > 0.0 && self.least.is_none_or(|least| rest < least) {
            self.least = Some(rest);
        }
    }

    /// The norms of a vector that is so many times as long.
    fn norms(&self, length: usize, factor: f32) -> Norms {
        Norms {
            whole: self.squares.sqrt() * factor,
            block: self.block.sqrt() * factor,
            mean: self.rests / length.max(1) as f32 * factor,
            least: self.least.unwrap_or(0.0) / BLOCK_COLUMNS as f32 * factor,
        }
    }
}

/// Pairs of words for a vector.
#[must_use]
pub fn pairs(format: Format, columns: usize) -> usize {
    columns / BLOCK_COLUMNS * block_pairs(format)
}

/// Pairs of words for 32 columns of a vector.
pub(crate) const fn block_pairs(format: Format) -> usize {
    match format {
        Format::Four | Format::FourMin | Format::Five | Format::FiveMin => OFFSET_PAIRS,
        Format::Eight => EIGHT_PAIRS,
    }
}

/// Writes a vector's coefficients, per 32 columns. For 4 and 5 bits, what sums begin with and the
/// sum for minima come first. Then for each word, for 4 bits (`c_0`, `a_3`), (`c_1`, `c_2`); for 5
/// bits `a_2`, `c_0`, `c_1`, and at the end `c_0` and `a_2` in one for what is left over; for 8
/// bits (`c_0`, `a_1`). The first of a pair is its lower half; of a word's two columns the first is
/// its lower half.
pub fn write(format: Format, vector: &[f32], steps: f32, into: &mut [u64]) {
    let values = vector.as_chunks().0.iter();
    match format {
        Format::Four | Format::FourMin => {
            let blocks = into.as_chunks_mut().0.iter_mut();
            values
                .zip(blocks)
                .for_each(|(values, block)| write_four(values, steps, block));
        }
        Format::Five | Format::FiveMin => {
            let blocks = into.as_chunks_mut().0.iter_mut();
            values
                .zip(blocks)
                .for_each(|(values, block)| five::write(values, steps, block));
        }
        Format::Eight => {
            let blocks = into.as_chunks_mut().0.iter_mut();
            values
                .zip(blocks)
                .for_each(|(values, block)| write_eight(values, steps, block));
        }
    }
}

/// The nearest integer, of what is below 2^22; any integer of what is not.
#[inline]
pub(crate) fn nearest(value: f32) -> i32 {
    ((value + ROUNDER).to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32)
}

/// The same, and that integer as a float, of what is below 2^22.
#[inline]
fn nearest_both(value: f32) -> (i32, f32) {
    (nearest(value), (value + ROUNDER) - ROUNDER)
}

#[inline]
fn lanes(low: i32, high: i32) -> u32 {
    (low as u32 & 0xFFFF) | (high as u32) << 16
}

#[inline]
fn pair(first: u32, second: u32) -> u64 {
    u64::from(first) | u64::from(second) << 32
}

/// What the three lower nibbles of a half begin too high by: 8 each, for all coefficients.
#[inline]
fn excess([c0, c1, c2]: [i32; 3], top: i32) -> i32 {
    (c0.wrapping_add(c1).wrapping_add(c2) << 11).wrapping_add(top * (1 + 16 + 256))
}

fn write_four(values: &[f32; BLOCK_COLUMNS], steps: f32, block: &mut [u64; OFFSET_PAIRS]) {
    let twice = 2.0 * steps;
    let (mut begin, mut sum) = (0_i32, 0.0_f32);
    for word in 0..words_of(Format::Four) {
        let half = |half: usize| {
            let value = |nibble: usize| values[column_of(word, half * 4 + nibble)];
            let (v0, v1, v2, v3) = (value(0), value(1), value(2), value(3));
            let (top, taken) = nearest_both(v3 * steps);
            let lower = [
                nearest(v0 * twice - taken * (1.0 / 2_048.0)),
                nearest(v1 * twice - taken * (1.0 / 128.0)),
                nearest(v2 * twice - taken * (1.0 / 8.0)),
            ];
            (lower, top, v0 + v1 + v2 + v3)
        };
        let ((low, low_top, low_sum), (high, high_top, high_sum)) = (half(0), half(1));
        block[1 + 2 * word] = pair(lanes(low[0], high[0]), lanes(low_top, high_top));
        block[2 + 2 * word] = pair(lanes(low[1], high[1]), lanes(low[2], high[2]));
        let excess = excess(low, low_top).wrapping_add(excess(high, high_top));
        begin = begin.wrapping_sub(excess << 3);
        sum += low_sum + high_sum;
    }
    // |sum| * steps is at most sqrt(32) * BLOCK_LIMIT, so this fits.
    let for_minima = (sum * steps * MINIMUM_UNIT) as i32;
    block[0] = pair(begin as u32, for_minima as u32);
}

fn write_eight(values: &[f32; BLOCK_COLUMNS], steps: f32, block: &mut [u64; EIGHT_PAIRS]) {
    for (four, coefficients) in values.as_chunks::<4>().0.iter().zip(block) {
        let half = |even: f32, odd: f32| {
            let (top, taken) = nearest_both(odd * steps);
            (nearest(even * steps - taken * (1.0 / 256.0)), top)
        };
        let ((low, low_top), (high, high_top)) = (half(four[0], four[1]), half(four[2], four[3]));
        *coefficients = pair(lanes(low, high), lanes(low_top, high_top));
    }
}

/// Subtracts from a vector what its coefficients stand for: what a second pass must multiply.
pub fn subtract(format: Format, coefficients: &[u64], steps: f32, vector: &mut [f32]) {
    let step = 1.0 / steps;
    let blocks = coefficients.chunks_exact(block_pairs(format));
    for (values, block) in vector.chunks_exact_mut(BLOCK_COLUMNS).zip(blocks) {
        match format {
            Format::Four | Format::FourMin => subtract_four(&block[1..], step, values),
            Format::Five | Format::FiveMin => five::subtract(&block[1..], step, values),
            Format::Eight => subtract_eight(block, step, values),
        }
    }
}

/// Writes what a second pass must still add for minima: of the sums of a vector's blocks what the
/// first pass's integers did not say.
pub fn write_rest_of_sums(
    vector: &[f32],
    (first, first_steps): (&[u64], f32),
    (second, second_steps): (&mut [u64], f32),
) {
    let first = first.as_chunks::<OFFSET_PAIRS>().0.iter();
    let blocks = first.zip(second.as_chunks_mut::<OFFSET_PAIRS>().0);
    for (values, (first, second)) in vector.as_chunks::<BLOCK_COLUMNS>().0.iter().zip(blocks) {
        let said = (first[0] >> 32) as u32 as i32;
        let sum: f32 = values.iter().sum();
        let rest = sum - said as f32 / (first_steps * MINIMUM_UNIT);
        let rest = (rest * second_steps * MINIMUM_UNIT) as i32;
        second[0] = pair(second[0] as u32, rest as u32);
    }
}

/// The lanes of both words of a pair: `[first low, first high, second low, second high]`.
fn lanes_of(pair: u64) -> [f32; 4] {
    std::array::from_fn(|at| f32::from((pair >> (16 * at)) as u16 as i16))
}

fn subtract_four(block: &[u64], step: f32, values: &mut [f32]) {
    for (word, pairs) in block.chunks_exact(2).enumerate() {
        let [c0_low, c0_high, top_low, top_high] = lanes_of(pairs[0]);
        let [c1_low, c1_high, c2_low, c2_high] = lanes_of(pairs[1]);
        let halves = [
            [c0_low, c1_low, c2_low, top_low],
            [c0_high, c1_high, c2_high, top_high],
        ];
        for (half, [c0, c1, c2, top]) in halves.into_iter().enumerate() {
            let meant = [
                0.5 * (c0 + top * (1.0 / 2_048.0)),
                0.5 * (c1 + top * (1.0 / 128.0)),
                0.5 * (c2 + top * (1.0 / 8.0)),
                top,
            ];
            for (nibble, meant) in meant.into_iter().enumerate() {
                values[column_of(word, half * 4 + nibble)] -= meant * step;
            }
        }
    }
}

fn subtract_eight(block: &[u64], step: f32, values: &mut [f32]) {
    for (four, pair) in values.chunks_exact_mut(4).zip(block) {
        let [low, high, low_top, high_top] = lanes_of(*pair);
        four[0] -= (low + low_top * (1.0 / 256.0)) * step;
        four[1] -= low_top * step;
        four[2] -= (high + high_top * (1.0 / 256.0)) * step;
        four[3] -= high_top * step;
    }
}

/// Puts the coefficients of four vectors together: the same word of each, four times, as the tile
/// kernels load them. Per 32 columns, for 4 and 5 bits the four beginnings come first and the four
/// sums for minima last; for each word `a_3`, `c_0`, `c_1`, `c_2` of 4 bits, in the order of one
/// vector of 5 bits, and `a_1`, `c_0` of 8.
pub fn interleave(format: Format, vectors: [&[u64]; TILE], into: &mut [u64]) {
    let size = block_pairs(format);
    for (number, tile) in into.chunks_exact_mut(size * TILE).enumerate() {
        let blocks = vectors.map(|vector| &vector[number * size..(number + 1) * size]);
        let mut places = tile.chunks_exact_mut(2);
        let mut put = |pair: usize, shift: u32| {
            let word = |vector: usize| (blocks[vector][pair] >> shift) & 0xFFFF_FFFF;
            if let Some(place) = places.next() {
                place[0] = word(0) | word(1) << 32;
                place[1] = word(2) | word(3) << 32;
            }
        };
        match format {
            Format::Four | Format::FourMin => {
                put(0, 0);
                for word in 0..words_of(format) {
                    put(1 + 2 * word, 32);
                    put(1 + 2 * word, 0);
                    put(2 + 2 * word, 0);
                    put(2 + 2 * word, 32);
                }
                put(0, 32);
            }
            Format::Five | Format::FiveMin => {
                put(0, 0);
                for pair in 1..size {
                    put(pair, 0);
                    put(pair, 32);
                }
                put(0, 32);
            }
            Format::Eight => {
                for word in 0..words_of(format) {
                    put(word, 32);
                    put(word, 0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vector() -> impl Strategy<Value = Vec<f32>> {
        let value = prop_oneof![8 => -1.0_f32..1.0, 1 => -300.0_f32..300.0, 1 => Just(0.0)];
        proptest::collection::vec(value, BLOCK_COLUMNS * 3)
    }

    proptest! {
        /// What a vector's integers stand for is within half a step of it, and no lane overflows.
        #[test]
        fn coefficients_stand_for_the_vector(values in vector(), which in 0_usize..3) {
            let format = [Format::Four, Format::Five, Format::Eight][which];
            let norms = Norms::of(&values);
            let steps = norms.steps(1.0e9).unwrap();
            prop_assume!(steps > 0.0);
            let mut words = vec![0; pairs(format, values.len())];
            write(format, &values, steps, &mut words);
            let mut rest = values;
            subtract(format, &words, steps, &mut rest);
            for rest in rest {
                prop_assert!((rest * steps).abs() <= 0.502, "{} steps are lost", rest * steps);
            }
        }
    }

    #[test]
    fn what_is_no_number_has_no_steps() {
        let mut values = [1.0; BLOCK_COLUMNS];
        values[5] = f32::NAN;
        assert_eq!(Norms::of(&values).steps(1.0), None);
        values[5] = f32::INFINITY;
        assert_eq!(Norms::of(&values).steps(1.0), None);
        assert_eq!(Norms::of(&[0.0; BLOCK_COLUMNS]).steps(1.0), Some(0.0));
        assert_eq!(Norms::of(&[1.0e-45; BLOCK_COLUMNS]).steps(1.0), Some(0.0));
    }
}
