//! The mode of a thread's floating-point unit: what it does with numbers next to 0, and how long
//! its vectors are. Kernels that need another one give back what they found; the tests here read
//! it.

/// Lets this thread's floating-point unit treat numbers next to 0 as 0, and any NaN as one NaN.
///
/// The unit of the ARM1176 cannot do without: it leaves such numbers to the kernel, which takes
/// thousands of cycles for each. On other processors nothing is changed. Threads that ggml starts,
/// where a context has more than one, are not reached: they would be slow where such numbers come
/// up, and not wrong. The boards that this is for have one core.
pub fn flush_denormals() {
    #[cfg(armv6_kernels)]
    {
        /// Flush-to-zero and default-NaN of the FPSCR.
        const MODE: u32 = 1 << 24 | 1 << 25;
        // Rust's own arithmetic on f32 and f64 loses denormals, which nothing in this process
        // relies on.
        write(read() | MODE);
    }
}

/// The FPSCR of this thread.
#[cfg(armv6_kernels)]
fn read() -> u32 {
    let mode: u32;
    // SAFETY: reads a register of the unit.
    unsafe {
        std::arch::asm!("vmrs {mode}, fpscr", mode = out(reg) mode, options(nomem, nostack));
    }
    mode
}

#[cfg(armv6_kernels)]
fn write(mode: u32) {
    // SAFETY: sets the mode of this thread's unit to one that was read, but for the treatment of
    // numbers next to 0, NaNs and rounding, with which any arithmetic is defined.
    unsafe {
        std::arch::asm!("vmsr fpscr, {mode}", mode = in(reg) mode, options(nomem, nostack));
    }
}

#[cfg(all(test, armv6_kernels))]
mod tests {
    use super::*;
    use crate::{attention, kernels};

    /// What is mode in the FPSCR: default NaN, flush to zero, rounding, stride, length, traps. The
    /// rest are flags.
    const MODE_BITS: u32 = 0x03F7_9F00;
    /// Modes that a caller may have: none, as the engine has it, and rounding toward zero.
    const MODES: [u32; 3] = [0, 3 << 24, 3 << 22];

    #[test]
    fn kernels_leave_the_mode_as_they_found_it() {
        let found = read();
        for mode in MODES {
            write(mode);
            attention::tests::attend_once();
            let after_attention = read() & MODE_BITS;
            kernels::tests::multiply_once();
            let after_product = read() & MODE_BITS;
            write(found);
            assert_eq!((after_attention, after_product), (mode, mode), "{mode:#x}");
        }
    }

    #[test]
    fn denormals_are_flushed_where_it_was_said() {
        /// A call, which the compiler does not move across the change of the mode.
        #[inline(never)]
        fn halved(value: f32) -> f32 {
            value * 0.5
        }
        let found = read();
        flush_denormals();
        let half = std::hint::black_box(halved as fn(f32) -> f32)(f32::MIN_POSITIVE);
        write(found);
        assert_eq!(half.to_bits(), 0);
    }
}
