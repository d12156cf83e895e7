//! The kernels in Rust, with the integers of the assembly. On processors other than `ARMv6` this is
//! what computes; on `ARMv6` it is what the assembly must equal. Used by [`super::Product`].

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers are cut into lanes, bytes and nibbles on purpose"
)]

use super::Product;
use crate::activations::{TILE, block_pairs};
use crate::pack::{Format, GROUP_ROWS, LEFT_AT, scales_at, words_of};

/// Nibbles are moved to this place of their half.
const NIBBLE_MASK: u32 = 0x7800_7800;
/// Fields of 5 bits are moved to this place of their half.
const FIVE_MASK: u32 = 0x7C00_7C00;
/// Bytes are moved to this place of their half.
const BYTE_MASK: u32 = 0xFF00_FF00;
const WORD_BYTES: usize = 4;

/// Computes a product.
///
/// # Panics
/// Where `out` has not as many floats as [`Product::results`] says.
pub fn compute(product: &Product<'_>, out: &mut [f32]) {
    assert_eq!(out.len(), product.results());
    let (layout, vectors) = (product.layout, if product.is_tile() { TILE } else { 1 });
    let groups = product.packed.chunks(layout.group_bytes());
    for (group, out) in groups.zip(out.chunks_exact_mut(GROUP_ROWS * vectors)) {
        let (stream, tail) = group.split_at(layout.stream_bytes());
        for (row, out) in out.chunks_exact_mut(vectors).enumerate() {
            let factor = tail[row * 4..].first_chunk();
            let factor = factor.map_or(0.0, |bytes| f32::from_le_bytes(*bytes));
            for (vector, out) in out.iter_mut().enumerate() {
                let total = row_total(product, stream, row, vector);
                *out = total as f32 * (factor * product.step[vector]);
            }
        }
    }
}

/// The shifted and scaled sums of all blocks of a row.
fn row_total(product: &Product<'_>, stream: &[u8], row: usize, vector: usize) -> i32 {
    let (format, is_tile) = (product.layout.format(), product.is_tile());
    let size = block_pairs(format) * if is_tile { TILE } else { 1 };
    let coefficients = product.coefficients.chunks_exact(size);
    let blocks = stream.chunks_exact(format.block_bytes());
    let mut total = 0_i32;
    for (block, coefficients) in blocks.zip(coefficients) {
        let word = |at: usize| (coefficients[at / 2] >> (at % 2 * 32)) as u32;
        // In a tile each word is there for four vectors.
        let pick = |single: usize, tile: usize| {
            word(if is_tile {
                tile * TILE + vector
            } else {
                single
            })
        };
        let sum = match format {
            Format::Four | Format::FourMin => four_sum(block, row, &pick),
            Format::Five | Format::FiveMin => five_sum(block, row, &pick),
            Format::Eight => eight_sum(block, row, &pick),
        };
        let scales = scales_at(format);
        total = multiply_add(sum, i16_at(block, scales + row * 2), total);
        if format.has_minima() {
            let minimum = i16_at(block, scales + GROUP_ROWS * 2 + row * 2);
            total = multiply_add(pick(1, 2 * block_pairs(format) - 1) as i32, minimum, total);
        }
    }
    total
}

/// Words of coefficients are given by their number for one vector, and for a tile.
fn four_sum(block: &[u8], row: usize, pick: &dyn Fn(usize, usize) -> u32) -> i32 {
    let mut sum = pick(0, 0) as i32;
    for word in 0..words_of(Format::Four) {
        let weights = weights(block, word, row);
        let (single, tile) = (2 + word * 4, 1 + word * 4);
        sum = dual(weights, pick(single + 1, tile), sum);
        for (number, shift) in [11, 7, 3].into_iter().enumerate() {
            let moved = (weights << shift) & NIBBLE_MASK;
            let single = single + [0, 2, 3][number];
            sum = dual(moved, pick(single, tile + 1 + number), sum);
        }
    }
    sum
}

fn five_sum(block: &[u8], row: usize, pick: &dyn Fn(usize, usize) -> u32) -> i32 {
    let word = |at: usize| pick(2 + at, 1 + at);
    let mut sum = pick(0, 0) as i32;
    for number in 0..words_of(Format::Five) {
        let weights = weights(block, number, row);
        let moved = [
            weights,
            (weights << 10) & FIVE_MASK,
            (weights << 5) & FIVE_MASK,
        ];
        for (at, weights) in moved.into_iter().enumerate() {
            sum = dual(weights, word(3 * number + at), sum);
        }
    }
    let left = u32::from(i16_at(block, LEFT_AT + row * 2) as u16);
    let low = (left << 10) & FIVE_MASK;
    dual(low | left << 16, word(3 * words_of(Format::Five)), sum)
}

fn eight_sum(block: &[u8], row: usize, pick: &dyn Fn(usize, usize) -> u32) -> i32 {
    let mut sum = 0;
    for word in 0..words_of(Format::Eight) {
        let weights = weights(block, word, row);
        sum = dual(weights, pick(word * 2 + 1, word * 2), sum);
        sum = dual(
            (weights << 8) & BYTE_MASK,
            pick(word * 2, word * 2 + 1),
            sum,
        );
    }
    sum
}

fn weights(block: &[u8], word: usize, row: usize) -> u32 {
    let at = (word * GROUP_ROWS + row) * WORD_BYTES;
    block[at..]
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn i16_at(block: &[u8], at: usize) -> i16 {
    block[at..]
        .first_chunk()
        .map_or(0, |bytes| i16::from_le_bytes(*bytes))
}

/// SMLAD: both signed halves multiplied and added, modulo 2^32.
fn dual(a: u32, b: u32, sum: i32) -> i32 {
    let product = |shift: u32| i32::from((a >> shift) as i16) * i32::from((b >> shift) as i16);
    sum.wrapping_add(product(0)).wrapping_add(product(16))
}

/// SMLAWB: the upper 32 of the 48 bits of a product, added.
fn multiply_add(a: i32, b: i16, sum: i32) -> i32 {
    sum.wrapping_add(((i64::from(a) * i64::from(b)) >> 16) as i32)
}
