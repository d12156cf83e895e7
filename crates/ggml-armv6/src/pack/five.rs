//! 5-bit weights.
//!
//! Half l of word k of a row holds the columns `column_of(3k + i, l)` of the block, i = 0, 1, 2, at
//! its bits 0, 5 and 11; bit 10 is 0. The one at the top is stored as q - 16 in two's complement,
//! so that the half, as an i16, is the sum of all three where they are; the others are q itself,
//! and the vector's coefficients know of the 16 ([`crate::activations`]). 5 words have 30 columns.
//! The two that are left over are in a half of their own, at its bits 0 and 11.

use super::four::{SIX_BITS, six_bits};
use super::group::{Integers, Row};
use super::lanes::add_about_middle;
use super::source::{half, largest_half, word_of};
use super::{BLOCK_COLUMNS, GROUP_ROWS, i16_at};

/// Words of one row in a block.
pub const WORDS: usize = 5;
const WORD_BYTES: usize = 4;
/// Columns of a half.
const FIELDS: usize = 3;
/// Where they are in it.
const SHIFTS: [u32; FIELDS] = [0, 5, 11];
/// Pairs of columns of a block: of each, one is in the lower half of a word and one in the upper.
const PAIRS: usize = BLOCK_COLUMNS / 2;
/// Integers are stored with this added to what they stand for.
const OFFSET: i32 = 16;
/// Their range.
const RANGE: u32 = 32;
/// q - 16 in two's complement is q with its highest bit turned.
const TOP_BITS: u32 = 0x0010_0010;
/// Where what is left over begins in a block.
pub const LEFT_AT: usize = WORDS * GROUP_ROWS * WORD_BYTES;
/// Where scales begin.
pub const SCALES_AT: usize = LEFT_AT + GROUP_ROWS * 2;
/// Minima count in so many units of the scales.
pub const MINIMUM_UNIT: f32 = 16.0;
/// The low nibble of each byte.
const LOW_NIBBLES: u32 = 0x0F0F_0F0F;
/// 1 in each byte.
const ONES: u32 = 0x0101_0101;

/// A row of `Q5_0`: scale, the fifth bit of all columns, and 4 bits: column j is in the low half of
/// byte j, column j + 16 in the high half.
pub struct Symmetric<'a>(pub &'a [[u16; 1 + 2 + 8]]);

impl Row<WORDS> for Symmetric<'_> {
    const HAS_LEFT: bool = true;

    fn blocks(&self) -> usize {
        self.0.len()
    }

    fn scale(&self, block: usize) -> f32 {
        half(self.0[block][0])
    }

    fn integers(&self, block: usize) -> Integers<WORDS> {
        let [_, fifth_low, fifth_high, nibbles @ ..] = &self.0[block];
        integers(bytes_of(word_of(&[*fifth_low, *fifth_high]), nibbles))
    }

    fn largest_scale(&self) -> f32 {
        largest_half(self.0.iter().map(|block| block[0]))
    }
}

/// A row of `Q5_1`: scale, minimum, and as `Q5_0`. ggml's weight is d * q + m.
pub struct WithMinimum<'a>(pub &'a [[u16; 2 + 2 + 8]]);

impl Row<WORDS> for WithMinimum<'_> {
    const HAS_LEFT: bool = true;
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
        let [_, _, fifth_low, fifth_high, nibbles @ ..] = &self.0[block];
        integers(bytes_of(word_of(&[*fifth_low, *fifth_high]), nibbles))
    }

    fn largest_scale(&self) -> f32 {
        largest_half(self.0.iter().map(|block| block[0]))
    }
}

/// Blocks of 32 columns in one of `Q5_K`.
const SUB_BLOCKS: usize = 8;
/// Halves before the fifth bits: scale, minimum, and those of 6 bits.
const HEAD: usize = 2 + SIX_BITS;
/// Halves of the fifth bits: bit s of byte j is that of column j of block s.
const FIFTHS: usize = BLOCK_COLUMNS / 2;

/// A row of `Q5_K`: as `Q4_K`, and a fifth bit.
pub struct Super<'a>(pub &'a [[u16; HEAD + FIFTHS + SUB_BLOCKS * 8]]);

impl Super<'_> {
    fn six_bits(&self, block: usize) -> (u16, u16) {
        six_bits(&self.0[block / SUB_BLOCKS][2..], block % SUB_BLOCKS)
    }
}

