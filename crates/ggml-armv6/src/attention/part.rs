//! Attention of the queries that are worked on together: scores, softmax, values.

use std::f32::consts::LOG2_E;

use super::Attention;
use super::mask::{self, Run, Runs};
use super::products::{self, Accumulate, LANES, Quad, Score};
use super::softmax;

/// Cells whose weights and values are worked on at a time, at most: their weights stay in the
/// first-level cache, and so does a cache line of each one's values.
const MAX_BLOCK_CELLS: usize = 64;

/// Memory to work in.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// `[key_width][queries]`
    queries: Vec<f32>,
    /// `[groups of LANES cells][queries]`, times log₂ e
    scores: Vec<Quad>,
    /// `[cells of a block][queries]`
    weights: Vec<f32>,
    /// `[groups of LANES columns][queries]`
    sums: Vec<Quad>,
}

/// One query of a part.
#[derive(Debug, Clone, Copy, Default)]
struct Query {
    token: usize,
    head: usize,
}

/// `N` queries that share a key/value head.
pub(super) struct Part<'a, const N: usize> {
    what: &'a Attention<'a>,
    queries: [Query; N],
    /// What at least one of them sees.
    runs: &'a Runs,
    /// The keys of this head, from the first cell's on.
    k: &'a [u16],
    /// The values of this head, from the first cell's on.
    v: &'a [u16],
}

impl<'a, const N: usize> Part<'a, N> {
    /// The queries of `kv_head` from `first` on, counted head by head, then token by token.
    pub fn new(what: &'a Attention<'a>, kv_head: usize, first: usize, runs: &'a Runs) -> Self {
        let shared = what.shared();
        let queries = std::array::from_fn(|i| Query {
            token: (first + i) / shared,
            head: kv_head * shared + (first + i) % shared,
        });
        // With no cells the slices may be empty, and nothing is read.
        let k = what
            .k
            .get(kv_head * what.k_head_stride..)
            .unwrap_or_default();
        let v = what
            .v
            .get(kv_head * what.v_head_stride..)
            .unwrap_or_default();
        Self {
            what,
            queries,
            runs,
            k,
            v,
        }
    }

    /// Writes the output of these queries.
    pub fn attend(&self, out: &mut [f32], work: &mut Work) {
        self.score(work);
        let max = self.finish_scores(work);
        let total = self.sum_values(&max, work);
        self.write(&max, &total, out, work);
    }

    /// Fills `work.scores` with query times key.
    fn score(&self, work: &mut Work) {
        let what = self.what;
        work.queries.resize(what.key_width * N, 0.0);
        let slots = work.queries.as_chunks_mut::<N>().0;
        for (i, query) in self.queries.iter().enumerate() {
            let row = query.token * what.q_token_stride + query.head * what.q_head_stride;
            for (slots, element) in slots.iter_mut().zip(&what.q[row..][..what.key_width]) {
                slots[i] = element * products::LIFT;
            }
        }
        work.scores.resize(self.runs.groups() * N, [0.0; LANES]);
        // A soft cap comes before the scores get the factor of the softmax.
        let scale = match what.softcap {
            0.0 => what.scale * LOG2_E,
            cap => what.scale / cap,
        };
        for run in self.runs.iter() {
            let groups = run.groups().start * N..run.groups().end * N;
            Score::<N> {
                k: &self.k[run.first * what.k_cell_stride..],
                stride: what.k_cell_stride,
                width: what.key_width,
                cells: run.len,
                readable: what.cells - run.first,
                q: &work.queries,
                factor: scale * products::SCORE_REST,
            }
            .run(&mut work.scores[groups]);
        }
    }

