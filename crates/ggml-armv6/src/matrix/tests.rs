//! Products against f64, and vectors made to break them.

use super::*;
use crate::pack::tests::{Aligned, Sample, TYPES, columns_of, quantised, weights};
use proptest::prelude::*;

struct Case {
    layout: Layout,
    packed: Aligned,
    sample: Sample,
}

fn case(ggml_type: u32, rows: usize, columns: usize, seed: u64) -> Case {
    let sample = quantised(ggml_type, rows, columns, &weights(rows, columns, seed));
    let layout = Layout::of(ggml_type, rows, columns).unwrap();
    let packed = Aligned::packed(layout, ggml_type, &sample.source);
    Case {
        layout,
        packed,
        sample,
    }
}

impl Case {
    fn multiply(&self, x: &[f32], scratch: &mut Scratch) -> Vec<f32> {
        let vectors = x.len() / self.layout.columns();
        let mut out = vec![0.0; vectors * self.layout.rows()];
        let (columns, rows) = (self.layout.columns(), self.layout.rows());
        let matrix = Matrix::new(self.layout, self.packed.bytes());
        let vectors = Vectors {
            values: x,
            stride: columns,
            count: vectors,
            same: false,
        };
        matrix.multiply(vectors, &mut out, rows, scratch);
        out
    }

    /// Compares with sums of f64 over the file's weights, relative to the lengths of row and
    /// vector.
    fn judge(&self, x: &[f32], out: &[f32], most: f64) {
        let (columns, rows) = (self.layout.columns(), self.layout.rows());
        for (vector, out) in x.chunks_exact(columns).zip(out.chunks_exact(rows)) {
            for (row, found) in self.sample.weights.chunks_exact(columns).zip(out) {
                let pairs = || {
                    row.iter()
                        .zip(vector)
                        .map(|(&a, &b)| (f64::from(a), f64::from(b)))
                };
                let exact: f64 = pairs().map(|(a, b)| a * b).sum();
                let root = |sum: f64| sum.sqrt();
                let size = root(pairs().map(|(a, _)| a * a).sum())
                    * root(pairs().map(|(_, b)| b * b).sum());
                let error = (f64::from(*found) - exact).abs();
                assert!(
                    error <= most * size,
                    "{found}, not {exact}: {} of {size}",
                    error / size
                );
            }
        }
    }
}

