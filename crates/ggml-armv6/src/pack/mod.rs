//! Packed matrices: what the kernels read, made once when a model is loaded.
//!
//! Four rows are a group. A group is one stream, read once from its beginning to its end: for each
//! 32 columns the weights of all four rows and then their scales, and after the last columns one
//! factor for each row. Rows that are missing in the last group are zeros. After the last group
//! stands how large the integers of a vector may be ([`crate::matrix::Matrix`]).
//!
//! | Format | Made from | Bits a weight | Difference from the file |
//! |---|---|---|---|
//! | [`Format::Four`] | `Q4_0` | 4.5 | scales: 2^-16 of the largest of their row |
//! | [`Format::FourMin`] | `Q4_1`, `Q4_K` | 5 | scales and minima: the same |
//! | [`Format::Five`] | `Q5_0` | 6 | scales: the same |
//! | [`Format::FiveMin`] | `Q5_1`, `Q5_K` | 6.5 | scales and minima: the same |
//! | [`Format::Eight`] | `Q8_0` | 8.5 | scales: the same; a -128 becomes -127 |
//! | [`Format::Eight`] | `Q6_K`, `IQ4_NL` | 8.5 | also 1/254 of the largest among 32 weights |
//!
//! Used by `backend`, which packs while a model is loaded, and by [`crate::matrix`].

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers are cut into lanes, bytes and nibbles on purpose"
)]

mod eight;
mod five;
mod four;
mod group;
mod lanes;
mod source;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use five::{LEFT_AT, column_of as column_of_five};
pub(crate) use four::column_of;

use std::slice::ChunksExact;

use llama_cpp_sys_2 as ggml;

use crate::activations::nearest;

// Words and halves are read and written as a file and the kernels have them.
const _: () = assert!(cfg!(target_endian = "little"));

/// Rows that are packed together.
pub const GROUP_ROWS: usize = 4;
/// Columns that share a scale.
pub const BLOCK_COLUMNS: usize = 32;
/// What follows the blocks of a group: one f32 for each row.
const GROUP_TAIL_BYTES: usize = GROUP_ROWS * size_of::<f32>();
/// What follows the last group: the limit, and zeros.
const TRAILER_BYTES: usize = 32;
/// How much is read of a source before it is said.
const TELL_BYTES: usize = 1 << 20;
/// Scales are integers of this size at most.
pub(crate) const SCALE_ONE: f32 = 32_767.0;
/// A product is shifted by so many bits when it is added up.
pub(crate) const SHIFT: f32 = 65_536.0;
/// Share of the range of an i32 that sums may use; the rest is for what is rounded.
const SAFE_SUM: f64 = 0.97 * 2_147_483_648.0;
/// The longest row that is taken: in longer ones the steps of a vector could be too few.
const MOST_COLUMNS: usize = 16_384;
/// Largest sum of squares of the integers of 32 columns of a vector, as its root: 2^31 / 4096 /
/// (8 * sqrt(32)) is 11,585, 2^31 / 2048 / (16 * sqrt(32)) the same, and 2^31 / 256 /
/// (127 * sqrt(32)) is 11,677.
pub const BLOCK_LIMIT: f32 = 11_500.0;

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 4 bits, symmetric: weight = scale * (q - 8).
    Four,
    /// 4 bits with a minimum: weight = scale * (q - 8) + minimum.
    FourMin,
    /// 5 bits, symmetric: weight = scale * (q - 16).
    Five,
    /// 5 bits with a minimum: weight = scale * (q - 16) + minimum.
    FiveMin,
    /// 8 bits, symmetric: weight = scale * q.
    Eight,
}

impl Format {
    /// Bytes of 4 rows of 32 columns.
    #[must_use]
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::Four => 64 + 8,
            Self::FourMin => 64 + 8 + 8,
            Self::Five => 80 + 8 + 8,
            Self::FiveMin => 80 + 8 + 8 + 8,
            Self::Eight => 128 + 8,
        }
    }

    /// Whether something is added to a scaled integer.
    pub(crate) fn has_minima(self) -> bool {
        self.minimum_unit() > 0.0
    }

    /// What that counts in, in units of the scales; 0 where there is none.
    fn minimum_unit(self) -> f32 {
        match self {
            Self::FourMin => four::MINIMUM_UNIT,
            Self::FiveMin => five::MINIMUM_UNIT,
            Self::Four | Self::Five | Self::Eight => 0.0,
        }
    }

    /// What the sum of products over a block is multiplied by.
    pub(crate) fn unit(self) -> f32 {
        match self {
            Self::Four | Self::FourMin => 4_096.0,
            Self::Five | Self::FiveMin => 2_048.0,
            Self::Eight => 256.0,
        }
    }
}

