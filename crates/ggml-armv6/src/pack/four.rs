//! 4-bit weights.
//!
//! A word holds 8 columns of one row: column 4k + 2l + i/2 + 16(i mod 2) of the block is nibble i
//! of the 16-bit half l of word k, as in ggml's `Q4_0` read as little-endian words. The highest
//! nibble of each half is stored as q - 8 in two's complement, so that the half, as an i16, is the
//! sum of 16^i * nibble; the other three are q itself, and the vector's coefficients know of the 8
//! ([`crate::activations`]).

use super::group::{Integers, Row};
use super::lanes::add_about_middle;
use super::source::{half, largest_half, word_of};
use super::{BLOCK_COLUMNS, GROUP_ROWS};

/// Words of one row in a block.
pub const WORDS: usize = 4;
const WORD_BYTES: usize = 4;
/// 16-bit halves of the nibbles of 32 columns.
const HALVES: usize = 2 * WORDS;
/// Nibbles are stored with this added to what they stand for.
const OFFSET: i32 = 8;
/// The low nibble of each byte.
const LOW_NIBBLES: u32 = 0x0F0F_0F0F;
/// q - 8 in two's complement is q with its highest bit turned.
const TOP_BITS: u32 = 0x8000_8000;
/// Where scales begin in a block.
pub const SCALES_AT: usize = WORDS * GROUP_ROWS * WORD_BYTES;
/// A byte of a file holds a column and the one so many after it.
const APART: usize = BLOCK_COLUMNS / 2;
/// Minima count in so many units of the scales.
pub const MINIMUM_UNIT: f32 = 8.0;

/// A row of `Q4_0`: scale, nibbles. Column j is in the low half of byte j, column j + 16 in the
/// high half.
pub struct Symmetric<'a>(pub &'a [[u16; HALVES + 1]]);

impl Row<WORDS> for Symmetric<'_> {
    fn blocks(&self) -> usize {
        self.0.len()
    }

    fn scale(&self, block: usize) -> f32 {
        half(self.0[block][0])
    }

    fn integers(&self, block: usize) -> Integers<WORDS> {
        let [_, nibbles @ ..] = &self.0[block];
        integers(words_of_halves(nibbles))
    }

    fn largest_scale(&self) -> f32 {
        largest_half(self.0.iter().map(|block| block[0]))
    }
}

/// A row of `Q4_1`: scale, minimum, nibbles. ggml's weight is d * q + m.
pub struct WithMinimum<'a>(pub &'a [[u16; HALVES + 2]]);

impl Row<WORDS> for WithMinimum<'_> {
    const MINIMUM_UNIT: f32 = MINIMUM_UNIT;

    fn blocks(&self) -> usize {
        self.0.len()
    }

    fn scale(&self, block: usize) -> f32 {
        half(self.0[block][0])
    }

    fn minimum(&self, block: usize) -> f32 {
        half(self.0[block][1]) + self.scale(block) * OFFSET as f32
    }

    fn integers(&self, block: usize) -> Integers<WORDS> {
        let [_, _, nibbles @ ..] = &self.0[block];
        integers(words_of_halves(nibbles))
    }

    fn largest_scale(&self) -> f32 {
        largest_half(self.0.iter().map(|block| block[0]))
    }
}

/// Blocks of 32 columns in one of `Q4_K`.
const SUB_BLOCKS: usize = 8;
/// Halves of its 6-bit scales and minima.
pub const SIX_BITS: usize = 6;
/// Halves before the nibbles: scale, minimum, and these.
const HEAD: usize = 2 + SIX_BITS;

/// A row of `Q4_K`: 256 columns in a block, 32 of them with a scale and a minimum of 6 bits
/// (`get_scale_min_k4` in ggml-quants.c). ggml's weight is d * scale * q - dmin * minimum.
pub struct Super<'a>(pub &'a [[u16; HEAD + SUB_BLOCKS * HALVES]]);

