//! Attention over an f16 key/value cache, for the query tokens of one batch.
//!
//! [`attend`] is a pure function of what [`Attention`] describes, with the meaning of ggml's
//! `FLASH_ATTN_EXT`. The backend calls it once a layer. How it works:
//!
//! - Query heads that share a key/value head, and neighbouring tokens, are taken up to
//!   [`MAX_QUERIES`] at a time, so that a cell of the cache is read and converted once for all of
//!   them. Each number of queries has a loop of its own.
//! - The mask becomes runs of cells (`mask`). What no query sees is never read, except for up to
//!   three cells after a run, whose scores are dropped.
//! - All scores first, then the softmax over them: no rescaling on the way (`softmax`).
//! - An f16 is converted by moving its bits, which gives the value times 2⁻¹¹²; the queries and the
//!   softmax weights carry 2⁹⁶ and the products end with what is left (`products`, and on `ARMv6`
//!   `arm`).
//!
//! # Numbers
//! - An f16 below 2⁻¹⁴ in magnitude counts as zero: at most 6.1e-5 of each cache element.
//! - A cache element that is infinite or not a number counts as a finite one, ±65,536 to ±131,008.
//! - Sums are of f32. A weight of the softmax is within 1e-6 of its value, and at least 2⁻¹⁵⁰ of
//!   the largest, also where a cell is hidden from a token and not from one beside it.
//! - The products and the weights are the same on every processor, bit for bit, as long as none
//!   is below 2⁻¹²⁶: there `ARMv6` has zero.
//! - Queries are f32 (ggml rounds them to f16). Up to 2³¹ in magnitude they cannot overflow by
//!   the factor they carry.

#[cfg(armv6_kernels)]
mod arm;
mod mask;
mod part;
mod products;
mod softmax;
#[cfg(test)]
pub(crate) mod tests;

use std::ops::Range;

pub(crate) use softmax::SERIES;

use mask::Runs;
use part::Part;

/// Queries that share the reading of a cell.
pub const MAX_QUERIES: usize = 4;

/// What to attend with and to. Strides are in elements.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// The queries: `key_width` contiguous elements for each token and head.
    pub q: &'a [f32],
    /// From a token's queries to the next one's.
    pub q_token_stride: usize,
    /// From a head's query to the next one's.
    pub q_head_stride: usize,
    /// The keys, as f16: `key_width` contiguous elements for each cell and key/value head.
    pub k: &'a [u16],
    /// From a cell's keys to the next one's.
    pub k_cell_stride: usize,
    /// From a head's key to the next one's.
    pub k_head_stride: usize,
    /// The values, as f16: `value_width` contiguous elements for each cell and key/value head.
    pub v: &'a [u16],
    /// From a cell's values to the next one's.
    pub v_cell_stride: usize,
    /// From a head's value to the next one's.
    pub v_head_stride: usize,
    /// f16 to add to the scores, for each token a row of `cells`; and from a row to the next.
    /// A cell with -∞ is hidden from the token.
    pub mask: Option<(&'a [u16], usize)>,
    /// For each head a score that takes part in the softmax and has no value.
    pub sinks: Option<&'a [f32]>,
    /// Query heads, a multiple of `kv_heads`.
    pub heads: usize,
    /// Heads of the cache. Query head `h` belongs to `h / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// Elements of a query and of a key.
    pub key_width: usize,
    /// Elements of a value.
    pub value_width: usize,
    /// Cells of the cache.
    pub cells: usize,
    /// Query tokens.
    pub tokens: usize,
    /// Factor of query times key.
    pub scale: f32,
    /// Where it isn't 0: scores become `softcap * tanh(score / softcap)`.
    pub softcap: f32,
    /// Where it is above 0: `ALiBi`. The mask is multiplied with a slope that depends on the head.
    pub max_bias: f32,
}

/// Memory that [`attend`] works in, kept from call to call so that it does not allocate.
#[derive(Debug, Default)]
pub struct AttentionScratch {
    /// What the queries of each part see.
    runs: Vec<Runs>,
    work: part::Work,
}