/// Shape and format of a packed matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    format: Format,
    rows: usize,
    columns: usize,
}

/// Why a matrix was not packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The bytes of the file are not those of such a matrix.
    #[error("the matrix has {found} bytes in the file, {wanted} were expected")]
    SourceLength {
        /// Bytes given.
        found: usize,
        /// Bytes that the type and the shape make.
        wanted: usize,
    },
    /// The place is not of the length of [`Layout::bytes`].
    #[error("a packed matrix of {wanted} bytes does not go into {found}")]
    PackedLength {
        /// Bytes given.
        found: usize,
        /// Bytes needed.
        wanted: usize,
    },
    /// The bytes of the file lie at an odd address, where ggml's types cannot be read.
    #[error("the matrix begins at an odd address")]
    SourceAddress,
    /// The place for the packed matrix does not lie at a multiple of 4.
    #[error("there is no packed matrix at this address")]
    PackedAddress,
    /// [`Layout::of`] does not give this layout for the type.
    #[error("matrices of ggml's type {0} are not packed so")]
    Type(u32),
}

impl Layout {
    /// The layout for a matrix of a file; `None` where the type or the shape is not taken.
    #[must_use]
    pub fn of(ggml_type: u32, rows: usize, columns: usize) -> Option<Self> {
        let format = match ggml_type {
            ggml::GGML_TYPE_Q4_0 => Format::Four,
            ggml::GGML_TYPE_Q4_1 | ggml::GGML_TYPE_Q4_K => Format::FourMin,
            ggml::GGML_TYPE_Q5_0 => Format::Five,
            ggml::GGML_TYPE_Q5_1 | ggml::GGML_TYPE_Q5_K => Format::FiveMin,
            ggml::GGML_TYPE_Q8_0 | ggml::GGML_TYPE_Q6_K | ggml::GGML_TYPE_IQ4_NL => Format::Eight,
            _ => return None,
        };
        let fits = rows > 0
            && (1..=MOST_COLUMNS).contains(&columns)
            && columns.is_multiple_of(source::columns(ggml_type)?);
        let layout = Self {
            format,
            rows,
            columns,
        };
        (fits && layout.checked_bytes().is_some()).then_some(layout)
    }

    /// How weights are stored.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Rows: the length of a product.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns: the length of a vector.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Blocks of 32 columns in a row.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.columns / BLOCK_COLUMNS
    }

    /// Groups of 4 rows.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.rows.div_ceil(GROUP_ROWS)
    }

    /// Bytes of the blocks of a group.
    #[must_use]
    pub fn stream_bytes(&self) -> usize {
        self.blocks() * self.format.block_bytes()
    }

    /// Bytes of a group.
    #[must_use]
    pub fn group_bytes(&self) -> usize {
        self.stream_bytes() + GROUP_TAIL_BYTES
    }

    /// Bytes of the packed matrix. Kernels want it to begin at a multiple of 8.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.groups() * self.group_bytes() + TRAILER_BYTES
    }

    fn checked_bytes(&self) -> Option<usize> {
        let stream = self.blocks().checked_mul(self.format.block_bytes())?;
        let group = stream.checked_add(GROUP_TAIL_BYTES)?;
        let all = self.groups().checked_mul(group)?;
        all.checked_add(TRAILER_BYTES)
            .filter(|&bytes| bytes <= isize::MAX as usize)
    }
}

/// Packs a whole matrix, given as it is in the file.
///
/// # Errors
/// [`PackError`]: the lengths do not belong to the layout, or the layout not to the type.
pub fn pack(
    layout: Layout,
    ggml_type: u32,
    source: &[u8],
    packed: &mut [u8],
) -> Result<(), PackError> {
    pack_and_tell(layout, ggml_type, source, packed, &mut |_| {})
}

