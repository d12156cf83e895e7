//! A packed matrix and its products with f32 vectors. Used by `backend`.
//!
//! Invariants: a vector that holds what is no number gives rows of NaN, as a product of floats
//! would; no vector makes a sum overflow. A value that is 2^16 times as large as the others leaves
//! them as exact as they are without it.

use crate::activations::{self, Norms, TILE, interleave, pairs, subtract, write_rest_of_sums};
use crate::kernels::Product;
use crate::pack::{Format, Layout, stored_limit, unpack_row};

/// Vectors that are taken together at most: a scratch is as large as so many need.
const MOST_VECTORS: usize = 32;

/// A view of packed bytes.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    layout: Layout,
    packed: &'a [u8],
    limit: f32,
}

/// Vectors to multiply.
#[derive(Debug, Clone, Copy)]
pub struct Vectors<'a> {
    /// The values of all.
    pub values: &'a [f32],
    /// From one vector's first value to the next one's.
    pub stride: usize,
    /// How many.
    pub count: usize,
    /// They are those of the call before with the same scratch, so that their coefficients may be
    /// used again.
    pub same: bool,
}

/// Memory for the products of one thread, kept between them.
#[derive(Debug, Default)]
pub struct Scratch {
    inputs: Vec<Input>,
    tile: Vec<u64>,
    /// What a vector's integers could not say, and its coefficients.
    rest: Vec<f32>,
    second: Input,
    sums: Vec<f32>,
    rest_sums: Vec<f32>,
    /// Of the vectors of the call before.
    format: Option<Format>,
    columns: usize,
    count: usize,
}

/// One vector of the call before.
#[derive(Debug, Default)]
struct Input {
    norms: Option<Norms>,
    coefficients: Vec<u64>,
    /// 0 for a vector of zeros, `None` for one that holds what is no number.
    steps: Option<f32>,
}

impl<'a> Matrix<'a> {
    /// A view of what [`crate::pack::pack`] made.
    ///
    /// # Panics
    /// Where the bytes are not as many as the layout says.
    #[must_use]
    pub fn new(layout: Layout, packed: &'a [u8]) -> Self {
        assert_eq!(packed.len(), layout.bytes());
        let limit = stored_limit(packed);
        Self {
            layout,
            packed,
            limit,
        }
    }

    /// Multiplies vectors: `out[v * out_stride + r]` is the sum over c of weight (r, c) times value
    /// c of vector v.
    ///
    /// # Panics
    /// Where a slice is shorter than counts and strides say.
    pub fn multiply(
        &self,
        vectors: Vectors<'_>,
        out: &mut [f32],
        out_stride: usize,
        scratch: &mut Scratch,
    ) {
        let mut first = 0;
        while first < vectors.count {
            let count = (vectors.count - first).min(MOST_VECTORS);
            let some = Vectors {
                values: &vectors.values[first * vectors.stride..],
                count,
                same: vectors.same && vectors.count <= MOST_VECTORS,
                ..vectors
            };
            self.multiply_some(some, &mut out[first * out_stride..], out_stride, scratch);
            first += count;
        }
    }

    fn multiply_some(
        &self,
        vectors: Vectors<'_>,
        out: &mut [f32],
        out_stride: usize,
        scratch: &mut Scratch,
    ) {
        self.prepare(vectors, scratch);
        let rows = self.layout.rows();
        let tiles = vectors.count / TILE * TILE;
        for at in (0..tiles).step_by(TILE) {
            self.sum_tile(at, scratch);
            for vector in 0..TILE {
                let out = &mut out[(at + vector) * out_stride..][..rows];
                let sums = scratch.sums.chunks_exact(TILE);
                out.iter_mut()
                    .zip(sums)
                    .for_each(|(out, sums)| *out = sums[vector]);
            }
        }
        for at in tiles..vectors.count {
            self.sum_one(at, &mut out[at * out_stride..][..rows], scratch);
        }
        for at in 0..vectors.count {
            let out = &mut out[at * out_stride..][..rows];
            self.finish(at, self.vector(vectors, at), out, scratch);
        }
    }

    /// Makes the coefficients of all vectors, or finds them in the scratch.
    fn prepare(&self, vectors: Vectors<'_>, scratch: &mut Scratch) {
        let format = self.layout.format();
        let columns = self.layout.columns();
        let same = vectors.same && scratch.columns == columns && scratch.count == vectors.count;
        let kept = same
            && scratch
                .format
                .is_some_and(|kept| is_same_kind(kept, format));
        if scratch.inputs.len() < vectors.count {
            scratch.inputs.resize_with(vectors.count, Input::default);
        }
        for (at, input) in scratch.inputs.iter_mut().take(vectors.count).enumerate() {
            input.prepare(format, self.vector(vectors, at), self.limit, same, kept);
        }
        (scratch.columns, scratch.count) = (columns, vectors.count);
        scratch.format = Some(format);
    }

