//! 8-bit weights.
//!
//! A word holds 4 columns of one row, two in each 16-bit half: the half, as an i16, is the even
//! column + 256 * the odd one. So a borrow may have been taken from the upper byte, and a weight is
//! never below -127.

use super::group::{Integers, Row};
use super::lanes::add_about_middle;
use super::source::{self, half, largest_half, word_of};
use super::{BLOCK_COLUMNS, GROUP_ROWS, i16_at, largest_of};
use crate::activations::nearest;

/// Words of one row in a block.
pub const WORDS: usize = 8;
const WORD_BYTES: usize = 4;
pub const SCALES_AT: usize = WORDS * GROUP_ROWS * WORD_BYTES;
/// The largest integer of a weight.
const LARGEST: i32 = 127;
/// What is added to integers of 8 bits while they are worked with, and their range.
const MIDDLE: u32 = 128;
const RANGE: u32 = 2 * MIDDLE;
/// The signs of four bytes: turned, a byte is its integer and [`MIDDLE`].
const SIGNS: u32 = 0x8080_8080;
/// 1 in each byte.
const ONES: u32 = 0x0101_0101;

/// A row of `Q8_0`: scale, bytes.
pub struct Bytes<'a>(pub &'a [[u16; 1 + 2 * WORDS]]);

impl Row<WORDS> for Bytes<'_> {
    fn blocks(&self) -> usize {
        self.0.len()
    }

    fn scale(&self, block: usize) -> f32 {
        half(self.0[block][0])
    }

    fn integers(&self, block: usize) -> Integers<WORDS> {
        let [_, bytes @ ..] = &self.0[block];
        integers::<RANGE>(|word| at_least_one(word_of(&bytes[2 * word..]) ^ SIGNS))
    }

    fn largest_scale(&self) -> f32 {
        largest_half(self.0.iter().map(|block| block[0]))
    }
}

/// A row of any other type, as f32, and what one step of each block stands for.
pub struct Requantised {
    values: Vec<f32>,
    scales: Vec<f32>,
}

impl Requantised {
    /// Reads a row by ggml's own conversion.
    pub fn read(ggml_type: u32, row: &[u8], columns: usize) -> Self {
        let mut values = vec![0.0; columns];
        source::to_f32(ggml_type, row, &mut values);
        let blocks = values.chunks_exact(BLOCK_COLUMNS);
        let scale = |block: &[f32]| largest_of(block.iter().copied()) / LARGEST as f32;
        let scales = blocks.map(scale).collect();
        Self { values, scales }
    }
}

/// The nearest of 255 steps; a weight differs by half a step at most. What is no number becomes
/// any number.
impl Row<WORDS> for Requantised {
    fn blocks(&self) -> usize {
        self.scales.len()
    }

    fn scale(&self, block: usize) -> f32 {
        self.scales[block]
    }

    fn integers(&self, block: usize) -> Integers<WORDS> {
        let scale = self.scales[block];
        let steps = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let byte = |value: f32| {
            let weight = nearest(value * steps).clamp(-LARGEST, LARGEST);
            MIDDLE.wrapping_add_signed(weight)
        };
        let values = &self.values[block * BLOCK_COLUMNS..][..BLOCK_COLUMNS];
        let (fours, _) = values.as_chunks::<4>();
        integers::<RANGE>(|word| {
            let [a, b, c, d] = fours[word].map(byte);
            a | b << 8 | c << 16 | d << 24
        })
    }
}

/// Bytes of 0 become 1.
#[inline]
fn at_least_one(word: u32) -> u32 {
    // In its highest bit, each byte says whether any of its bits is set.
    let any = ((word & !SIGNS) + !SIGNS) | word;
    word | (!any >> 7 & ONES)
}

/// The integers of words of bytes, each of them an integer and half of the range.
#[inline(always)]
fn integers<const RANGE: u32>(bytes: impl Fn(usize) -> u32) -> Integers<WORDS> {
    const HALF: u32 = 0xFFFF;
    const EVEN_BYTES: u32 = 0x00FF_00FF;
    let middle = RANGE / 2;
    let both = middle + (middle << 8);
    let mut squares = BLOCK_COLUMNS as u32 * middle * middle;
    let words = std::array::from_fn(|word| {
        let bytes = bytes(word);
        squares = add_about_middle::<RANGE>(bytes & EVEN_BYTES, squares);
        squares = add_about_middle::<RANGE>(bytes >> 8 & EVEN_BYTES, squares);
        // Each half by itself, so that none borrows from the other.
        (bytes.wrapping_sub(both) & HALF) | (bytes.wrapping_sub(both << 16) & !HALF)
    });
    Integers {
        words,
        left: 0,
        squares,
    }
}

/// One row of a block.
pub fn unpacked(block: &[u8], row: usize) -> [i32; BLOCK_COLUMNS] {
    let mut out = [0; BLOCK_COLUMNS];
    for (number, out) in out.chunks_exact_mut(2).enumerate() {
        let (word, half) = (number / 2, number % 2);
        let value = i32::from(i16_at(block, (word * GROUP_ROWS + row) * 2 + half));
        let even = i32::from(value as i8);
        out[0] = even;
        out[1] = (value - even) >> 8;
    }
    out
}
