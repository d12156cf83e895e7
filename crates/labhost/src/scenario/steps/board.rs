//! A processor that is as slow as a small board's, for what happens while the model computes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::report;

/// Keeps the processor busy, so that the model is as slow as on a small board: its process has the
/// lowest claim.
pub struct SlowBoard {
    over: Arc<AtomicBool>,
}

impl SlowBoard {
    /// From now on, until it is dropped.
    pub fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        report::step("the processor is busy from now on");
        Self { over }
    }
}

impl Drop for SlowBoard {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        report::step("the processor is free again");
    }
}