impl Row<WORDS> for Super<'_> {
    const HAS_LEFT: bool = true;
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
        let (outer, sub) = (&self.0[block / SUB_BLOCKS], block % SUB_BLOCKS);
        // 64 columns in 32 bytes: the first 32 in the low halves, the others in the high halves.
        let nibbles = &outer[HEAD + FIFTHS + sub / 2 * 16..];
        let fifths = &outer[HEAD..HEAD + FIFTHS];
        integers(|word| {
            let low = word_of(&nibbles[2 * word..]) >> (sub % 2 * 4) & LOW_NIBBLES;
            low | (word_of(&fifths[2 * word..]) >> sub & ONES) << 4
        })
    }
}

/// Four columns in the bytes of a word, of a block of `Q5_0` or `Q5_1`.
#[inline]
fn bytes_of(fifth: u32, nibbles: &[u16; 8]) -> impl Fn(usize) -> u32 {
    /// Copies 4 bits so that each is the lowest of a byte.
    const SPREAD: u32 = 0x0020_4081;
    move |word| {
        let low = word_of(&nibbles[word % 4 * 2..]) >> (word / 4 * 4) & LOW_NIBBLES;
        let high = ((fifth >> (4 * word) & 15) * SPREAD) & ONES;
        low | high << 4
    }
}

/// The integers of 32 bytes, four columns in each of 8 words.
#[inline(always)]
fn integers(bytes: impl Fn(usize) -> u32) -> Integers<WORDS> {
    /// The even bytes of a word.
    const EVEN: u32 = 0x00FF_00FF;
    const MIDDLE_SQUARE: u32 = (OFFSET * OFFSET) as u32;
    let mut squares = BLOCK_COLUMNS as u32 * MIDDLE_SQUARE;
    let mut pairs = |word: usize| {
        let bytes = bytes(word);
        let pairs = [bytes & EVEN, bytes >> 8 & EVEN];
        for pair in pairs {
            squares = add_about_middle::<RANGE>(pair, squares);
        }
        pairs
    };
    let top = |pair: u32| (pair ^ TOP_BITS) << SHIFTS[2];
    let word = |low: u32, middle: u32, high: u32| low | middle << SHIFTS[1] | top(high);
    // Said one by one: the compiler does not see through a loop.
    let ([p0, p1], [p2, p3], [p4, p5]) = (pairs(0), pairs(1), pairs(2));
    let (first, second) = (word(p0, p1, p2), word(p3, p4, p5));
    let ([p6, p7], [p8, p9], [p10, p11]) = (pairs(3), pairs(4), pairs(5));
    let (third, fourth) = (word(p6, p7, p8), word(p9, p10, p11));
    let ([p12, p13], [p14, p15]) = (pairs(6), pairs(7));
    Integers {
        words: [first, second, third, fourth, word(p12, p13, p14)],
        left: (p15 & 0xFFFF | top(p15) >> 16) as u16,
        squares,
    }
}

/// The column of the block that is so many fields into the halves of this number. Of the 16th, one
/// half is at the bottom of what is left over and the other at its top.
pub const fn column_of(field: usize, half: usize) -> usize {
    4 * (field / 2) + field % 2 + 2 * half
}

/// One row of a block, as q - 16.
pub fn unpacked(block: &[u8], row: usize) -> [i32; BLOCK_COLUMNS] {
    let mut out = [0; BLOCK_COLUMNS];
    let low = |value: i16, shift: u32| i32::from(value >> shift & (RANGE as i16 - 1)) - OFFSET;
    let top = |value: i16| i32::from(value >> SHIFTS[2]);
    for number in 0..2 * WORDS {
        let (word, half) = (number / 2, number % 2);
        let value = i16_at(block, (word * GROUP_ROWS + row) * 2 + half);
        let column = |field: usize| column_of(FIELDS * word + field, half);
        out[column(0)] = low(value, SHIFTS[0]);
        out[column(1)] = low(value, SHIFTS[1]);
        out[column(2)] = top(value);
    }
    let left = i16_at(&block[LEFT_AT..], row);
    out[column_of(PAIRS - 1, 0)] = low(left, SHIFTS[0]);
    out[column_of(PAIRS - 1, 1)] = top(left);
    out
}
