//! 8-bit weights.
//!
//! A word holds 4 columns of one row, two in each 16-bit half: the half, as an i16, is the even
//! column + 256 * the odd one. So a borrow may have been taken from the upper byte, and a weight is
//! never below -127.

use super::{
    BLOCK_COLUMNS, Format, GROUP_ROWS, PackedRow, i16_at, largest_of, relative, scale_steps, source,
};
use crate::activations::nearest;
use llama_cpp_sys_2 as ggml;

/// Words of one row in a block.
pub const WORDS: usize = 8;
const WORD_BYTES: usize = 4;
const HALF_BYTES: usize = 2;
const SCALES_AT: usize = WORDS * GROUP_ROWS * WORD_BYTES;
/// The largest integer of a weight.
const LARGEST: i32 = 127;

/// 32 columns of one row.
struct Block {
    scale: f32,
    weights: [i32; BLOCK_COLUMNS],
}

/// Packs a row of any type that becomes 8 bits as row `at` of a group.
pub fn pack(ggml_type: u32, row: &[u8], at: usize, stream: &mut [u8]) -> PackedRow {
    let block_bytes = Format::Eight.block_bytes();
    let columns = stream.len() / block_bytes * BLOCK_COLUMNS;
    let blocks: Vec<Block> = match ggml_type {
        ggml::GGML_TYPE_Q8_0 => row.chunks_exact(HALF_BYTES + 32).map(q8_0).collect(),
        ggml::GGML_TYPE_Q5_0 => row.chunks_exact(HALF_BYTES + 4 + 16).map(q5_0).collect(),
        _ => requantised(ggml_type, row, columns),
    };
    let largest = largest_of(blocks.iter().map(|block| block.scale));
    let steps = scale_steps(largest);
    let mut square_sum = 0.0;
    for (block, into) in blocks.iter().zip(stream.chunks_exact_mut(block_bytes)) {
        put_words(&block.weights, at, into);
        let scale = relative(block.scale, steps);
        let place = SCALES_AT + at * 2;
        into[place..place + 2].copy_from_slice(&scale.to_le_bytes());
        let squares: i32 = block.weights.iter().map(|weight| weight * weight).sum();
        square_sum += f64::from(scale) * f64::from(scale) * f64::from(squares);
    }
    PackedRow {
        largest_scale: largest,
        square_sum,
    }
}

fn q8_0(block: &[u8]) -> Block {
    let weight = |at: usize| i32::from(block[HALF_BYTES + at] as i8).max(-LARGEST);
    Block {
        scale: source::half_at(block, 0),
        weights: std::array::from_fn(weight),
    }
}

/// 4 bits in `qs` as in `Q4_0`, the fifth in `qh`, and 16 is subtracted.
fn q5_0(block: &[u8]) -> Block {
    const HIGH_AT: usize = HALF_BYTES;
    const LOW_AT: usize = HIGH_AT + 4;
    let high = block[HIGH_AT..]
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let weight = |at: usize| {
        let low = block[LOW_AT + at % 16] >> (at / 16 * 4) & 15;
        i32::from(low) + (high >> at & 1) as i32 * 16 - 16
    };
    Block {
        scale: source::half_at(block, 0),
        weights: std::array::from_fn(weight),
    }
}

/// The nearest of 255 steps; a weight differs by half a step at most. What is no number becomes
/// any number.
fn requantised(ggml_type: u32, row: &[u8], columns: usize) -> Vec<Block> {
    let mut values = vec![0.0; columns];
    source::to_f32(ggml_type, row, &mut values);
    let blocks = values.chunks_exact(BLOCK_COLUMNS).map(|values| {
        let scale = largest_of(values.iter().copied()) / LARGEST as f32;
        let steps = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let weight = |at: usize| nearest(values[at] * steps).clamp(-LARGEST, LARGEST);
        Block {
            scale,
            weights: std::array::from_fn(weight),
        }
    });
    blocks.collect()
}

fn put_words(weights: &[i32; BLOCK_COLUMNS], row: usize, block: &mut [u8]) {
    for (number, four) in weights.chunks_exact(4).enumerate() {
        let half = |at: usize| (four[at] + four[at + 1] * 256) as u32 & 0xFFFF;
        let word = half(0) | half(2) << 16;
        let at = (number * GROUP_ROWS + row) * WORD_BYTES;
        block[at..at + WORD_BYTES].copy_from_slice(&word.to_le_bytes());
    }
}

/// One row of a block as f32; `one` is what an integer scale of 1 stands for.
pub fn unpack(block: &[u8], row: usize, one: f32, out: &mut [f32]) {
    let scale = f32::from(i16_at(&block[SCALES_AT..], row)) * one;
    for (number, out) in out.chunks_exact_mut(2).enumerate() {
        let (word, half) = (number / 2, number % 2);
        let at = (word * GROUP_ROWS + row) * WORD_BYTES + half * 2;
        let value = i32::from(i16_at(&block[at..], 0));
        let even = i32::from(value as i8);
        out[0] = even as f32 * scale;
        out[1] = ((value - even) >> 8) as f32 * scale;
    }
}