/// As [`pack`]; says now and then which part of the source has been read for the last time.
pub(crate) fn pack_and_tell(
    layout: Layout,
    ggml_type: u32,
    source: &[u8],
    packed: &mut [u8],
    is_read: &mut dyn FnMut(&[u8]),
) -> Result<(), PackError> {
    if Layout::of(ggml_type, layout.rows, layout.columns) != Some(layout) {
        return Err(PackError::Type(ggml_type));
    }
    let row_bytes =
        source::row_bytes(ggml_type, layout.columns).ok_or(PackError::Type(ggml_type))?;
    let wanted = row_bytes.saturating_mul(layout.rows);
    if source.len() != wanted {
        let found = source.len();
        return Err(PackError::SourceLength { found, wanted });
    }
    if !source.as_ptr().addr().is_multiple_of(align_of::<u16>()) {
        return Err(PackError::SourceAddress);
    }
    if packed.len() != layout.bytes() {
        let (found, wanted) = (packed.len(), layout.bytes());
        return Err(PackError::PackedLength { found, wanted });
    }
    if !packed.as_ptr().addr().is_multiple_of(align_of::<u32>()) {
        return Err(PackError::PackedAddress);
    }
    let (groups, trailer) = packed.split_at_mut(packed.len() - TRAILER_BYTES);
    let (mut largest, mut told, mut at_bytes) = (0, 0, 0);
    let sources = source.chunks(row_bytes * GROUP_ROWS);
    for (rows, group) in sources.zip(groups.chunks_exact_mut(layout.group_bytes())) {
        let square_sum = pack_group(layout, ggml_type, rows.chunks_exact(row_bytes), group);
        largest = largest.max(square_sum);
        at_bytes += rows.len();
        if at_bytes - told >= TELL_BYTES || at_bytes == source.len() {
            is_read(&source[told..at_bytes]);
            told = at_bytes;
        }
    }
    trailer.fill(0);
    let limit = vector_limit(layout, largest as f64);
    trailer[..size_of::<f32>()].copy_from_slice(&limit.to_le_bytes());
    Ok(())
}

/// Packs the rows of a group; gives the largest sum of squares of one.
fn pack_group(layout: Layout, ggml_type: u32, rows: ChunksExact<'_, u8>, group: &mut [u8]) -> u64 {
    let count = rows.len();
    let (stream, tail) = group.split_at_mut(layout.stream_bytes());
    let stream = words(stream);
    // The last of fewer than four is packed more than once, and then taken out again.
    let last = count.saturating_sub(1);
    let bytes = |at: usize| rows.clone().nth(at.min(last)).unwrap_or_default();
    let bytes: [&[u8]; GROUP_ROWS] = std::array::from_fn(bytes);
    let halves = bytes.map(source::halves);
    let packed = match ggml_type {
        ggml::GGML_TYPE_Q4_0 => {
            let rows = halves.map(|row| four::Symmetric(row.as_chunks().0));
            group::pack::<_, { four::WORDS }, 18>(rows, stream)
        }
        ggml::GGML_TYPE_Q4_1 => {
            let rows = halves.map(|row| four::WithMinimum(row.as_chunks().0));
            group::pack::<_, { four::WORDS }, 20>(rows, stream)
        }
        ggml::GGML_TYPE_Q4_K => {
            let rows = halves.map(|row| four::Super(row.as_chunks().0));
            group::pack::<_, { four::WORDS }, 20>(rows, stream)
        }
        ggml::GGML_TYPE_Q8_0 => {
            let rows = halves.map(|row| eight::Bytes(row.as_chunks().0));
            group::pack::<_, { eight::WORDS }, 34>(rows, stream)
        }
        ggml::GGML_TYPE_Q5_0 => {
            let rows = halves.map(|row| five::Symmetric(row.as_chunks().0));
            group::pack::<_, { five::WORDS }, 24>(rows, stream)
        }
        ggml::GGML_TYPE_Q5_1 => {
            let rows = halves.map(|row| five::WithMinimum(row.as_chunks().0));
            group::pack::<_, { five::WORDS }, 26>(rows, stream)
        }
        ggml::GGML_TYPE_Q5_K => {
            let rows = halves.map(|row| five::Super(row.as_chunks().0));
            group::pack::<_, { five::WORDS }, 26>(rows, stream)
        }
        _ => {
            let read = |row: &[u8]| eight::Requantised::read(ggml_type, row, layout.columns);
            group::pack::<_, { eight::WORDS }, 34>(bytes.map(read), stream)
        }
    };
    if count < GROUP_ROWS {
        clear_rows(layout.format, count, stream);
    }
    tail.fill(0);
    let rows = packed.iter().take(count);
    for (row, factor) in rows.clone().zip(tail.chunks_exact_mut(size_of::<f32>())) {
        factor.copy_from_slice(&row.factor(layout.format).to_le_bytes());
    }
    rows.map(|row| row.square_sum).max().unwrap_or(0)
}

/// Takes out the rows of a group that the matrix does not have: zeros.
fn clear_rows(format: Format, first: usize, stream: &mut [u32]) {
    let (words, block_words) = (words_of(format), format.block_bytes() / size_of::<u32>());
    for block in stream.chunks_exact_mut(block_words) {
        let (integers, scales) = block.split_at_mut(words * GROUP_ROWS);
        for rows in integers.chunks_exact_mut(GROUP_ROWS) {
            rows[first..].fill(0);
        }
        // What is left over, scales, and minima: 16 bits each.
        for rows in scales.chunks_exact_mut(GROUP_ROWS / 2) {
            for at in first..GROUP_ROWS {
                rows[at / 2] &= 0xFFFF_u32 << (16 * (1 - at % 2));
            }
        }
    }
}

