//! What systemd wants to hear (sd_notify), where it listens; nothing elsewhere.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// The service manager's side of the daemon.
pub struct Service {
    watchdog: Option<Interval>,
}

impl Service {
    /// Looks whether a watchdog is expected; without one there is no timer, hence no wake-up.
    pub fn connect() -> Self {
        let watchdog = sd_notify::watchdog_enabled().map(|timeout| {
            // Twice in each period, as sd_watchdog_enabled(3) recommends.
            let period = (timeout / 2).max(Duration::from_millis(1));
            let mut interval = interval_at(Instant::now() + period, period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Self { watchdog }
    }

    /// The stick can be used.
    pub fn ready(&self) {
        tell(&[NotifyState::Ready, NotifyState::Status("ready for prompts")]);
    }

    /// The stick cannot be used, and why.
    pub fn trouble(&self, why: &str) {
        tell(&[NotifyState::Status(why)]);
    }

    /// The configuration is being read again. (The protocol wants the time of it.)
    pub fn reloading(&self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            tell(&[NotifyState::Reloading, now]);
        }
    }

    /// The daemon is about to end.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// Keeps the watchdog quiet for as long as the loop that awaits this turns.
    pub async fn watchdog(&mut self) {
        match &mut self.watchdog {
            Some(interval) => {
                interval.tick().await;
                tell(&[NotifyState::Watchdog]);
            }
            None => std::future::pending().await,
        }
    }
}

fn tell(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot reach the service manager");
    }
}