    /// Soft cap and mask, and -∞ for what fills a run up to whole groups. Returns each query's
    /// largest score, the sink's among them: -∞ where it sees nothing.
    fn finish_scores(&self, work: &mut Work) -> [f32; N] {
        let what = self.what;
        if what.softcap != 0.0 {
            for score in work.scores.as_flattened_mut() {
                *score = what.softcap * LOG2_E * softmax::tanh(*score);
            }
        }
        for run in self.runs.iter() {
            if run.biased {
                self.add_mask(run, &mut work.scores);
            }
            for lane in run.len..run.groups().len() * LANES {
                let group = run.groups().start + lane / LANES;
                for i in 0..N {
                    work.scores[group * N + i][lane % LANES] = f32::NEG_INFINITY;
                }
            }
        }
        std::array::from_fn(|i| {
            softmax::largest::<N>(&work.scores, i, self.sink(i).unwrap_or(f32::NEG_INFINITY))
        })
    }

    /// The score of a query's sink.
    fn sink(&self, i: usize) -> Option<f32> {
        self.what
            .sinks
            .map(|sinks| sinks[self.queries[i].head] * LOG2_E)
    }

    fn add_mask(&self, run: &Run, scores: &mut [Quad]) {
        let Some((mask, stride)) = self.what.mask else {
            return;
        };
        for (i, query) in self.queries.iter().enumerate() {
            let slope = self.what.slope(query.head) * LOG2_E;
            let row = &mask[query.token * stride + run.first..][..run.len];
            for (cell, &bias) in row.iter().enumerate() {
                let group = run.groups().start + cell / LANES;
                let score = &mut scores[group * N + i][cell % LANES];
                *score += slope * mask::f16_to_f32(bias);
            }
        }
    }

    /// Fills `work.sums` with the weighted values. Returns the sums of the weights.
    fn sum_values(&self, max: &[f32; N], work: &mut Work) -> [f32; N] {
        let what = self.what;
        let block = block_cells(what.v_cell_stride);
        work.sums.clear();
        work.sums
            .resize(what.value_width.div_ceil(LANES) * N, [0.0; LANES]);
        work.weights.resize(MAX_BLOCK_CELLS * N, 0.0);
        let mut total = [0.0; N];
        for run in self.runs.iter() {
            for start in (0..run.len).step_by(block) {
                let cells = block.min(run.len - start);
                let group = run.groups().start + start / LANES;
                let scores = &work.scores[group * N..];
                let scores = &scores[..cells.div_ceil(LANES) * N];
                softmax::weigh(scores, max, &mut work.weights, &mut total);
                Accumulate::<N> {
                    v: &self.v[(run.first + start) * what.v_cell_stride..],
                    stride: what.v_cell_stride,
                    width: what.value_width,
                    cells,
                    readable: what.cells - run.first - start,
                    weights: &work.weights,
                }
                .run(&mut work.sums);
            }
        }
        total
    }

    /// Divides by the sum of the weights.
    fn write(&self, max: &[f32; N], total: &[f32; N], out: &mut [f32], work: &Work) {
        let what = self.what;
        for (i, query) in self.queries.iter().enumerate() {
            let sink = self
                .sink(i)
                .map_or(0.0, |sink| softmax::weight(sink - max[i]));
            // No cell, no sink: the sums are of what fills a run.
            let seen = max[i] != f32::NEG_INFINITY;
            let factor = if seen {
                products::SUM_REST / (total[i] + sink)
            } else {
                0.0
            };
            let row = (query.token * what.heads + query.head) * what.value_width;
            let row = &mut out[row..][..what.value_width];
            let sums = work.sums.as_chunks::<N>().0;
            for (columns, sums) in row.chunks_mut(LANES).zip(sums) {
                for (column, sum) in columns.iter_mut().zip(sums[i]) {
                    *column = sum * factor;
                }
            }
        }
    }
}

/// Cells to work on at a time so that one line of each stays in the ARM1176's first-level cache:
/// 128 sets of four lines of 32 bytes. A stride that is a multiple of many lines leaves few sets.
fn block_cells(stride: usize) -> usize {
    const SETS: usize = 128;
    const WAYS: usize = 4;
    const LINE_ELEMENTS: usize = 16;
    let lines = (stride / LINE_ELEMENTS).max(1);
    let sets = SETS / (1usize << lines.trailing_zeros().min(SETS.ilog2()));
    // Half: the other lines are what is fetched ahead.
    (sets * WAYS / 2).clamp(4 * LANES, MAX_BLOCK_CELLS)
}
