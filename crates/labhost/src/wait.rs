//! Waiting for something that the kernel or the daemon does. Used by every step.

use std::thread;
use std::time::{Duration, Instant};

use crate::{Failure, Result};

/// How often a condition is looked at: short against everything that is measured here.
const LOOK_MS: u64 = 20;

/// Waits until `condition` yields something, and gives it with the time that it took.
///
/// # Errors
/// [`Failure::Timeout`], or what the condition failed with.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<(T, Duration)> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok((value, start.elapsed()));
        }
        if start.elapsed() >= limit {
            return Err(Failure::Timeout {
                what: what.to_owned(),
                waited_ms: start.elapsed().as_millis(),
            });
        }
        thread::sleep(Duration::from_millis(LOOK_MS));
    }
}

/// Waits until `condition` holds.
///
/// # Errors
/// As [`until`].
pub fn until_true(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> bool,
) -> Result<Duration> {
    let ((), took) = until(what, limit, || Ok(condition().then_some(())))?;
    Ok(took)
}

/// Lets time pass, in which `look` must never fail.
///
/// # Errors
/// What it failed with.
pub fn watch(time: Duration, mut look: impl FnMut() -> Result<()>) -> Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        look()?;
        thread::sleep(Duration::from_millis(LOOK_MS));
    }
    Ok(())
}

/// Lets time pass that is itself the subject ("a host that does nothing for 30 s").
pub fn pass(time: Duration) {
    thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_happens_is_named() {
        let error = until::<()>("rain", Duration::ZERO, || Ok(None)).expect_err("no rain");
        assert!(error.to_string().contains("rain"), "{error}");
        assert!(until_true("now", Duration::ZERO, || true).is_ok());
    }
}
