//! The device's side of `try`: the real daemon, its readiness and its log.

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::Bench;
use crate::process::{self, Guarded};

/// The daemon has to say that it is ready within this. It does not load the model first.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// How long one wait for a message lasts before the daemon is looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// The daemon promises to be gone this long after SIGTERM…
pub const STOP_PROMISE: Duration = Duration::from_secs(1);

/// …and is killed after this.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Longer than any message of the notification protocol that the daemon sends.
const MESSAGE_BYTES: usize = 4096;

/// A running `promptstick serve`, gone at the latest when this value is.
pub struct Daemon {
    process: Guarded,
    notifications: UnixDatagram,
    log: PathBuf,
}

impl Daemon {
    /// Starts it on `image`, as systemd would: with a socket to which it says that it is ready
    /// (man 3 `sd_notify`).
    ///
    /// # Errors
    /// The socket, the log or the process could not be made.
    pub fn start(bench: &Bench, image: &Path) -> anyhow::Result<Self> {
        let socket = bench.folder.join("notify.socket");
        let notifications = UnixDatagram::bind(&socket).context("cannot make a socket")?;
        notifications
            .set_read_timeout(Some(GLANCE))
            .context("cannot set up the socket")?;
        let log = bench.folder.join("daemon.log");
        let log_file = File::create(&log).context("cannot make the log file")?;
        let mut command = process::command(&bench.program);
        command
            .args(["serve", "--gadget", "none", "--image"])
            .arg(image);
        command.arg("--state").arg(bench.folder.join("state"));
        command.arg("--model").arg(&bench.model);
        command.env("NOTIFY_SOCKET", &socket).env("NO_COLOR", "1");
        command
            .stdin(Stdio::null())
            .stdout(log_file.try_clone()?)
            .stderr(log_file);
        Ok(Self {
            process: Guarded::start(&mut command)?,
            notifications,
            log,
        })
    }

    /// Waits until it says `READY=1`.
    ///
    /// # Errors
    /// It ended, or said nothing for too long.
    pub fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let mut message = [0; MESSAGE_BYTES];
        while start.elapsed() < READY_LIMIT {
            self.must_run()?;
            // An error is the time-out of one glance.
            let Ok(length) = self.notifications.recv(&mut message) else {
                continue;
            };
            let text = String::from_utf8_lossy(message.get(..length).unwrap_or_default());
            if says_ready(&text) {
                return Ok(());
            }
        }
        bail!(
            "the daemon did not say that it is ready within {} s",
            READY_LIMIT.as_secs()
        )
    }

    /// Checks that it has not ended.
    ///
    /// # Errors
    /// It has; the message holds its status.
    pub fn must_run(&mut self) -> anyhow::Result<()> {
        match self.process.ended().context("cannot look at the daemon")? {
            None => Ok(()),
            Some(status) => bail!("the daemon ended by itself ({status})"),
        }
    }

    /// What it has logged so far.
    ///
    /// # Errors
    /// The file could not be read.
    pub fn log(&self) -> anyhow::Result<String> {
        fs::read_to_string(&self.log).context("cannot read the daemon's log")
    }

    /// Ends it with SIGTERM; how it ended, and how long that took.
    ///
    /// # Errors
    /// It did not end.
    pub fn stop(&mut self) -> anyhow::Result<(ExitStatus, Duration)> {
        let ended = self
            .process
            .terminate(STOP_LIMIT)
            .context("cannot signal the daemon")?;
        ended.with_context(|| {
            format!(
                "the daemon was still there {} s after SIGTERM",
                STOP_LIMIT.as_secs()
            )
        })
    }
}

/// A message is lines of `NAME=value`.
fn says_ready(message: &str) -> bool {
    message.lines().any(|line| line == "READY=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_a_line_of_its_own() {
        assert!(says_ready("READY=1"));
        assert!(says_ready("STATUS=waiting\nREADY=1\n"));
        assert!(!says_ready("STATUS=not READY=1"));
        assert!(!says_ready("WATCHDOG=1"));
    }
}