/// Bytes as words; none where they do not lie at a multiple of 4.
fn words(bytes: &mut [u8]) -> &mut [u32] {
    // SAFETY: any four bytes are a u32, and the other way round.
    match unsafe { bytes.align_to_mut() } {
        ([], words, []) => words,
        _ => &mut [],
    }
}

/// One row as it was packed.
struct PackedRow {
    /// What a scale of [`SCALE_ONE`] stands for.
    largest_scale: f32,
    /// Sum over the row of the squares of (integer scale * integer weight), or a bound of it.
    square_sum: u64,
}

impl PackedRow {
    /// What a sum is multiplied by, beside what the vector's integers stand for.
    fn factor(&self, format: Format) -> f32 {
        self.largest_scale * (SHIFT / (SCALE_ONE * format.unit()))
    }
}

/// How large the root of the sum of squares of a vector may be, in steps.
///
/// By the Cauchy-Schwarz inequality the sum of a row, before it is shifted, is at most the product
/// of this root, for the rounded vector, and the root of the row's own sum of squares; the limit
/// keeps it inside an i32. Rounding changes each value by half a step at most.
fn vector_limit(layout: Layout, largest_square_sum: f64) -> f32 {
    let row = largest_square_sum.sqrt().max(1.0);
    let rounded = SAFE_SUM * f64::from(SHIFT) / (f64::from(layout.format.unit()) * row);
    (rounded - 0.5 * (layout.columns as f64).sqrt()) as f32
}

/// The limit that [`pack`] left.
pub(crate) fn stored_limit(packed: &[u8]) -> f32 {
    let at = packed.len() - TRAILER_BYTES;
    packed[at..]
        .first_chunk()
        .map_or(0.0, |bytes| f32::from_le_bytes(*bytes))
}

/// A scale relative to the largest of its row, as an integer. 0 in a row of zeros, and for a scale
/// that is no number or infinite, which counts as none.
fn relative(scale: f32, steps: f32) -> i16 {
    let value = scale * steps;
    // Rounding up may make it a little more than 1.
    if value.abs() <= SCALE_ONE + 0.25 {
        nearest(value) as i16
    } else {
        0
    }
}

/// Steps of a scale in 1.0, where the largest of its row is this.
fn scale_steps(largest: f32) -> f32 {
    let steps = SCALE_ONE / largest;
    if steps.is_finite() { steps } else { 0.0 }
}

/// The largest absolute value that is a number; 0 when there is none.
fn largest_of(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(0.0, |largest, value| {
        let size = value.abs();
        if size > largest && size < f32::INFINITY {
            size
        } else {
            largest
        }
    })
}

/// Gives one row of a packed matrix back, as f32.
pub(crate) fn unpack_row(layout: Layout, group: &[u8], row: usize, out: &mut [f32]) {
    let (stream, tail) = group.split_at(layout.stream_bytes());
    let factor = tail[row * size_of::<f32>()..].first_chunk();
    let factor = factor.map_or(0.0, |bytes| f32::from_le_bytes(*bytes));
    let one = factor * (layout.format.unit() / SHIFT);
    let blocks = stream.chunks_exact(layout.format.block_bytes());
    for (block, out) in blocks.zip(out.chunks_exact_mut(BLOCK_COLUMNS)) {
        let integers = match layout.format {
            Format::Four | Format::FourMin => four::unpacked(block, row),
            Format::Five | Format::FiveMin => five::unpacked(block, row),
            Format::Eight => eight::unpacked(block, row),
        };
        let scales = &block[scales_at(layout.format)..];
        let scale = f32::from(i16_at(scales, row)) * one;
        let minimum = if layout.format.has_minima() {
            f32::from(i16_at(scales, GROUP_ROWS + row)) * one * layout.format.minimum_unit()
        } else {
            0.0
        };
        for (out, integer) in out.iter_mut().zip(integers) {
            *out = integer as f32 * scale + minimum;
        }
    }
}

/// Words of one row in a block.
pub(crate) const fn words_of(format: Format) -> usize {
    match format {
        Format::Four | Format::FourMin => four::WORDS,
        Format::Five | Format::FiveMin => five::WORDS,
        Format::Eight => eight::WORDS,
    }
}

/// Where scales begin in a block; minima follow them.
pub(crate) const fn scales_at(format: Format) -> usize {
    match format {
        Format::Four | Format::FourMin => four::SCALES_AT,
        Format::Five | Format::FiveMin => five::SCALES_AT,
        Format::Eight => eight::SCALES_AT,
    }
}

/// The 16-bit value number `at` of a list.
fn i16_at(bytes: &[u8], at: usize) -> i16 {
    let found = bytes.get(at * 2..).and_then(|rest| rest.first_chunk());
    found.map_or(0, |pair| i16::from_le_bytes(*pair))
}
