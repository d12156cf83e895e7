//! A plugin for `qemu-arm` 7.2 that counts a program's instructions and models what they take on an
//! ARM1176: cycles of the pipeline, branches, caches; by function, between marks in the program.
//!
//!     qemu-arm -cpu arm1176 -plugin libarmcost.so,out=counts.json PROGRAM …
//!
//! Counting begins at a function `promptstick_mark_NAME` and ends at the next one; NAME is the
//! region's, and `end` is none. With `all=on` what comes before the first mark is counted as well,
//! as the region `start`. Only the first thread is counted. The counts are the same in each run
//! when the program does the same.
//!
//! Everything but the edge to QEMU is pure and tested without it. docs/PERFORMANCE.md says what
//! the model knows and what it cannot know. Used by `cargo xtask bench`.

pub mod block;
pub mod cache;
pub mod decode;
pub mod insn;
pub mod lengths;
pub mod pipeline;
pub mod predict;
pub mod prefetch;
pub mod regs;
pub mod report;
pub mod symbols;

// The test harness is no plugin: QEMU's functions are not there.
#[cfg(not(test))]
mod qemu;
