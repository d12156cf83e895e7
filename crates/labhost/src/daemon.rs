//! The daemon under test, as a service manager would run it: started, its log kept, killed,
//! started again. Used by scenarios.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{Doing, ensure};
use crate::protocol::Line;
use crate::{Failure, Result, report, sysfs, wait};

/// Where the harness puts the program.
pub const PROGRAM: &str = "/usr/bin/promptstick";

/// Where it puts the model, which goes into every guest.
pub const MODEL: &str = "/usr/share/promptstick/model.gguf";

/// Where virtio's ports are; the only one that is not a console is the log's.
const PORTS: &str = "/dev";
const PORT_PREFIX: &str = "vport";

/// What an ordinary end may take (a signal, a token that is being computed, a bus to leave).
const END_LIMIT: Duration = Duration::from_secs(60);

/// Whom the log of a daemon is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// Whoever wants to know why a scenario failed: everything, in a file.
    Kept,
    /// A person who watches: what matters, on the protocol's line as well.
    Told,
}

impl Log {
    /// The value of `RUST_LOG`.
    fn level(self) -> &'static str {
        match self {
            Self::Kept => "debug",
            Self::Told => "info",
        }
    }
}

/// A running daemon; killed when it is dropped.
pub struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    /// Starts `promptstick` with these arguments.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        Self::start_with(arguments, Log::Kept)
    }

    /// As [`Self::start`], with a log for somebody in particular.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(arguments: &[&str], audience: Log) -> Result<Self> {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .env("RUST_LOG", audience.level())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .doing(format!("starting {PROGRAM}"))?;
        let log = Arc::new(Mutex::new(String::new()));
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(&log);
            thread::spawn(move || keep(stderr, &log, audience));
        }
        report::step(format!("daemon started: {}", arguments.join(" ")));
        Ok(Self { child, log })
    }

    /// Runs `promptstick` to its end, which must be a success; what it printed.
    ///
    /// # Errors
    /// It failed; the message holds what it said.
    pub fn run(arguments: &[&str]) -> Result<String> {
        let output = Command::new(PROGRAM)
            .args(arguments)
            .output()
            .doing(format!("starting {PROGRAM}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure(output.status.success(), || {
            format!("{arguments:?}: {}: {said}", output.status)
        })?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits until the log contains `text`, and says how long that took.
    ///
    /// # Errors
    /// It does not in time, or the daemon has ended.
    pub fn wait_logged(&mut self, text: &str, limit: Duration) -> Result<Duration> {
        self.wait_logged_times(text, 1, limit)
    }

    /// As [`Self::wait_logged`], for a line that appears several times.
    ///
    /// # Errors
    /// As [`Self::wait_logged`].
    pub fn wait_logged_times(
        &mut self,
        text: &str,
        times: usize,
        limit: Duration,
    ) -> Result<Duration> {
        let what = format!("the daemon to log {text:?} ({times})");
        let ((), took) = wait::until(&what, limit, || {
            if self.times_logged(text) >= times {
                return Ok(Some(()));
            }
            match self.child.try_wait().doing("looking after the daemon")? {
                Some(status) => Err(Failure::Wrong(format!("the daemon ended: {status}"))),
                None => Ok(None),
            }
        })?;
        Ok(took)
    }

    /// How many lines of its log contain `text`.
    pub fn times_logged(&self, text: &str) -> usize {
        let log = self.log();
        log.lines().filter(|line| line.contains(text)).count()
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How often its threads have given up the processor so far: one that wakes up does it again.
    ///
    /// # Errors
    /// It has ended.
    pub fn switches(&self) -> Result<u64> {
        let mut switches = 0;
        for thread in sysfs::paths(format!("/proc/{}/task", self.id())) {
            let status = sysfs::read(thread.join("status"))?;
            let counts = status.lines().filter(|line| line.contains("ctxt_switches"));
            let counts =
                counts.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
            switches += counts.sum::<u64>();
        }
        Ok(switches)
    }

    /// Kills it as a crash does, with no chance to tidy up.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().doing("killing the daemon")?;
        self.child.wait().doing("waiting for the daemon")?;
        report::step("daemon killed");
        Ok(())
    }

    /// Tells it to read its configuration again.
    ///
    /// # Errors
    /// It has ended.
    pub fn reload(&self) -> Result<()> {
        self.signal(Signal::SIGHUP).doing("telling the daemon")
    }

    fn signal(&self, signal: Signal) -> nix::Result<()> {
        let number = i32::try_from(self.id()).unwrap_or_default();
        kill(Pid::from_raw(number), signal)
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// It does not, or not with success.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)
            .doing("asking the daemon to end")?;
        let ended = || self.child.try_wait().doing("looking after the daemon");
        let (status, took) = wait::until("the daemon to end", END_LIMIT, ended)?;
        report::step(format!("daemon stopped in {} ms", took.as_millis()));
        ensure(status.success(), || {
            format!("the daemon ended with {status}")
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the log in memory, and passes it on to the harness's port, or else by the protocol.
fn keep(stderr: ChildStderr, log: &Mutex<String>, audience: Log) {
    let mut port = log_port();
    for line in BufReader::new(stderr)
        .split(b'\n')
        .map_while(|line| line.ok())
    {
        let line = format!("{}\n", String::from_utf8_lossy(&line));
        log.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(&line);
        if audience == Log::Told || port.is_none() {
            report::tell(&Line::Log(line.clone()));
        }
        if let Some(port) = &mut port {
            // Our own copy is what scenarios look at.
            let _ = port.write_all(line.as_bytes());
        }
    }
}

fn log_port() -> Option<File> {
    let name = sysfs::names(PORTS)
        .into_iter()
        .find(|name| name.starts_with(PORT_PREFIX))?;
    fs::OpenOptions::new()
        .append(true)
        .open(format!("{PORTS}/{name}"))
        .ok()
}