impl Super<'_> {
    fn six_bits(&self, block: usize) -> (u16, u16) {
        six_bits(&self.0[block / SUB_BLOCKS][2..], block % SUB_BLOCKS)
    }
}

/// The 6 bits of the scale and of the minimum of a block, from those of all blocks.
#[inline]
pub fn six_bits(packed: &[u16], sub: usize) -> (u16, u16) {
    let byte = |at: usize| packed[at / 2] >> (at % 2 * 8) & 0xFF;
    if sub < 4 {
        (byte(sub) & 63, byte(sub + 4) & 63)
    } else {
        (
            (byte(sub + 4) & 15) | (byte(sub - 4) >> 6 << 4),
            (byte(sub + 4) >> 4) | (byte(sub) >> 6 << 4),
        )
    }
}

impl Row<WORDS> for Super<'_> {
    const MINIMUM_UNIT: f32 = MINIMUM_UNIT;

    fn blocks(&self) -> usize {
        self.0.len() * SUB_BLOCKS
    }

    fn scale(&self, block: usize) -> f32 {
        half(self.0[block / SUB_BLOCKS][0]) * f32::from(self.six_bits(block).0)
    }

    fn minimum(&self, block: usize) -> f32 {
        let minimum = half(self.0[block / SUB_BLOCKS][1]) * f32::from(self.six_bits(block).1);
        self.scale(block) * OFFSET as f32 - minimum
    }

    fn integers(&self, block: usize) -> Integers<WORDS> {
        let (outer, sub) = (block / SUB_BLOCKS, block % SUB_BLOCKS);
        // 64 columns in 32 bytes: the first 32 in the low halves, the others in the high halves.
        let from = HEAD + sub / 2 * 2 * HALVES;
        let shift = sub % 2 * 4;
        let halves = &self.0[outer][from..from + 2 * HALVES];
        let four = |word: usize| word_of(&halves[2 * word..]) >> shift & LOW_NIBBLES;
        integers(std::array::from_fn(|word| {
            four(word) | four(word + WORDS) << 4
        }))
    }
}

/// The nibbles of 32 columns, put together from what may lie at an odd half.
fn words_of_halves(halves: &[u16; HALVES]) -> [u32; WORDS] {
    std::array::from_fn(|word| word_of(&halves[2 * word..]))
}

/// The integers of words as `Q4_0` has them.
#[inline(always)]
fn integers(words: [u32; WORDS]) -> Integers<WORDS> {
    /// For each column, what `add_about_middle` leaves out.
    const MIDDLE_SQUARE: u32 = (OFFSET * OFFSET) as u32;
    /// The lowest nibble of each half.
    const LANES: u32 = 0x000F_000F;
    let mut squares = BLOCK_COLUMNS as u32 * MIDDLE_SQUARE;
    for word in words {
        for nibble in 0..4 {
            squares = add_about_middle::<16>(word >> (4 * nibble) & LANES, squares);
        }
    }
    Integers {
        words: words.map(|word| word ^ TOP_BITS),
        left: 0,
        squares,
    }
}

/// One row of a block, as q - 8.
pub fn unpacked(block: &[u8], row: usize) -> [i32; BLOCK_COLUMNS] {
    let mut out = [0; BLOCK_COLUMNS];
    for number in 0..WORDS {
        let at = (number * GROUP_ROWS + row) * WORD_BYTES;
        let word = block[at..]
            .first_chunk()
            .map_or(0, |bytes| u32::from_le_bytes(*bytes))
            ^ TOP_BITS;
        for nibble in 0..8 {
            let value = (word >> (4 * nibble) & 15) as i32 - OFFSET;
            out[column_of(number, nibble)] = value;
        }
    }
    out
}

/// The column of the block that a nibble of a word is.
pub(crate) fn column_of(word: usize, nibble: usize) -> usize {
    word * 4 + nibble / 2 + nibble % 2 * APART
}