    fn vector<'x>(&self, vectors: Vectors<'x>, at: usize) -> &'x [f32] {
        &vectors.values[at * vectors.stride..][..self.layout.columns()]
    }

    /// The sums of a tile, into the scratch.
    fn sum_tile(&self, at: usize, scratch: &mut Scratch) {
        let format = self.layout.format();
        let inputs = &scratch.inputs[at..at + TILE];
        scratch
            .tile
            .resize(pairs(format, self.layout.columns()) * TILE, 0);
        let of = |at: usize| inputs[at].coefficients.as_slice();
        interleave(format, [of(0), of(1), of(2), of(3)], &mut scratch.tile);
        let step = std::array::from_fn(|at| inputs[at].step());
        let product = Product::new(self.layout, self.packed, &scratch.tile, step);
        scratch.sums.resize(product.results(), 0.0);
        product.compute(&mut scratch.sums);
    }

    /// The sums of one vector.
    fn sum_one(&self, at: usize, out: &mut [f32], scratch: &mut Scratch) {
        let input = &scratch.inputs[at];
        let step = [input.step(); TILE];
        let product = Product::new(self.layout, self.packed, &input.coefficients, step);
        if product.results() == out.len() {
            product.compute(out);
        } else {
            scratch.sums.resize(product.results(), 0.0);
            product.compute(&mut scratch.sums);
            out.copy_from_slice(&scratch.sums[..out.len()]);
        }
    }

    /// What the integers of a vector could not say.
    fn finish(&self, at: usize, vector: &[f32], out: &mut [f32], scratch: &mut Scratch) {
        let input = &scratch.inputs[at];
        let Some(steps) = input.steps else {
            out.fill(f32::NAN);
            return;
        };
        let is_coarse = input.norms.is_some_and(|norms| norms.is_coarse(steps));
        if steps <= 0.0 || !is_coarse {
            return;
        }
        let format = self.layout.format();
        scratch.rest.clear();
        scratch.rest.extend_from_slice(vector);
        subtract(format, &input.coefficients, steps, &mut scratch.rest);
        let rest = &mut scratch.second;
        rest.prepare(format, &scratch.rest, self.limit, false, false);
        if let (true, Some(second_steps)) = (format.has_minima(), rest.steps) {
            let first = (input.coefficients.as_slice(), steps);
            write_rest_of_sums(vector, first, (&mut rest.coefficients, second_steps));
        }
        let step = [rest.step(); TILE];
        let product = Product::new(self.layout, self.packed, &rest.coefficients, step);
        // Not `sums`, which hold what the other vectors of a tile are still to get.
        scratch.rest_sums.resize(product.results(), 0.0);
        product.compute(&mut scratch.rest_sums);
        out.iter_mut()
            .zip(&scratch.rest_sums)
            .for_each(|(out, rest)| *out += rest);
    }

    /// One row as f32.
    ///
    /// # Panics
    /// Where there is no such row, or `out` is not as long as a row.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.layout.rows() && out.len() == self.layout.columns());
        let (group, row) = (row / crate::pack::GROUP_ROWS, row % crate::pack::GROUP_ROWS);
        let bytes = self.layout.group_bytes();
        unpack_row(
            self.layout,
            &self.packed[group * bytes..][..bytes],
            row,
            out,
        );
    }
}

/// Whether coefficients for one format are right for the other.
fn is_same_kind(one: Format, other: Format) -> bool {
    one.unit() == other.unit()
}

impl Input {
    /// Makes the coefficients; `same` says that the vector is that of the last call, `kept` that
    /// its coefficients are of the right kind.
    fn prepare(&mut self, format: Format, vector: &[f32], limit: f32, same: bool, kept: bool) {
        let norms = match self.norms {
            Some(norms) if same => norms,
            _ => Norms::of(vector),
        };
        self.norms = Some(norms);
        let steps = norms.steps(limit);
        let may_be_kept = |had: f32, most: f32| had <= most && had >= 0.5 * most;
        if let (true, Some(had), Some(most)) = (kept, self.steps, steps)
            && may_be_kept(had, most)
        {
            return;
        }
        self.steps = steps;
        self.coefficients.resize(pairs(format, vector.len()), 0);
        match steps {
            Some(steps) if steps > 0.0 => {
                activations::write(format, vector, steps, &mut self.coefficients);
            }
            _ => self.coefficients.fill(0),
        }
    }

    /// What an integer step stands for.
    fn step(&self) -> f32 {
        match self.steps {
            Some(steps) if steps > 0.0 => 1.0 / steps,
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests;
