//! The fastest kernels give the floats of the portable ones, bit for bit.

use super::*;
use crate::activations::{Norms, interleave, pairs, write};
use crate::pack::tests::{Aligned, TYPES, columns_of, quantised, weights};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equal_to_the_portable_ones(
        which in 0..TYPES.len(), rows in 1_usize..14, blocks in 1_usize..40, seed: u64, tile: bool,
    ) {
        let ggml_type = TYPES[which];
        let columns = columns_of(ggml_type, blocks);
        let sample = quantised(ggml_type, rows, columns, &weights(rows, columns, seed));
        let layout = Layout::of(ggml_type, rows, columns).unwrap();
        let packed = Aligned::packed(layout, ggml_type, &sample.source);
        let size = pairs(layout.format(), columns);
        let vectors: Vec<Vec<u64>> = (0..TILE as u64).map(|number| {
            let vector = weights(1, columns, seed ^ number);
            let mut words = vec![0; size];
            let steps = Norms::of(&vector).steps(crate::pack::stored_limit(packed.bytes()));
            write(layout.format(), &vector, steps.unwrap(), &mut words);
            words
        }).collect();
        let mut coefficients = vectors[0].clone();
        if tile {
            coefficients = vec![0; size * TILE];
            let of = |at: usize| vectors[at].as_slice();
            interleave(layout.format(), [of(0), of(1), of(2), of(3)], &mut coefficients);
        }
        let step = [0.3, 1.7e-4, 2.9, 0.11];
        let product = Product::new(layout, packed.bytes(), &coefficients, step);
        let (mut fast, mut slow) = (vec![0.0; product.results()], vec![0.0; product.results()]);
        product.compute(&mut fast);
        portable::compute(&product, &mut slow);
        prop_assert_eq!(fast, slow);
    }
}

/// A product with one vector, and one with a tile.
#[cfg(armv6_kernels)]
pub fn multiply_once() {
    for (ggml_type, vectors) in TYPES.into_iter().flat_map(|kind| [(kind, 1), (kind, TILE)]) {
        let (rows, columns) = (5, columns_of(ggml_type, 2));
        let sample = quantised(ggml_type, rows, columns, &weights(rows, columns, 1));
        let layout = Layout::of(ggml_type, rows, columns).unwrap();
        let packed = Aligned::packed(layout, ggml_type, &sample.source);
        let coefficients = vec![0; pairs(layout.format(), columns) * vectors];
        let product = Product::new(layout, packed.bytes(), &coefficients, [1.0; TILE]);
        let mut out = vec![1.0; product.results()];
        product.compute(&mut out);
        assert!(out.iter().all(|&value| value == 0.0));
    }
}
