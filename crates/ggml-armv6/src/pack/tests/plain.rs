//! Packing said plainly, weight by weight: what the packed bytes must be.

use super::*;

/// 32 columns of one row of a file: weight = scale * integer + minimum.
struct Block {
    scale: f32,
    minimum: f32,
    integers: [i32; BLOCK_COLUMNS],
}

/// A whole matrix.
pub fn packed(layout: Layout, ggml_type: u32, source: &[u8]) -> Vec<u8> {
    let row_bytes = source::row_bytes(ggml_type, layout.columns).unwrap();
    let mut packed = vec![0; layout.bytes()];
    let mut largest = 0.0_f64;
    for (row, bytes) in source.chunks_exact(row_bytes).enumerate() {
        let group = &mut packed[row / GROUP_ROWS * layout.group_bytes()..];
        let group = &mut group[..layout.group_bytes()];
        let blocks = blocks(ggml_type, bytes, layout.columns);
        let (factor, squares) = put_row(layout, &blocks, row % GROUP_ROWS, group);
        let at = layout.stream_bytes() + row % GROUP_ROWS * 4;
        group[at..at + 4].copy_from_slice(&factor.to_le_bytes());
        largest = largest.max(squares);
    }
    let at = packed.len() - TRAILER_BYTES;
    let limit = vector_limit(layout, largest);
    packed[at..at + 4].copy_from_slice(&limit.to_le_bytes());
    packed
}

