//! The kernels for the ARM1176, in `arm`: their declarations, and the one place that calls them.

use super::Product;
use crate::activations::TILE;
use crate::pack::{Format, GROUP_ROWS};

core::arch::global_asm!(
    include_str!("arm/common.s"),
    include_str!("arm/four.s"),
    include_str!("arm/five.s"),
    include_str!("arm/eight.s"),
    options(raw)
);

/// What a kernel is told; `arm/common.s` knows the places of the fields.
#[repr(C)]
struct Job {
    packed: *const u8,
    coefficients: *const u64,
    out: *mut f32,
    groups: usize,
    stream_bytes: usize,
    step: [f32; TILE],
}

unsafe extern "C" {
    fn ggml_armv6_four_1(job: *const Job);
    fn ggml_armv6_four_min_1(job: *const Job);
    fn ggml_armv6_five_1(job: *const Job);
    fn ggml_armv6_five_min_1(job: *const Job);
    fn ggml_armv6_eight_1(job: *const Job);
    fn ggml_armv6_four_4(job: *const Job);
    fn ggml_armv6_four_min_4(job: *const Job);
    fn ggml_armv6_five_4(job: *const Job);
    fn ggml_armv6_five_min_4(job: *const Job);
    fn ggml_armv6_eight_4(job: *const Job);
}

/// Computes a product.
///
/// # Panics
/// Where `out` has not as many floats as [`Product::results`] says.
pub fn compute(product: &Product<'_>, out: &mut [f32]) {
    assert_eq!(out.len(), product.results());
    debug_assert_eq!(GROUP_ROWS, 4);
    let job = Job {
        packed: product.packed.as_ptr(),
        coefficients: product.coefficients.as_ptr(),
        out: out.as_mut_ptr(),
        groups: product.layout.groups(),
        stream_bytes: product.layout.stream_bytes(),
        step: product.step,
    };
    let kernel = match (product.layout.format(), product.is_tile()) {
        (Format::Four, false) => ggml_armv6_four_1,
        (Format::FourMin, false) => ggml_armv6_four_min_1,
        (Format::Five, false) => ggml_armv6_five_1,
        (Format::FiveMin, false) => ggml_armv6_five_min_1,
        (Format::Eight, false) => ggml_armv6_eight_1,
        (Format::Four, true) => ggml_armv6_four_4,
        (Format::FourMin, true) => ggml_armv6_four_min_4,
        (Format::Five, true) => ggml_armv6_five_4,
        (Format::FiveMin, true) => ggml_armv6_five_min_4,
        (Format::Eight, true) => ggml_armv6_eight_4,
    };
    // SAFETY: the kernel reads `groups` groups of the layout from `packed`, which has them (checked
    // in Product::new; there is at least one group of one block), as many coefficients as a row has
    // blocks, which are there (checked there too), and writes 4 floats a group and vector to `out`,
    // which has them (checked above). `packed` is aligned to 8 bytes (checked there), coefficients
    // by their type. A prefetch beyond the end is no access. It keeps the registers that the
    // procedure call standard says (AAPCS).
    unsafe { kernel(&raw const job) };
}
