//! What ggml says about its types, and its own way to make f32 of them.

use llama_cpp_sys_2 as ggml;

/// Columns of one block of a type; `None` for a number that is no type.
pub fn columns(ggml_type: u32) -> Option<usize> {
    if ggml_type >= ggml::GGML_TYPE_COUNT {
        return None;
    }
    // SAFETY: the number is one of ggml's types (checked above); the call reads a table.
    let columns = unsafe { ggml::ggml_blck_size(ggml_type) };
    usize::try_from(columns).ok().filter(|&columns| columns > 0)
}

/// Bytes of a row of a type.
pub fn row_bytes(ggml_type: u32, row_columns: usize) -> Option<usize> {
    let blocks = row_columns / columns(ggml_type)?;
    // SAFETY: the number is one of ggml's types (`columns` says so); the call reads a table.
    let block_bytes = unsafe { ggml::ggml_type_size(ggml_type) };
    blocks.checked_mul(block_bytes)
}

/// A row as f32, by ggml's own conversion. Nothing happens where the lengths do not fit.
pub fn to_f32(ggml_type: u32, row: &[u8], out: &mut [f32]) {
    let (Some(bytes), Ok(count)) = (row_bytes(ggml_type, out.len()), i64::try_from(out.len()))
    else {
        return;
    };
    // SAFETY: ggml's table has an entry for each type, and `row_bytes` knew this one.
    let convert = unsafe { (*ggml::ggml_get_type_traits(ggml_type)).to_float };
    if let (Some(convert), true) = (convert, bytes == row.len()) {
        // SAFETY: reads the `bytes` of a row of `count` columns, which `row` has, and writes as
        // many f32, which `out` has. ggml's types that are packed are structures of bytes and
        // halves, of an even length, and `pack` refuses an odd address.
        unsafe { convert(row.as_ptr().cast(), out.as_mut_ptr(), count) };
    }
}

/// A half-precision number as f32, exactly, also where small floats are flushed to zero.
#[inline]
pub fn half(bits: u16) -> f32 {
    const MANTISSA_BITS: u32 = 10;
    let (sign, rest) = (u32::from(bits >> 15) << 31, u32::from(bits & 0x7FFF));
    let magnitude = match rest >> MANTISSA_BITS {
        0 => (rest as f32 * (1.0 / 16_777_216.0)).to_bits(),
        31 => rest << 13 | 0x7F80_0000,
        // The exponents of halves are around 15, those of f32 around 127.
        _ => (rest << 13) + ((127 - 15) << 23),
    };
    f32::from_bits(sign | magnitude)
}

/// The largest size of half-precision numbers, of those that are numbers; 0 when there is none.
pub fn largest_half(halves: impl Iterator<Item = u16>) -> f32 {
    const INFINITE: u16 = 0x7C00;
    // Without their signs they are in the order of their bits.
    let sizes = halves.map(|bits| bits & 0x7FFF);
    half(sizes.filter(|&bits| bits < INFINITE).max().unwrap_or(0))
}

/// A word that may lie at any half.
///
/// # Panics
/// Where there are no two halves.
#[inline]
pub fn word_of(halves: &[u16]) -> u32 {
    u32::from(halves[0]) | u32::from(halves[1]) << 16
}

/// Bytes as halves; none where they lie at an odd address or are odd in number.
pub fn halves(bytes: &[u8]) -> &[u16] {
    // SAFETY: any two bytes are a u16.
    match unsafe { bytes.align_to() } {
        ([], halves, []) => halves,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_half_is_a_number() {
        let of = |halves: &[u16]| largest_half(halves.iter().copied());
        let (one, two, infinite, nan) = (0x3C00, 0xC000, 0xFC00, 0x7E00);
        assert_eq!(of(&[one, two, infinite, nan]), 2.0);
        assert_eq!(of(&[nan]), 0.0);
    }

    #[test]
    fn halves_are_as_ggml_has_them() {
        for bits in 0..=u16::MAX {
            // SAFETY: a pure function.
            let expected = unsafe { ggml::ggml_fp16_to_fp32(bits) };
            let found = half(bits);
            let same = found.to_bits() == expected.to_bits();
            assert!(
                same || found.is_nan() && expected.is_nan(),
                "{bits:#06x}: {found}, not {expected}"
            );
        }
    }
}
