//! Queries times keys and weights times values, portable: the same sums in the same order as the
//! assembly of `super::arm`, which takes over on `ARMv6` where shape and alignment allow.

/// Cells that are scored at once, and columns of values that are summed at once: a short vector
/// of the ARM1176's floating-point unit.
pub(super) const LANES: usize = 4;

/// Numbers for as many cells or columns.
pub(super) type Quad = [f32; LANES];

/// Factor of queries and weights, 2⁹⁶: the converted f16 are small by 2⁻¹¹².
pub(super) const LIFT: f32 = f32::from_bits((127 + 96) << 23);
/// What is then left of 2¹¹² for the scores.
pub(super) const SCORE_REST: f32 = f32::from_bits((127 + 16) << 23);
/// And for the sums of values, which are divided by a sum of weights that carries [`LIFT`].
pub(super) const SUM_REST: f32 = f32::from_bits((127 + 112) << 23);

/// Scores of consecutive cells for `N` queries.
pub(super) struct Score<'a, const N: usize> {
    /// From the first cell's key on.
    pub k: &'a [u16],
    /// From a key to the next cell's.
    pub stride: usize,
    /// Elements of a key.
    pub width: usize,
    /// Cells to score.
    pub cells: usize,
    /// Cells that lie in `k`, at least `cells`.
    pub readable: usize,
    /// `[width][N]`, with [`LIFT`].
    pub q: &'a [f32],
    /// Scale of the scores, with [`SCORE_REST`].
    pub factor: f32,
}

impl<const N: usize> Score<'_, N> {
    /// Writes `[groups of LANES cells][N]`. Scores of no cell are arbitrary.
    pub fn run(&self, scores: &mut [Quad]) {
        debug_assert!(self.cells <= self.readable);
        #[cfg(armv6_kernels)]
        let done = super::arm::score(self, scores);
        #[cfg(not(armv6_kernels))]
        let done = 0;
        self.portable(done, scores);
    }

    /// The groups from `first` on.
    pub(super) fn portable(&self, first: usize, scores: &mut [Quad]) {
        for group in first..self.cells.div_ceil(LANES) {
            self.group(group * LANES, &mut scores[group * N..][..N]);
        }
    }

    fn group(&self, first: usize, scores: &mut [Quad]) {
        let rows: [&[u16]; LANES] = std::array::from_fn(|lane| {
            let cell = (first + lane).min(self.readable - 1);
            &self.k[cell * self.stride..][..self.width]
        });
        let mut sums = [[0.0f32; LANES]; N];
        for d in 0..self.width {
            let keys = rows.map(|row| lowered(row[d]));
            let queries = &self.q[d * N..][..N];
            for (sums, query) in sums.iter_mut().zip(queries) {
                for (sum, key) in sums.iter_mut().zip(keys) {
                    *sum += key * query;
                }
            }
        }
        for (score, sums) in scores.iter_mut().zip(sums) {
            *score = sums.map(|sum| sum * self.factor);
        }
    }
}

/// Weighted sums of the values of consecutive cells for `N` queries.
pub(super) struct Accumulate<'a, const N: usize> {
    /// From the first cell's value on.
    pub v: &'a [u16],
    /// From a value to the next cell's.
    pub stride: usize,
    /// Elements of a value.
    pub width: usize,
    /// Cells to sum.
    pub cells: usize,
    /// Cells that lie in `v`, at least `cells`.
    pub readable: usize,
    /// `[cells][N]`, up to whole groups of cells. Those of no cell are next to nothing.
    pub weights: &'a [f32],
}

impl<const N: usize> Accumulate<'_, N> {
    /// Adds to `[groups of LANES columns][N]`.
    pub fn run(&self, sums: &mut [Quad]) {
        debug_assert!(self.cells <= self.readable);
        #[cfg(armv6_kernels)]
        let done = super::arm::accumulate(self, sums);
        #[cfg(not(armv6_kernels))]
        let done = 0;
        self.portable(done, sums);
    }

    /// The cells from `first` on.
    pub(super) fn portable(&self, first: usize, sums: &mut [Quad]) {
        if first >= self.cells {
            return;
        }
        for group in 0..self.width.div_ceil(LANES) {
            self.group(first, group * LANES, &mut sums[group * N..][..N]);
        }
    }

    fn group(&self, first: usize, column: usize, sums: &mut [Quad]) {
        let columns = LANES.min(self.width - column);
        for cell in first..self.cells {
            let mut values = [0.0; LANES];
            let row = &self.v[cell * self.stride + column..][..columns];
            for (value, &half) in values.iter_mut().zip(row) {
                *value = lowered(half);
            }
            let weights = &self.weights[cell * N..][..N];
            for (sums, weight) in sums.iter_mut().zip(weights) {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += value * weight;
                }
            }
        }
    }
}

/// An f16 times 2⁻¹¹², by its bits: sign, exponent and mantissa move to where f32 has them.
/// What was denormal is zero.
#[inline]
pub(super) fn lowered(half: u16) -> f32 {
    let magnitude = u32::from(half & 0x7FFF) << 13;
    let magnitude = if magnitude < 1 << 23 { 0 } else { magnitude };
    f32::from_bits(u32::from(half & 0x8000) << 16 | magnitude)
}
