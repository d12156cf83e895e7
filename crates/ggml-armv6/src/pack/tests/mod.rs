//! Rows come back as ggml's own conversion has them, within the bound of the table in `pack`.

mod plain;

use super::source::half;
use super::*;
use proptest::prelude::*;

/// Every type that is packed.
pub const TYPES: [u32; 9] = [
    ggml::GGML_TYPE_Q4_0,
    ggml::GGML_TYPE_Q4_1,
    ggml::GGML_TYPE_Q4_K,
    ggml::GGML_TYPE_Q8_0,
    ggml::GGML_TYPE_Q5_0,
    ggml::GGML_TYPE_Q5_1,
    ggml::GGML_TYPE_Q5_K,
    ggml::GGML_TYPE_Q6_K,
    ggml::GGML_TYPE_IQ4_NL,
];

/// A number of columns that the type can have: `blocks` blocks of 32, or of 256 where it has those.
pub fn columns_of(ggml_type: u32, blocks: usize) -> usize {
    let least = source::columns(ggml_type).unwrap();
    blocks.div_ceil(least / BLOCK_COLUMNS) * least
}

/// A matrix as a file has it, and as f32.
pub struct Sample {
    pub source: Vec<u8>,
    pub weights: Vec<f32>,
}

/// Quantises weights with ggml's own quantiser.
pub fn quantised(ggml_type: u32, rows: usize, columns: usize, weights: &[f32]) -> Sample {
    let row_bytes = source::row_bytes(ggml_type, columns).unwrap();
    let mut bytes = vec![0_u8; row_bytes * rows];
    // SAFETY: `weights` has rows * columns floats and `bytes` room for as many quantised ones; none
    // of these types needs an importance matrix.
    let written = unsafe {
        ggml::ggml_quantize_chunk(
            ggml_type,
            weights.as_ptr(),
            bytes.as_mut_ptr().cast(),
            0,
            rows as i64,
            columns as i64,
            std::ptr::null(),
        )
    };
    assert_eq!(written, bytes.len());
    let mut back = vec![0.0; rows * columns];
    for (row, out) in bytes
        .chunks_exact(row_bytes)
        .zip(back.chunks_exact_mut(columns))
    {
        source::to_f32(ggml_type, row, out);
    }
    Sample {
        source: bytes,
        weights: back,
    }
}

/// Packed bytes at a multiple of 8.
pub struct Aligned {
    words: Vec<u64>,
    bytes: usize,
}

impl Aligned {
    pub fn packed(layout: Layout, ggml_type: u32, source: &[u8]) -> Self {
        let bytes = layout.bytes();
        let mut words = vec![0_u64; bytes.div_ceil(8)];
        // SAFETY: any bytes are valid u64, and the slice is no longer than the words.
        let view = unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), bytes) };
        pack(layout, ggml_type, source, view).unwrap();
        Self { words, bytes }
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: u64 are bytes, and there are at least as many.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.bytes) }
    }
}

/// Weights of rows of very different sizes, one of them zeros.
pub fn weights(rows: usize, columns: usize, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    let sizes: Vec<f32> = (0..rows).map(|_| (next() * 6.0).exp2()).collect();
    let value = |at: usize, next: &mut dyn FnMut() -> f32| {
        let row = at / columns;
        let wide = if at % 97 == 5 { 4.0 } else { 1.0 };
        if row == 3 {
            0.0
        } else {
            next() * sizes[row] * wide
        }
    };
    (0..rows * columns).map(|at| value(at, &mut next)).collect()
}

fn bound(ggml_type: u32, row: &[f32], at: usize) -> f32 {
    let largest = largest_of(row.iter().copied());
    let block = &row[at / BLOCK_COLUMNS * BLOCK_COLUMNS..][..BLOCK_COLUMNS];
    // A scale is off by half a step of 1/32,767 of the largest one of the row, times the largest
    // integer; with a minimum, both are, and weights may be as small as 7.5 steps (15.5 of 5 bits).
    let (requantised, scales) = match ggml_type {
        ggml::GGML_TYPE_Q4_0 | ggml::GGML_TYPE_Q8_0 | ggml::GGML_TYPE_Q5_0 => (0.0, 1.6e-5),
        ggml::GGML_TYPE_Q4_1
        | ggml::GGML_TYPE_Q4_K
        | ggml::GGML_TYPE_Q5_1
        | ggml::GGML_TYPE_Q5_K => (0.0, 5.0e-5),
        _ => (largest_of(block.iter().copied()) / 254.0, 1.6e-5),
    };
    requantised * 1.001 + largest * scales
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rows_come_back(
        which in 0..TYPES.len(), rows in 1_usize..10, blocks in 1_usize..40, seed: u64,
    ) {
        let ggml_type = TYPES[which];
        let columns = columns_of(ggml_type, blocks);
        let sample = quantised(ggml_type, rows, columns, &weights(rows, columns, seed));
        let layout = Layout::of(ggml_type, rows, columns).unwrap();
        let packed = Aligned::packed(layout, ggml_type, &sample.source);
        let mut row = vec![0.0; columns];
        for (number, wanted) in sample.weights.chunks_exact(columns).enumerate() {
            crate::matrix::Matrix::new(layout, packed.bytes()).row(number, &mut row);
            for (at, (found, expected)) in row.iter().zip(wanted).enumerate() {
                let difference = (found - expected).abs();
                prop_assert!(difference <= bound(ggml_type, wanted, at),
                    "type {ggml_type}, row {number}, column {at}: {found}, not {expected}");
            }
        }
    }
}

