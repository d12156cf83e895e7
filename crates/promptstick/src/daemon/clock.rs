//! Monotonic milliseconds for the state machines, which read no clock themselves.

use std::time::Duration;

use tokio::time::Instant;

/// Counts from the moment it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that shows zero now.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Milliseconds since the start.
    pub fn now_ms(self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits until the clock shows `at_ms`; for ever where there is nothing to wait for.
    pub async fn reach(self, at_ms: Option<u64>) {
        match at_ms {
            Some(at_ms) => {
                tokio::time::sleep_until(self.start + Duration::from_millis(at_ms)).await
            }
            None => std::future::pending().await,
        }
    }
}
