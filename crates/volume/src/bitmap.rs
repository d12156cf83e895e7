//! One bit a cluster: the only memory of an inspection or a repair that grows with the volume,
//! 1 MiB for 32 GiB in clusters of 4 KiB. Numbers beyond the last cluster read as set and are not
//! stored.

use crate::bytes::index;

pub(crate) struct Bitmap {
    bits: Vec<u64>,
}

impl Bitmap {
    /// All clear, for numbers up to `last`.
    pub(crate) fn new(last: u32) -> Self {
        Self {
            bits: vec![0; index(u64::from(last) / 64 + 1)],
        }
    }

    #[inline]
    pub(crate) fn has(&self, cluster: u32) -> bool {
        let word = self.bits.get(index(u64::from(cluster) / 64));
        word.is_none_or(|word| word >> (cluster % 64) & 1 != 0)
    }

    #[inline]
    pub(crate) fn set(&mut self, cluster: u32) {
        if let Some(word) = self.bits.get_mut(index(u64::from(cluster) / 64)) {
            *word |= 1 << (cluster % 64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_is_its_own() {
        let mut bitmap = Bitmap::new(130);
        for cluster in [2, 63, 64, 130] {
            assert!(!bitmap.has(cluster));
            bitmap.set(cluster);
        }
        let set: Vec<u32> = (0..=130).filter(|cluster| bitmap.has(*cluster)).collect();
        assert_eq!(set, [2, 63, 64, 130]);
        assert!(bitmap.has(10_000));
        bitmap.set(10_000);
    }
}
