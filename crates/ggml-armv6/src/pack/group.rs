//! The loop that packs four rows: block by block, so that what is written is written in order. The
//! core keeps nothing in its cache for a write, and gathers only what lies together.

use super::{BLOCK_COLUMNS, GROUP_ROWS, PackedRow, largest_of, relative, scale_steps};

/// The integers of 32 columns.
pub struct Integers<const WORDS: usize> {
    /// As they are packed.
    pub words: [u32; WORDS],
    /// The columns that do not fill a word; nothing where all do.
    pub left: u16,
    /// The sum of their squares.
    pub squares: u32,
}

/// A row as it is in the file, read block by block, twice.
pub trait Row<const WORDS: usize> {
    /// Whether columns are left over.
    const HAS_LEFT: bool = false;
    /// What is added to a scaled integer counts in so many units of the scales; 0 where nothing is.
    const MINIMUM_UNIT: f32 = 0.0;
    /// Whether something is.
    const HAS_MINIMA: bool = Self::MINIMUM_UNIT > 0.0;

    /// The blocks of 32 columns.
    fn blocks(&self) -> usize;

    /// What the integers of a block are multiplied by.
    fn scale(&self, block: usize) -> f32;

    /// What is added then.
    fn minimum(&self, _block: usize) -> f32 {
        0.0
    }

    /// The integers of a block.
    fn integers(&self, block: usize) -> Integers<WORDS>;

    /// The largest scale that is a number.
    fn largest_scale(&self) -> f32 {
        largest_of((0..self.blocks()).map(|block| self.scale(block)))
    }
}

/// A row with what is known after its first reading, and what the second one adds up.
struct Reading<R> {
    row: R,
    largest: f32,
    steps: f32,
    square_sum: u64,
}

impl<R> Reading<R> {
    fn first<const WORDS: usize>(row: R) -> Self
    where
        R: Row<WORDS>,
    {
        let mut largest = row.largest_scale();
        if R::HAS_MINIMA {
            let minima = largest_of((0..row.blocks()).map(|block| row.minimum(block)));
            largest = largest.max(minima / R::MINIMUM_UNIT);
        }
        Self {
            steps: scale_steps(largest),
            row,
            largest,
            square_sum: 0,
        }
    }
}

/// Packs four rows into the stream of a group. `BLOCK` is the words of a block: those of all rows
/// and then their scales, and minima if there are any.
// Apart from its likes of other types: all in one function, they take each other's registers.
#[inline(never)]
pub fn pack<R: Row<WORDS>, const WORDS: usize, const BLOCK: usize>(
    rows: [R; GROUP_ROWS],
    stream: &mut [u32],
) -> [PackedRow; GROUP_ROWS] {
    const {
        let lists = 1 + R::HAS_LEFT as usize + R::HAS_MINIMA as usize;
        assert!(BLOCK == WORDS * GROUP_ROWS + lists * PAIRS);
    }
    let mut readings = rows.map(Reading::first);
    let (blocks, _) = stream.as_chunks_mut::<BLOCK>();
    for (number, out) in blocks.iter_mut().enumerate() {
        // Each step for all four rows, so that none waits for its own results.
        let integers = readings
            .each_ref()
            .map(|reading| reading.row.integers(number));
        for word in 0..WORDS {
            for (at, integers) in integers.iter().enumerate() {
                out[word * GROUP_ROWS + at] = integers.words[word];
            }
        }
        let scales = readings
            .each_ref()
            .map(|reading| relative(reading.row.scale(number), reading.steps));
        let (_, mut lists) = out.split_at_mut(WORDS * GROUP_ROWS);
        if R::HAS_LEFT {
            let left = integers.each_ref().map(|integers| integers.left as i16);
            put(left, lists);
            lists = &mut lists[PAIRS..];
        }
        put(scales, lists);
        let mut squares: [u64; GROUP_ROWS] = std::array::from_fn(|at| {
            u64::from(square(scales[at])) * u64::from(integers[at].squares)
        });
        if R::HAS_MINIMA {
            let minima = readings.each_ref().map(|reading| {
                relative(reading.row.minimum(number), reading.steps / R::MINIMUM_UNIT)
            });
            put(minima, &mut lists[PAIRS..]);
            for (squares, minimum) in squares.iter_mut().zip(minima) {
                // (a + b)^2 <= 2a^2 + 2b^2.
                let unit_squares =
                    (R::MINIMUM_UNIT * R::MINIMUM_UNIT) as u64 * BLOCK_COLUMNS as u64;
                *squares = 2 * (*squares + unit_squares * u64::from(square(minimum)));
            }
        }
        for (reading, squares) in readings.iter_mut().zip(squares) {
            reading.square_sum += squares;
        }
    }
    readings.map(|reading| PackedRow {
        largest_scale: reading.largest,
        square_sum: reading.square_sum,
    })
}

/// Words of four rows' scales, minima, or what is left over.
const PAIRS: usize = GROUP_ROWS / 2;

fn put(values: [i16; GROUP_ROWS], out: &mut [u32]) {
    let (pairs, _) = values.as_chunks::<2>();
    for (&[low, high], out) in pairs.iter().zip(out) {
        *out = u32::from(low as u16) | u32::from(high as u16) << 16;
    }
}

fn square(value: i16) -> u32 {
    u32::from(value.unsigned_abs()).pow(2)
}
