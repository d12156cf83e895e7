//! Little-endian integers at constant offsets of buffers whose size the caller has fixed.
//! Used wherever an on-disk structure is read or written.

/// The 16-bit integer at `at`; zero where the buffer is too short.
#[inline]
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..at + 2)
        .and_then(|field| field.try_into().ok())
        .map_or(0, u16::from_le_bytes)
}

/// The 32-bit integer at `at`; zero where the buffer is too short.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|field| field.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

/// The 64-bit integer at `at`; zero where the buffer is too short.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|field| field.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

/// Copies `field` to `at`; does nothing where it would not fit.
pub(crate) fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + field.len()) {
        place.copy_from_slice(field);
    }
}

/// Whether all bytes are zero. Eight at a time: a table has millions of free entries.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks();
    words.iter().all(|word| u64::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

/// A length that a constant of this crate has bounded, as an index.
///
/// Saturates instead of wrapping, so that a mistake on a 32-bit machine fails a range check.
#[inline]
pub(crate) fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
