//! A packed matrix and its products with f32 vectors. Used by `backend`.
//!
//! Invariants: a vector that holds what is no number gives rows of NaN, as a product of floats would;
//! no vector, however large one of its values, makes a sum overflow.

use crate::activations::{self, Norms, TILE, interleave, pairs, subtract};
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

/// Memory for the products of one thread, kept between them.
#[derive(Debug, Default)]
pub struct Scratch {
    inputs: Vec<Input>,
    tile: Vec<u64>,
    rest: Vec<f32>,
    sums: Vec<f32>,
    format: Option<Format>,
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

    /// Multiplies vectors: `out[v * out_stride + r]` is the sum over c of weight (r, c) times
    /// `x[v * x_stride + c]`. `same_input` says that the vectors are those of the call before with
    /// this scratch, so that their coefficients may be used again.
    ///
    /// # Panics
    /// Where a slice is shorter than vectors and strides say.
    pub fn multiply(
        &self,
        x: &[f32],
        x_stride: usize,
        out: &mut [f32],
        out_stride: usize,
        vectors: usize,
        same_input: bool,
        scratch: &mut Scratch,
    ) {
        let mut first = 0;
        while first < vectors {
            let count = (vectors - first).min(MOST_VECTORS);
            let same = same_input && vectors <= MOST_VECTORS;
            let x = &x[first * x_stride..];
            self.multiply_some(
                x,
                x_stride,
                &mut out[first * out_stride..],
                out_stride,
                count,
                same,
                scratch,
            );
            first += count;
        }
    }

    fn multiply_some(
        &self,
        x: &[f32],
        x_stride: usize,
        out: &mut [f32],
        out_stride: usize,
        count: usize,
        same_input: bool,
        scratch: &mut Scratch,
    ) {
        let (rows, columns) = (self.layout.rows(), self.layout.columns());
        let mut same = same_input && scratch.inputs.len() >= count;
        let format = self.layout.format();
        if scratch.inputs.len() < count {
            scratch.inputs.resize_with(count, Input::default);
        }
        let kept = same
            && scratch
                .format
                .is_some_and(|kept| is_same_kind(kept, format));
        for (at, input) in scratch.inputs.iter_mut().take(count).enumerate() {
            let vector = &x[at * x_stride..][..columns];
            same &= input.coefficients.len() == pairs(format, columns);
            input.prepare(format, vector, self.limit, same, kept && same);
        }
        scratch.format = Some(format);
        let mut at = 0;
        while at < count {
            let many = if count - at >= TILE { TILE } else { 1 };
            self.sum(at, many, scratch);
            for vector in at..at + many {
                let out = &mut out[vector * out_stride..][..rows];
                let sums = scratch.sums.iter().skip(vector - at).step_by(many);
                out.iter_mut().zip(sums).for_each(|(out, sum)| *out = *sum);
                self.finish(vector, &x[vector * x_stride..][..columns], out, scratch);
            }
            at += many;
        }
    }

    /// The sums of one vector or a tile, into the scratch.
    fn sum(&self, at: usize, many: usize, scratch: &mut Scratch) {
        let format = self.layout.format();
        let mut step = [0.0; TILE];
        for (step, input) in step.iter_mut().zip(&scratch.inputs[at..at + many]) {
            *step = input.step();
        }
        let coefficients = if many == TILE {
            let inputs = &scratch.inputs[at..];
            scratch
                .tile
                .resize(pairs(format, self.layout.columns()) * TILE, 0);
            let of = |at: usize| inputs[at].coefficients.as_slice();
            interleave(format, [of(0), of(1), of(2), of(3)], &mut scratch.tile);
            scratch.tile.as_slice()
        } else {
            scratch.inputs[at].coefficients.as_slice()
        };
        let product = Product::new(self.layout, self.packed, coefficients, step);
        scratch.sums.resize(product.results(), 0.0);
        product.compute(&mut scratch.sums);
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
        let mut rest = Input::default();
        rest.prepare(format, &scratch.rest, self.limit, false, false);
        let step = [rest.step(); TILE];
        let product = Product::new(self.layout, self.packed, &rest.coefficients, step);
        scratch.sums.resize(product.results(), 0.0);
        product.compute(&mut scratch.sums);
        out.iter_mut()
            .zip(&scratch.sums)
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
    (one == Format::Eight) == (other == Format::Eight)
}

impl Input {
    /// Makes the coefficients; `same` says that the vector is that of the last call, `kept` that its
    /// coefficients are of the right kind.
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
