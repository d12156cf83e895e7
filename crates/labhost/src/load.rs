//! What the daemon takes of the machine while somebody keeps it busy: processor, memory, bytes
//! read, lines logged. Used by scenarios about hosts that attack.

use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::memory::Process;
use crate::{Failure, Result, error, report, sysfs};

/// What the kernel counts a process's time in (`USER_HZ`, which is the same on all that we run on).
const TICK: Duration = Duration::from_millis(10);

/// The daemon at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    at: Instant,
    cpu: Duration,
    read_bytes: u64,
    log_lines: usize,
}

/// What may be taken within a time.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of the processor, in percent.
    pub cpu_percent: u128,
    /// Of memory that only the daemon has, in KiB, at the end.
    pub anonymous_kib: u64,
    /// Read, from the image and elsewhere, per second.
    pub read_bytes_per_s: u64,
    /// Logged per minute, beside ten at any time.
    pub log_lines_per_min: u64,
}

impl Load {
    /// As it is now.
    ///
    /// # Errors
    /// The daemon has ended.
    pub fn read(daemon: &Daemon) -> Result<Self> {
        let id = daemon.id();
        let stat = sysfs::read(format!("/proc/{id}/stat"))?;
        let io = sysfs::read(format!("/proc/{id}/io"))?;
        let read = io.lines().find_map(|line| line.strip_prefix("rchar: "));
        let read = read.and_then(|count| count.trim().parse().ok());
        Ok(Self {
            at: Instant::now(),
            cpu: cpu(&stat).ok_or_else(|| unknown("stat"))?,
            read_bytes: read.ok_or_else(|| unknown("io"))?,
            log_lines: daemon.times_logged(""),
        })
    }

    /// Reports what was taken since, and fails where that is more than the limits.
    ///
    /// # Errors
    /// It is, or the daemon has ended.
    pub fn ensure_below(&self, limits: &Limits, daemon: &Daemon) -> Result<()> {
        let now = Self::read(daemon)?;
        let time = now.at - self.at;
        let cpu_percent = (now.cpu - self.cpu).as_millis() * 100 / time.as_millis().max(1);
        let read_bytes = now.read_bytes - self.read_bytes;
        let log_lines = now.log_lines.saturating_sub(self.log_lines);
        let memory = Process::read(daemon.id())?;
        report::step(format!(
            "the daemon within {} ms: {cpu_percent} % of the processor, {} KiB of its own, \
             {read_bytes} bytes read, {log_lines} lines logged",
            time.as_millis(),
            memory.anonymous_kib,
        ));
        let seconds = time.as_secs().max(1);
        let log_limit = 10 + limits.log_lines_per_min * seconds / 60;
        let is_below = cpu_percent <= limits.cpu_percent
            && memory.anonymous_kib <= limits.anonymous_kib
            && read_bytes <= limits.read_bytes_per_s * seconds
            && log_lines as u64 <= log_limit;
        error::ensure(is_below, || format!("that is more than {limits:?}"))
    }
}

fn unknown(name: &str) -> Failure {
    Failure::Wrong(format!("the kernel does not tell {name} of the daemon"))
}

/// Fields 14 and 15 (man `proc_pid_stat`): time in the program and in the kernel.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u32>().ok();
    Some(TICK * (next()? + next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_the_sum_of_two_fields() {
        let stat = "42 (a (b) c) S 1 1 1 0 -1 4194304 9 9 9 9 150 25 3 4 20";
        assert_eq!(cpu(stat), Some(Duration::from_millis(1750)));
        assert_eq!(cpu("42 (x) S 1"), None);
    }
}