/// What rounding a vector and the scales may cost at most; requantised types also lose weights.
fn most(ggml_type: u32) -> f64 {
    use llama_cpp_sys_2 as ggml;
    match ggml_type {
        ggml::GGML_TYPE_Q6_K | ggml::GGML_TYPE_IQ4_NL => 6.0e-3,
        _ => 1.0e-3,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn products_are_right(
        which in 0..TYPES.len(), rows in 1_usize..14, blocks in 1_usize..40,
        vectors in 1_usize..7, seed: u64,
    ) {
        let columns = columns_of(TYPES[which], blocks);
        let case = case(TYPES[which], rows, columns, seed);
        let x = weights(vectors, columns, !seed);
        let out = case.multiply(&x, &mut Scratch::default());
        case.judge(&x, &out, most(TYPES[which]));
    }

    /// A few values, larger than the others by any factor, of columns that have no weight: what is
    /// small is as exact as without them. Weights may all have one sign, so that minima are large.
    #[test]
    fn outliers_cost_nothing(
        which in 0..TYPES.len(), factor in 0_i32..17, positive: bool, seed: u64,
    ) {
        let (ggml_type, columns, rows) = (TYPES[which], 512, 6);
        let mut plain = weights(rows, columns, seed);
        for row in plain.chunks_exact_mut(columns) {
            if positive {
                row.iter_mut().for_each(|weight| *weight = weight.abs());
            }
            row[columns - 256..].fill(0.0);
        }
        let sample = quantised(ggml_type, rows, columns, &plain);
        let layout = Layout::of(ggml_type, rows, columns).unwrap();
        let packed = Aligned::packed(layout, ggml_type, &sample.source);
        let case = Case { layout, packed, sample };
        let mut x = weights(6, columns, seed ^ 77);
        for vector in x.chunks_exact_mut(columns) {
            let largest = vector.iter().fold(0.0, |a: f32, b| a.max(b.abs())).max(1.0e-9);
            vector.iter_mut().for_each(|value| *value /= largest);
            vector[columns - 256..].fill(0.0);
            vector[columns - 100] = (factor as f32).exp2();
        }
        let out = case.multiply(&x, &mut Scratch::default());
        for vector in x.chunks_exact_mut(columns) {
            vector[columns - 100] = 0.0;
        }
        case.judge(&x, &out, most(ggml_type));
    }
}

/// What integers begin too high by is taken out exactly: weights of 0 in blocks that have a scale.
#[test]
fn weights_of_zero_give_zero() {
    use llama_cpp_sys_2 as ggml;
    let one = 0x3C00_u16.to_le_bytes();
    let four = [&one[..], &[0x88; 16]].concat();
    let five = [&one[..], &[0xFF; 4], &[0; 16]].concat();
    for (ggml_type, block) in [(ggml::GGML_TYPE_Q4_0, four), (ggml::GGML_TYPE_Q5_0, five)] {
        let (rows, columns) = (4, 256);
        let layout = Layout::of(ggml_type, rows, columns).unwrap();
        let sample = Sample {
            source: block.repeat(rows * columns / 32),
            weights: vec![0.0; rows * columns],
        };
        let packed = Aligned::packed(layout, ggml_type, &sample.source);
        let case = Case {
            layout,
            packed,
            sample,
        };
        let out = case.multiply(&weights(5, columns, 8), &mut Scratch::default());
        assert!(
            out.iter().all(|&out| out == 0.0),
            "type {ggml_type}: {out:?}"
        );
    }
}

/// Lengths of rows, and the sign of a vector's values.
const LARGEST: [(usize, f32); 7] = [
    (256, 1.0),
    (4_096, 1.0),
    (4_096, -1.0),
    (8_960, 1.0),
    (11_264, 1.0),
    (11_264, -1.0),
    (16_384, 1.0),
];

/// The largest sums there can be: every weight and every value at its end, with the same sign.
#[test]
fn the_largest_sums_do_not_overflow() {
    for ggml_type in TYPES {
        for (columns, sign) in LARGEST {
            let weights = vec![-1.0; columns * 4];
            let sample = quantised(ggml_type, 4, columns, &weights);
            let layout = Layout::of(ggml_type, 4, columns).unwrap();
            let packed = Aligned::packed(layout, ggml_type, &sample.source);
            let case = Case {
                layout,
                packed,
                sample,
            };
            let x = vec![sign; columns];
            let out = case.multiply(&x, &mut Scratch::default());
            // All values are rounded the same way, by a quarter of a step of at least 1/64.
            case.judge(&x, &out, most(ggml_type) + 0.25 / 64.0);
        }
    }
}

#[test]
fn coefficients_are_used_again_only_where_they_fit() {
    let [four, eight, large] = [
        case(TYPES[0], 8, 256, 5),
        case(TYPES[3], 8, 256, 6),
        case(TYPES[0], 8, 256, 99),
    ];
    let x = weights(5, 256, 42);
    let mut scratch = Scratch::default();
    for (number, case) in [&four, &large, &eight, &four, &eight]
        .into_iter()
        .enumerate()
    {
        let mut out = vec![0.0; 5 * 8];
        let matrix = Matrix::new(case.layout, case.packed.bytes());
        let vectors = Vectors {
            values: &x,
            stride: 256,
            count: 5,
            same: number > 0,
        };
        matrix.multiply(vectors, &mut out, 8, &mut scratch);
        case.judge(&x, &out, 1.0e-3);
    }
}

#[test]
fn what_is_no_number_gives_no_number() {
    let case = case(TYPES[0], 5, 64, 3);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = weights(1, 64, 9);
        x[7] = bad;
        assert!(
            case.multiply(&x, &mut Scratch::default())
                .iter()
                .all(|out| out.is_nan())
        );
    }
    let zeros = case.multiply(&[0.0; 64], &mut Scratch::default());
    assert!(zeros.iter().all(|&out| out == 0.0));
}