/// Puts a row; gives its factor and the sum of its squares.
fn put_row(layout: Layout, blocks: &[Block], at: usize, group: &mut [u8]) -> (f32, f64) {
    let minimum_unit = match layout.format {
        Format::FourMin => Some(8.0),
        Format::FiveMin => Some(16.0),
        _ => None,
    };
    let words = words_of(layout.format);
    let mut largest = largest_of(blocks.iter().map(|block| block.scale));
    if let Some(unit) = minimum_unit {
        let minima = largest_of(blocks.iter().map(|block| block.minimum));
        largest = largest_of([largest, minima / unit].into_iter());
    }
    let steps = scale_steps(largest);
    let mut squares = 0.0;
    for (block, into) in blocks
        .iter()
        .zip(group.chunks_exact_mut(layout.format.block_bytes()))
    {
        for (word, value) in words_for(layout.format, &block.integers).enumerate() {
            let at = (word * GROUP_ROWS + at) * 4;
            into[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        let mut scales_at = words * GROUP_ROWS * 4;
        if matches!(layout.format, Format::Five | Format::FiveMin) {
            let [low, top] = [29, 31].map(|column| block.integers[column]);
            let left = (low + 16) | (top * 2048);
            into[scales_at + at * 2..][..2].copy_from_slice(&(left as i16).to_le_bytes());
            scales_at += 8;
        }
        let scale = relative(block.scale, steps);
        into[scales_at + at * 2..][..2].copy_from_slice(&scale.to_le_bytes());
        let sum: i32 = block.integers.iter().map(|q| q * q).sum();
        let scaled = f64::from(scale).powi(2) * f64::from(sum);
        if let Some(unit) = minimum_unit {
            let minimum = relative(block.minimum, steps / unit);
            into[scales_at + 8 + at * 2..][..2].copy_from_slice(&minimum.to_le_bytes());
            let minimum = f64::from(minimum) * f64::from(unit);
            squares += 2.0 * (scaled + minimum.powi(2) * BLOCK_COLUMNS as f64);
        } else {
            squares += scaled;
        }
    }
    let factor = largest * (SHIFT / (SCALE_ONE * layout.format.unit()));
    (factor, squares)
}

/// The words of a block's integers.
fn words_for(format: Format, integers: &[i32; BLOCK_COLUMNS]) -> impl Iterator<Item = u32> {
    (0..words_of(format)).map(move |word| match format {
        Format::Eight => {
            let half = |at: usize| (integers[at] + 256 * integers[at + 1]) as u32 & 0xFFFF;
            half(4 * word) | half(4 * word + 2) << 16
        }
        Format::Four | Format::FourMin => (0..8).fold(0, |value, nibble| {
            let q = integers[column_of(word, nibble)];
            let stored = if nibble % 4 == 3 { q & 15 } else { q + 8 };
            value | (stored as u32) << (4 * nibble)
        }),
        Format::Five | Format::FiveMin => {
            // Pairs of columns that are 2 apart, three in a word.
            let half = |half: usize| {
                let column = |pair: usize| integers[pair / 2 * 4 + pair % 2 + 2 * half];
                let [low, middle, top] = [0, 1, 2].map(|field| column(3 * word + field));
                ((low + 16) | (middle + 16) << 5 | top << 11) as u32 & 0xFFFF
            };
            half(0) | half(1) << 16
        }
    })
}

fn blocks(ggml_type: u32, row: &[u8], columns: usize) -> Vec<Block> {
    let nibble = |bytes: &[u8], at: usize| i32::from(bytes[at % 16] >> (at / 16 * 4) & 15);
    let half_at = |at: usize| half(u16::from_le_bytes([row[at], row[at + 1]]));
    let block = |number: usize| match ggml_type {
        ggml::GGML_TYPE_Q4_0 => Block {
            scale: half_at(number * 18),
            minimum: 0.0,
            integers: std::array::from_fn(|at| nibble(&row[number * 18 + 2..], at) - 8),
        },
        ggml::GGML_TYPE_Q4_1 => {
            let scale = half_at(number * 20);
            Block {
                scale,
                minimum: half_at(number * 20 + 2) + scale * 8.0,
                integers: std::array::from_fn(|at| nibble(&row[number * 20 + 4..], at) - 8),
            }
        }
        ggml::GGML_TYPE_Q4_K => k_block(&row[number / 8 * 144..][..144], number % 8),
        ggml::GGML_TYPE_Q5_K => k_block(&row[number / 8 * 176..][..176], number % 8),
        ggml::GGML_TYPE_Q8_0 => Block {
            scale: half_at(number * 34),
            minimum: 0.0,
            integers: std::array::from_fn(|at| {
                i32::from(row[number * 34 + 2 + at] as i8).max(-127)
            }),
        },
        ggml::GGML_TYPE_Q5_0 => Block {
            scale: half_at(number * 22),
            minimum: 0.0,
            integers: five_bits(&row[number * 22 + 2..]),
        },
        ggml::GGML_TYPE_Q5_1 => {
            let scale = half_at(number * 24);
            Block {
                scale,
                minimum: half_at(number * 24 + 2) + scale * 16.0,
                integers: five_bits(&row[number * 24 + 4..]),
            }
        }
        _ => {
            let mut values = vec![0.0; columns];
            source::to_f32(ggml_type, row, &mut values);
            requantised(&values[number * BLOCK_COLUMNS..][..BLOCK_COLUMNS])
        }
    };
    (0..columns / BLOCK_COLUMNS).map(block).collect()
}

/// Of `Q5_0` and `Q5_1`: the fifth bits of all columns, and four bits of each.
fn five_bits(bytes: &[u8]) -> [i32; BLOCK_COLUMNS] {
    std::array::from_fn(|at| {
        let fifth = bytes[at / 8] >> (at % 8) & 1;
        let low = bytes[4 + at % 16] >> (at / 16 * 4) & 15;
        i32::from(low) + 16 * i32::from(fifth) - 16
    })
}

/// `get_scale_min_k4`, and `dequantize_row_q4_K` or, where fifth bits come first,
/// `dequantize_row_q5_K` of ggml-quants.c.
fn k_block(block: &[u8], sub: usize) -> Block {
    let packed = &block[4..16];
    let (scale, minimum) = if sub < 4 {
        (packed[sub] & 63, packed[sub + 4] & 63)
    } else {
        (
            (packed[sub + 4] & 15) | (packed[sub - 4] >> 6 << 4),
            (packed[sub + 4] >> 4) | (packed[sub] >> 6 << 4),
        )
    };
    let half_at = |at: usize| half(u16::from_le_bytes([block[at], block[at + 1]]));
    let scale = half_at(0) * f32::from(scale);
    let minimum = half_at(2) * f32::from(minimum);
    let nibbles_at = block.len() - 128;
    let nibble = |at: usize| block[nibbles_at + sub / 2 * 32 + at] >> (sub % 2 * 4) & 15;
    let has_fifth = nibbles_at > 16;
    let fifth = |at: usize| {
        if has_fifth {
            block[16 + at] >> sub & 1
        } else {
            0
        }
    };
    let middle = if has_fifth { 16 } else { 8 };
    Block {
        scale,
        minimum: scale * middle as f32 - minimum,
        integers: std::array::from_fn(|at| i32::from(nibble(at) | fifth(at) << 4) - middle),
    }
}

fn requantised(values: &[f32]) -> Block {
    let scale = largest_of(values.iter().copied()) / 127.0;
    let steps = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    Block {
        scale,
        minimum: 0.0,
        integers: std::array::from_fn(|at| nearest(values[at] * steps).clamp(-127, 127)),
    }
}