/// Writes what each token's heads attend to, as `[tokens][heads][value_width]`.
///
/// A token that sees no cell gets zeros.
///
/// # Panics
/// When a slice is shorter than the widths, counts and strides say, or `heads` is not a multiple
/// of `kv_heads`.
pub fn attend(what: &Attention<'_>, out: &mut [f32], scratch: &mut AttentionScratch) {
    what.check(out.len());
    let queries = what.tokens * what.heads / what.kv_heads;
    let parts = queries.div_ceil(MAX_QUERIES);
    // As equal as possible: one query alone costs almost as much as two.
    let range = |part: usize| queries * part / parts..queries * (part + 1) / parts;
    scratch
        .runs
        .resize_with(parts.max(scratch.runs.len()), Runs::default);
    for part in 0..parts {
        let (before, runs) = scratch.runs.split_at_mut(part);
        let tokens = what.tokens_of(&range(part));
        match before.last() {
            Some(last) if what.tokens_of(&range(part - 1)) == tokens => runs[0].clone_from(last),
            _ => runs[0].find(what, tokens),
        }
    }
    for kv_head in 0..what.kv_heads {
        for part in 0..parts {
            let (range, runs, work) = (range(part), &scratch.runs[part], &mut scratch.work);
            match range.len() {
                1 => Part::<1>::new(what, kv_head, range.start, runs).attend(out, work),
                2 => Part::<2>::new(what, kv_head, range.start, runs).attend(out, work),
                3 => Part::<3>::new(what, kv_head, range.start, runs).attend(out, work),
                _ => Part::<4>::new(what, kv_head, range.start, runs).attend(out, work),
            }
        }
    }
}

impl Attention<'_> {
    /// Panics where an index would be out of bounds later, or where assembly would read there.
    fn check(&self, out: usize) {
        assert!(
            self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads),
            "heads"
        );
        assert!(
            out >= self.tokens * self.heads * self.value_width,
            "the output is short"
        );
        let end = |rows: usize, stride: usize, heads: usize, head_stride: usize, width: usize| {
            if rows == 0 || heads == 0 {
                return 0;
            }
            let last_row = (rows - 1).checked_mul(stride);
            let last_head = (heads - 1).checked_mul(head_stride);
            let last = last_row
                .zip(last_head)
                .and_then(|(row, head)| row.checked_add(head));
            last.and_then(|last| last.checked_add(width))
                .unwrap_or(usize::MAX)
        };
        let q = end(
            self.tokens,
            self.q_token_stride,
            self.heads,
            self.q_head_stride,
            self.key_width,
        );
        assert!(self.q.len() >= q, "the queries are short");
        let k = end(
            self.cells,
            self.k_cell_stride,
            self.kv_heads,
            self.k_head_stride,
            self.key_width,
        );
        assert!(self.k.len() >= k, "the keys are short");
        let v = end(
            self.cells,
            self.v_cell_stride,
            self.kv_heads,
            self.v_head_stride,
            self.value_width,
        );
        assert!(self.v.len() >= v, "the values are short");
        if let Some((mask, stride)) = self.mask {
            assert!(
                mask.len() >= end(self.tokens, stride, 1, 0, self.cells),
                "the mask is short"
            );
        }
        assert!(
            self.sinks.is_none_or(|sinks| sinks.len() >= self.heads),
            "the sinks are short"
        );
    }

    /// Query heads that share a key/value head.
    fn shared(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// The tokens of queries, which are counted head by head, then token by token.
    fn tokens_of(&self, queries: &Range<usize>) -> Range<usize> {
        queries.start / self.shared()..(queries.end - 1) / self.shared() + 1
    }

    /// What the mask is multiplied with for a head: 1 without `ALiBi`.
    fn slope(&self, head: usize) -> f32 {
        if self.max_bias <= 0.0 || self.heads == 0 {
            return 1.0;
        }
        let power = 1usize << self.heads.ilog2();
        let (bias, steps) = if head < power {
            (self.max_bias, head + 1)
        } else {
            (self.max_bias / 2.0, 2 * (head - power) + 1)
        };
        #[expect(clippy::cast_precision_loss, reason = "heads are few")]
        let exponent = -bias * steps as f32 / power as f32;
        // No `powf`: it is slow, and the compiler takes the liberty to call it where nothing needs
        // a slope.
        softmax::weight(exponent) / products::LIFT
    }
}