#[test]
fn only_what_fits_is_taken() {
    assert_eq!(Layout::of(ggml::GGML_TYPE_F16, 8, 64), None);
    assert_eq!(Layout::of(ggml::GGML_TYPE_Q4_K, 8, 288), None);
    assert_eq!(Layout::of(ggml::GGML_TYPE_Q4_0, 8, 40), None);
    assert_eq!(Layout::of(ggml::GGML_TYPE_Q4_0, 0, 32), None);
    assert_eq!(Layout::of(u32::MAX, 8, 64), None);
    assert_eq!(Layout::of(ggml::GGML_TYPE_Q4_0, usize::MAX / 2, 64), None);
    assert_eq!(Layout::of(ggml::GGML_TYPE_Q4_0, 8, MOST_COLUMNS + 32), None);
}

#[test]
fn wrong_lengths_are_refused() {
    let layout = Layout::of(ggml::GGML_TYPE_Q8_0, 4, 32).unwrap();
    let mut packed = vec![0; layout.bytes()];
    let short = pack(layout, ggml::GGML_TYPE_Q8_0, &[0; 135], &mut packed);
    assert_eq!(
        short,
        Err(PackError::SourceLength {
            found: 135,
            wanted: 136
        })
    );
    let small = pack(layout, ggml::GGML_TYPE_Q8_0, &[0; 136], &mut packed[1..]);
    assert!(matches!(small, Err(PackError::PackedLength { .. })));
    let mut room = vec![0; layout.bytes() + 8];
    let odd = room.as_ptr().align_offset(4) + 2;
    let place = &mut room[odd..][..layout.bytes()];
    let odd = pack(layout, ggml::GGML_TYPE_Q8_0, &[0; 136], place);
    assert_eq!(odd, Err(PackError::PackedAddress));
    let other = pack(layout, ggml::GGML_TYPE_Q4_0, &[0; 136], &mut packed);
    assert_eq!(other, Err(PackError::Type(ggml::GGML_TYPE_Q4_0)));
}

/// Halves that are no numbers, and bytes that no quantiser writes, among others.
fn any_bytes(count: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => any::<u8>(), 1 => Just(0x80), 1 => Just(0x7C), 1 => Just(0xFF)];
    prop::collection::vec(byte, count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn packed_bytes_are_those_of_the_plain_way(
        (which, rows, blocks, seed) in (0..TYPES.len(), 1_usize..10, 1_usize..20, any::<u64>()),
    ) {
        let ggml_type = TYPES[which];
        let columns = columns_of(ggml_type, blocks);
        let layout = Layout::of(ggml_type, rows, columns).unwrap();
        let sample = quantised(ggml_type, rows, columns, &weights(rows, columns, seed));
        let packed = Aligned::packed(layout, ggml_type, &sample.source);
        prop_assert!(packed.bytes() == plain::packed(layout, ggml_type, &sample.source));
    }

    #[test]
    fn of_any_bytes_too(
        (which, rows, source) in (0..TYPES.len(), 1_usize..6).prop_flat_map(|(which, rows)| {
            let row_bytes = source::row_bytes(TYPES[which], 256).unwrap();
            (Just(which), Just(rows), any_bytes(row_bytes * rows))
        }),
    ) {
        let ggml_type = TYPES[which];
        let layout = Layout::of(ggml_type, rows, 256).unwrap();
        let packed = Aligned::packed(layout, ggml_type, &source);
        prop_assert!(packed.bytes() == plain::packed(layout, ggml_type, &source));
    }
}

/// A file may hold any bytes: scales that are no numbers, or infinite.
#[test]
fn any_bytes_can_be_packed() {
    for ggml_type in TYPES {
        let (rows, columns) = (5, 512);
        let layout = Layout::of(ggml_type, rows, columns).unwrap();
        for byte in [0x00, 0x7C, 0x7F, 0x80, 0xFF] {
            let source = vec![byte; source::row_bytes(ggml_type, columns).unwrap() * rows];
            let packed = Aligned::packed(layout, ggml_type, &source);
            let limit = stored_limit(packed.bytes());
            assert!(
                limit.is_finite() && limit > 0.0,
                "type {ggml_type}, byte {byte}: {limit}"
            );
        }
    }
}
