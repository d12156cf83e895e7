//! 4-bit weights.
//!
//! A word holds 8 columns of one row: column 4k + 2l + i/2 + 16(i mod 2) of the block is nibble i of
//! the 16-bit half l of word k, as in ggml's `Q4_0` read as little-endian words. The highest nibble
//! of each half is stored as q - 8 in two's complement, so that the half, as an i16, is the sum of
//! 16^i * nibble; the other three are q itself, and the vector's coefficients know of the 8
//! ([`crate::activations`]).

use super::{
    BLOCK_COLUMNS, GROUP_ROWS, PackedRow, i16_at, largest_of, relative, scale_steps, source,
};
use llama_cpp_sys_2 as ggml;

/// Words of one row in a block.
pub const WORDS: usize = 4;
const WORD_BYTES: usize = 4;
const HALF_BYTES: usize = 2;
/// Nibbles are stored with this added to what they stand for.
const OFFSET: i32 = 8;
/// q - 8 in two's complement is q with its highest bit turned.
const TOP_BITS: u32 = 0x8000_8000;
/// Where scales begin in a block, and where minima do.
const SCALES_AT: usize = WORDS * GROUP_ROWS * WORD_BYTES;
const MINIMA_AT: usize = SCALES_AT + GROUP_ROWS * 2;
/// Bytes of the nibbles of 32 columns.
const NIBBLE_BYTES: usize = BLOCK_COLUMNS / 2;
/// Minima count in so many units of the scales.
pub const MINIMUM_UNIT: f32 = 8.0;

/// 32 columns of one row of a file.
struct Block {
    scale: f32,
    /// What is added to scale * (q - 8).
    minimum: f32,
    /// As in `Q4_0`: column j in the low half of byte j, column j + 16 in the high half.
    nibbles: [u8; NIBBLE_BYTES],
}

/// Packs a row of `Q4_0` as row `at` of a group.
pub fn symmetric(row: &[u8], at: usize, stream: &mut [u8]) -> PackedRow {
    const SOURCE_BYTES: usize = HALF_BYTES + NIBBLE_BYTES;
    const BLOCK_BYTES: usize = super::Format::Four.block_bytes();
    let blocks = row.as_chunks::<SOURCE_BYTES>().0;
    let largest = largest_of(blocks.iter().map(|block| source::half_at(block, 0)));
    let steps = scale_steps(largest);
    let mut square_sum = 0.0;
    for (block, into) in blocks.iter().zip(stream.as_chunks_mut::<BLOCK_BYTES>().0) {
        let nibbles = block[HALF_BYTES..].first_chunk();
        let nibbles = nibbles.unwrap_or(&[0; NIBBLE_BYTES]);
        put_words(nibbles, at, into);
        let scale = relative(source::half_at(block, 0), steps);
        put_i16(into, SCALES_AT, at, scale);
        square_sum += f64::from(scale) * f64::from(scale) * f64::from(squares(nibbles));
    }
    PackedRow {
        largest_scale: largest,
        square_sum,
    }
}

/// Packs a row of `Q4_1` or `Q4_K` as row `at` of a group.
pub fn with_minimum(ggml_type: u32, row: &[u8], at: usize, stream: &mut [u8]) -> PackedRow {
    let block_bytes = super::Format::FourMin.block_bytes();
    let read: fn(&[u8], usize) -> Block = match ggml_type {
        ggml::GGML_TYPE_Q4_K => k_block,
        _ => one_block,
    };
    let blocks = || (0..stream.len() / block_bytes).map(|number| read(row, number));
    let scales = largest_of(blocks().map(|block| block.scale));
    let minima = largest_of(blocks().map(|block| block.minimum));
    let largest = largest_of([scales, minima / MINIMUM_UNIT].into_iter());
    let steps = scale_steps(largest);
    let blocks: Vec<Block> = blocks().collect();
    let mut square_sum = 0.0;
    for (block, into) in blocks.iter().zip(stream.chunks_exact_mut(block_bytes)) {
        put_words(&block.nibbles, at, into);
        let scale = relative(block.scale, steps);
        let minimum = relative(block.minimum, steps / MINIMUM_UNIT);
        put_i16(into, SCALES_AT, at, scale);
        put_i16(into, MINIMA_AT, at, minimum);
        square_sum += with_minimum_squares(block, scale, minimum);
    }
    PackedRow {
        largest_scale: largest,
        square_sum,
    }
}

/// Sum of squares of (scale * (q - 8) + 8 * minimum) over a block, at most: (a + b)^2 <= 2a^2 + 2b^2.
fn with_minimum_squares(block: &Block, scale: i16, minimum: i16) -> f64 {
    let (scale, minimum) = (
        f64::from(scale),
        f64::from(minimum) * f64::from(MINIMUM_UNIT),
    );
    let scaled = scale * scale * f64::from(squares(&block.nibbles));
    2.0 * (scaled + minimum * minimum * BLOCK_COLUMNS as f64)
}

