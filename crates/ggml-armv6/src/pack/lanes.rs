//! Sums of products of two 16-bit halves of a word: one instruction on `ARMv6`.

/// Adds the products of both halves, as signed numbers, to a sum. None of these sums overflows.
#[inline]
pub fn add_products(one: u32, other: u32, sum: u32) -> u32 {
    #[cfg(armv6_kernels)]
    {
        let mut sum = sum;
        // SAFETY: an instruction of ARMv6 on registers alone. The flag that it could set tells of
        // an overflow, which the caller excludes.
        unsafe {
            std::arch::asm!("smlad {sum}, {one}, {other}, {sum}",
                sum = inout(reg) sum, one = in(reg) one, other = in(reg) other,
                options(pure, nomem, nostack, preserves_flags));
        }
        sum
    }
    #[cfg(not(armv6_kernels))]
    {
        let product = |shift: u32| {
            i32::from((one >> shift) as i16).wrapping_mul(i32::from((other >> shift) as i16))
        };
        sum.wrapping_add_signed(product(0).wrapping_add(product(16)))
    }
}

/// Adds q * (q - `range`) of both halves of a word, where each q is below the range: the square of
/// q - range / 2, less the square of range / 2.
#[inline]
pub fn add_about_middle<const RANGE: u32>(word: u32, sum: u32) -> u32 {
    // The lower half is below the range, so it always borrows from the upper one.
    let shifted = word.wrapping_sub((RANGE << 16) - (1 << 16) + RANGE);
    add_products(word, shifted, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_about_the_middle() {
        for low in 0..16_i32 {
            for high in 0..16_i32 {
                let word = low as u32 | (high as u32) << 16;
                let squares = (low - 8).pow(2) + (high - 8).pow(2);
                let found = add_about_middle::<16>(word, 2 * 64 + 7);
                assert_eq!(found as i32, squares + 7, "{low} {high}");
            }
        }
    }
}
