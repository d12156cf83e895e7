//! Who asked to stop what: shared between the thread that listens and the one that computes.
//!
//! Requests have rising numbers. A cancel names one, so that a late cancel of a request that has
//! ended never stops the next one, and an early one is not lost.

use std::sync::atomic::{AtomicU64, Ordering};

/// See the module.
#[derive(Debug, Default)]
pub struct CancelFlag {
    running: AtomicU64,
    cancelled_up_to: AtomicU64,
}

impl CancelFlag {
    /// The computing thread begins a request; numbers begin at 1 and rise.
    pub fn begin(&self, id: u64) {
        self.running.store(id, Ordering::SeqCst);
    }

    /// Stops the request and all before it.
    pub fn cancel(&self, id: u64) {
        self.cancelled_up_to.fetch_max(id, Ordering::SeqCst);
    }

    /// Whether the running request is to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let running = self.running.load(Ordering::Relaxed);
        running != 0 && self.cancelled_up_to.load(Ordering::Relaxed) >= running
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_is_for_one_request() {
        let flag = CancelFlag::default();
        assert!(!flag.is_cancelled());
        flag.begin(1);
        flag.cancel(1);
        assert!(flag.is_cancelled());
        flag.begin(2);
        flag.cancel(1);
        assert!(!flag.is_cancelled());
        flag.cancel(3);
        flag.begin(3);
        assert!(flag.is_cancelled());
    }
}
