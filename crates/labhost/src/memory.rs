//! How much memory the guest has, and a process in it uses, as `/proc` tells it. Used by scenarios
//! that are about the board's memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::{Failure, Result, sysfs};

/// How often a [`Watch`] looks: often enough for what lasts as long as a model computes, and seldom
/// enough to take no time from it.
const LOOK: Duration = Duration::from_millis(250);

/// What a process has in memory (man `proc_pid_status`), in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Process {
    /// The most that it ever had, with what it shares (`VmHWM`).
    pub peak_kib: u64,
    /// What only it has: heap, stacks, buffers (`RssAnon`).
    pub anonymous_kib: u64,
    /// Pages of files that it has mapped, as a model's weights (`RssFile`). The program is not among
    /// them in a guest, where it lies in memory itself.
    pub file_kib: u64,
}

impl Process {
    /// A process that lives.
    ///
    /// # Errors
    /// It has ended.
    pub fn read(id: u32) -> Result<Self> {
        let path = format!("/proc/{id}/status");
        let status = Table::parse(&sysfs::read(&path)?);
        Ok(Self {
            peak_kib: status.get("VmHWM")?,
            anonymous_kib: status.get("RssAnon")?,
            file_kib: status.get("RssFile")?,
        })
    }

    /// The first child of a process, where it has one.
    fn child_of(parent: u32) -> Option<u32> {
        let parent = u64::from(parent);
        let ids = sysfs::names("/proc").into_iter();
        ids.filter_map(|name| name.parse().ok()).find(|id: &u32| {
            let status = sysfs::read(format!("/proc/{id}/status")).unwrap_or_default();
            Table::parse(&status).get("PPid").ok() == Some(parent)
        })
    }
}

/// The machine's memory and what became of it since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// `MemTotal`: what the kernel gives out, in KiB.
    pub total_kib: u64,
    /// `MemAvailable`, in KiB: what programs could still have without swapping. Pages of mapped
    /// files count as available, for they can be read again.
    pub available_kib: u64,
    /// `SwapTotal`, in KiB.
    pub swap_kib: u64,
    /// Processes that were killed for memory.
    pub killed: u64,
    /// Pages of files that were given up for want of memory and needed again.
    pub refaults: u64,
}

impl Machine {
    /// As it is now.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn read() -> Result<Self> {
        let memory = Table::parse(&sysfs::read("/proc/meminfo")?);
        let events = Table::parse(&sysfs::read("/proc/vmstat")?);
        Ok(Self {
            total_kib: memory.get("MemTotal")?,
            available_kib: memory.get("MemAvailable")?,
            swap_kib: memory.get("SwapTotal")?,
            killed: events.get("oom_kill")?,
            refaults: events.get("workingset_refault_file")?,
        })
    }
}

/// What a [`Watch`] has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The least [`Machine::available_kib`].
    pub available_kib: u64,
    /// The least of it less the pages of files that the child had mapped then: what is left if all
    /// of them have to stay, as those of a model have to.
    pub beside_model_kib: u64,
    /// The child as it was last, with its peak; nothing where there was none.
    pub child: Process,
}

/// Looks at the memory all the while.
pub struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Seen>>,
}

impl Watch {
    /// Looks at the machine and at the child of the process `parent`, which may still have to come,
    /// from now on.
    pub fn start(parent: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let over = Arc::clone(&over);
            move || look_until(&over, parent)
        });
        Self { over, thread }
    }

    /// Ends it.
    ///
    /// # Errors
    /// The kernel did not tell.
    pub fn finish(self) -> Result<Seen> {
        self.over.store(true, Ordering::Release);
        let seen = self.thread.join();
        seen.unwrap_or_else(|_| Err(Failure::Wrong("the watch of the memory panicked".into())))
    }
}

fn look_until(over: &AtomicBool, parent: u32) -> Result<Seen> {
    let mut seen = Seen {
        available_kib: u64::MAX,
        beside_model_kib: u64::MAX,
        child: Process::default(),
    };
    let mut child = None;
    loop {
        let is_last = over.load(Ordering::Acquire);
        child = child.or_else(|| Process::child_of(parent));
        match child.map(Process::read) {
            Some(Ok(process)) => seen.child = process,
            // It has ended; there may be another.
            Some(Err(_)) => child = None,
            None => {}
        }
        let available_kib = Machine::read()?.available_kib;
        let beside_kib = available_kib.saturating_sub(seen.child.file_kib);
        seen.available_kib = seen.available_kib.min(available_kib);
        seen.beside_model_kib = seen.beside_model_kib.min(beside_kib);
        if is_last {
            return Ok(seen);
        }
        thread::sleep(LOOK);
    }
}

/// Lines of a name, perhaps a colon, and a number, as the kernel writes them.
struct Table(BTreeMap<String, u64>);

impl Table {
    fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?.trim_end_matches(':');
            Some((name.to_owned(), words.next()?.parse().ok()?))
        });
        Self(lines.collect())
    }

    fn get(&self, name: &str) -> Result<u64> {
        let number = self.0.get(name).copied();
        number.ok_or_else(|| Failure::Wrong(format!("the kernel does not tell {name}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_both_kinds_of_lines() {
        let table = Table::parse("Name:\tsh\nVmHWM:\t    1284 kB\noom_kill 3\n\n");
        assert_eq!(table.get("VmHWM").expect("a number"), 1284);
        assert_eq!(table.get("oom_kill").expect("a number"), 3);
        let error = table.get("Name").expect_err("no number");
        assert!(error.to_string().contains("Name"), "{error}");
    }

    #[test]
    fn a_watch_sees_this_machine() {
        let seen = Watch::start(std::process::id()).finish().expect("Linux");
        let machine = Machine::read().expect("Linux");
        assert!((1..=machine.total_kib).contains(&seen.available_kib));
        assert!(seen.beside_model_kib <= seen.available_kib);
        let own = Process::read(std::process::id()).expect("it lives");
        assert!(own.peak_kib >= own.anonymous_kib && own.anonymous_kib > 0);
    }
}
