//! Coefficients for 5-bit weights.

use super::{
    BLOCK_COLUMNS, MINIMUM_UNIT, OFFSET_PAIRS, lanes, lanes_of, nearest, nearest_both, pair,
};
use crate::pack::{Format, column_of_five as column_of, words_of};

/// Words of coefficients for a word of weights.
const WORDS: usize = 3;
/// What 32^i / 1024 is for the two columns of a half that are not at its top.
const SHARES: [f32; 2] = [1.0 / 1_024.0, 1.0 / 32.0];
/// The number of the field that is left over: one column in each half of it.
const LEFT: usize = 15;

/// What is written for a word of weights, or said of a half of it.
struct Said<T> {
    /// `a_2`, `c_0`, `c_1`.
    coefficients: [T; WORDS],
    /// What the lower integers begin too high by, 16 each, in units of 16.
    excess: i32,
    /// The sum of its columns' values.
    sum: f32,
}

// Inlined, as the next one: two halves do not wait for each other then.
#[inline(always)]
fn half(values: &[f32; BLOCK_COLUMNS], word: usize, half: usize, steps: f32) -> Said<i32> {
    let value = |field: usize| values[column_of(WORDS * word + field, half)];
    let (v0, v1, v2) = (value(0), value(1), value(2));
    let (top, taken) = nearest_both(v2 * steps);
    let c0 = nearest(v0 * (2.0 * steps) - taken * SHARES[0]);
    let c1 = nearest(v1 * (2.0 * steps) - taken * SHARES[1]);
    Said {
        coefficients: [top, c0, c1],
        excess: (c0.wrapping_add(c1) << 10).wrapping_add(top * (1 + 32)),
        sum: v0 + v1 + v2,
    }
}

#[inline(always)]
fn word(values: &[f32; BLOCK_COLUMNS], word: usize, steps: f32) -> Said<u32> {
    let (low, high) = (half(values, word, 0, steps), half(values, word, 1, steps));
    let lanes = |at: usize| lanes(low.coefficients[at], high.coefficients[at]);
    Said {
        coefficients: [lanes(0), lanes(1), lanes(2)],
        excess: low.excess.wrapping_add(high.excess),
        sum: low.sum + high.sum,
    }
}

/// As [`super::write`].
pub fn write(values: &[f32; BLOCK_COLUMNS], steps: f32, block: &mut [u64; OFFSET_PAIRS]) {
    let [head, pairs @ .., fourth, fifth] = block;
    let (mut excess, mut sum) = (0_i32, 0.0_f32);
    let mut add = |word: Said<u32>| {
        excess = excess.wrapping_add(word.excess);
        sum += word.sum;
        word.coefficients
    };
    // Three pairs are two words.
    for (number, pairs) in pairs.chunks_exact_mut(WORDS).enumerate() {
        let [a2, c0, c1] = add(word(values, 2 * number, steps));
        let [b2, d0, d1] = add(word(values, 2 * number + 1, steps));
        pairs[0] = pair(a2, c0);
        pairs[1] = pair(c1, b2);
        pairs[2] = pair(d0, d1);
    }
    let [a2, c0, c1] = add(word(values, 4, steps));
    let (low, high) = (values[column_of(LEFT, 0)], values[column_of(LEFT, 1)]);
    let (top, taken) = nearest_both(high * steps);
    let left = nearest(low * (2.0 * steps) - taken * SHARES[0]);
    (*fourth, *fifth) = (pair(a2, c0), pair(c1, lanes(left, top)));
    let excess = excess.wrapping_add(left << 10).wrapping_add(top);
    // |sum| * steps is at most sqrt(32) * BLOCK_LIMIT, so this fits.
    let for_minima = ((sum + low + high) * steps * MINIMUM_UNIT) as i32;
    *head = pair((excess << 4).wrapping_neg() as u32, for_minima as u32);
}

/// Subtracts what the pairs after the first of a block stand for; as [`super::subtract`].
pub fn subtract(block: &[u64], step: f32, values: &mut [f32]) {
    let word = |at: usize| lanes_of(block[at / 2] >> (at % 2 * 32));
    let lower = |c: f32, top: f32, share: f32| 0.5 * (c + top * share);
    for number in 0..words_of(Format::Five) {
        let words = [0, 1, 2].map(|at| word(WORDS * number + at));
        for half in 0..2 {
            let [top, c0, c1] = words.map(|lanes| lanes[half]);
            let meant = [lower(c0, top, SHARES[0]), lower(c1, top, SHARES[1]), top];
            for (field, meant) in meant.into_iter().enumerate() {
                values[column_of(WORDS * number + field, half)] -= meant * step;
            }
        }
    }
    let [c0, top, ..] = word(WORDS * words_of(Format::Five));
    values[column_of(LEFT, 0)] -= lower(c0, top, SHARES[0]) * step;
    values[column_of(LEFT, 1)] -= top * step;
}