/// Block `number` of a row of `Q4_1`: scale, minimum, nibbles. ggml's weight is d * q + m.
fn one_block(row: &[u8], number: usize) -> Block {
    let bytes = 2 * HALF_BYTES + NIBBLE_BYTES;
    let block = row.get(number * bytes..(number + 1) * bytes).unwrap_or(&[]);
    let scale = source::half_at(block, 0);
    let nibbles = block
        .get(2 * HALF_BYTES..)
        .and_then(|rest| rest.first_chunk());
    Block {
        scale,
        minimum: source::half_at(block, HALF_BYTES) + scale * OFFSET as f32,
        nibbles: nibbles.copied().unwrap_or_default(),
    }
}

/// Sub-block `number` of a row of `Q4_K`: 8 in a block of 256 columns, with 6-bit scales and minima
/// (`get_scale_min_k4` in ggml-quants.c). ggml's weight is d * scale * q - dmin * minimum.
fn k_block(row: &[u8], number: usize) -> Block {
    const SUB_BLOCKS: usize = 8;
    const PACKED_SCALES: usize = 12;
    const BYTES: usize = 2 * HALF_BYTES + PACKED_SCALES + SUB_BLOCKS * NIBBLE_BYTES;
    let (outer, sub) = (number / SUB_BLOCKS, number % SUB_BLOCKS);
    let empty = [0; BYTES];
    let block = row
        .get(outer * BYTES..)
        .and_then(|rest| rest.first_chunk::<BYTES>());
    let block = block.unwrap_or(&empty);
    let packed = &block[2 * HALF_BYTES..2 * HALF_BYTES + PACKED_SCALES];
    let (scale, minimum) = if sub < 4 {
        (packed[sub] & 63, packed[sub + 4] & 63)
    } else {
        (
            (packed[sub + 4] & 15) | (packed[sub - 4] >> 6 << 4),
            (packed[sub + 4] >> 4) | (packed[sub] >> 6 << 4),
        )
    };
    let scale = source::half_at(block, 0) * f32::from(scale);
    let minimum = source::half_at(block, HALF_BYTES) * f32::from(minimum);
    // 64 columns in 32 bytes: the first 32 in the low halves, the others in the high halves.
    let from = 2 * HALF_BYTES + PACKED_SCALES + sub / 2 * BLOCK_COLUMNS;
    let shift = sub % 2 * 4;
    let column = |at: usize| block[from + at] >> shift & 15;
    Block {
        scale,
        minimum: scale * OFFSET as f32 - minimum,
        nibbles: std::array::from_fn(|at| column(at) | column(at + NIBBLE_BYTES) << 4),
    }
}

fn put_words(nibbles: &[u8; NIBBLE_BYTES], row: usize, block: &mut [u8]) {
    for (number, word) in nibbles.chunks_exact(WORD_BYTES).enumerate() {
        let word = word
            .first_chunk()
            .map_or(0, |bytes| u32::from_le_bytes(*bytes))
            ^ TOP_BITS;
        let at = (number * GROUP_ROWS + row) * WORD_BYTES;
        block[at..at + WORD_BYTES].copy_from_slice(&word.to_le_bytes());
    }
}

fn put_i16(block: &mut [u8], at: usize, row: usize, value: i16) {
    let at = at + row * 2;
    block[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

/// Sum of the squares of q - 8.
fn squares(nibbles: &[u8; NIBBLE_BYTES]) -> u32 {
    nibbles
        .iter()
        .map(|&byte| u32::from(SQUARES[usize::from(byte)]))
        .sum()
}

/// For a byte, the sum of the squares of q - 8 of both its nibbles.
static SQUARES: [u8; 256] = squares_of_bytes();

const fn squares_of_bytes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let (low, high) = ((byte as i32 & 15) - OFFSET, (byte as i32 >> 4) - OFFSET);
        table[byte] = (low * low + high * high) as u8;
        byte += 1;
    }
    table
}

/// One row of a block, as q - 8.
fn integers(block: &[u8], row: usize) -> [i32; BLOCK_COLUMNS] {
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
    word * 4 + nibble / 2 + nibble % 2 * NIBBLE_BYTES
}

/// One row of a block as f32; `one` is what an integer scale of 1 stands for.
pub fn unpack_symmetric(block: &[u8], row: usize, one: f32, out: &mut [f32]) {
    let scale = f32::from(i16_at(&block[SCALES_AT..], row)) * one;
    for (out, value) in out.iter_mut().zip(integers(block, row)) {
        *out = value as f32 * scale;
    }
}

/// The same with a minimum.
pub fn unpack_with_minimum(block: &[u8], row: usize, one: f32, out: &mut [f32]) {
    let scale = f32::from(i16_at(&block[SCALES_AT..], row)) * one;
    let minimum = f32::from(i16_at(&block[MINIMA_AT..], row)) * one * MINIMUM_UNIT;
    for (out, value) in out.iter_mut().zip(integers(block, row)) {
        *out = value as f32 * scale + minimum;
    }
}
