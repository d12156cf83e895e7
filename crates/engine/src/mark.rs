//! Marks in the program for instruments that watch it from outside: functions that do nothing and
//! are called where a measured part begins or ends.
//!
//! An emulator's plugin (`crates/armcost`) finds them by their names in the symbol table: whatever
//! is executed after `promptstick_mark_NAME` belongs to the region NAME, until the next mark, and
//! to none after `promptstick_mark_end`. So the names are an interface and are not mangled. A call
//! costs a few instructions and happens once for a step of the computation. Used by
//! [`crate::session`], in the measuring loop, and by [`crate::llama`], where a model is loaded.

use std::hint::black_box;

/// A prompt is computed from here on.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn promptstick_mark_prefill() {
    // Each function must do something of its own, or the linker may keep one for all.
    black_box(1_u32);
}

/// A model is loaded from here on.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn promptstick_mark_load() {
    black_box(5_u32);
}

/// One generated token is computed from here on.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn promptstick_mark_decode() {
    black_box(2_u32);
}

/// The next token is chosen from here on.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn promptstick_mark_sample() {
    black_box(3_u32);
}

/// What follows is not measured.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn promptstick_mark_end() {
    black_box(4_u32);
}
