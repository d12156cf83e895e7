//! What the child takes from itself before it opens a model file: a compromised or failing
//! llama.cpp then costs one answer and nothing else.
//!
//! - It dies with its parent (`PR_SET_PDEATHSIG`, and a check that the parent is still who it was).
//! - It ignores the signals that ask a whole group of processes to stop (Ctrl-C, a service's end):
//!   the parent decides what becomes of it.
//! - It gains no privileges (`PR_SET_NO_NEW_PRIVS`), leaves no core file, and when the kernel must
//!   kill a process for memory, it is this one (`oom_score_adj`).
//! - `RLIMIT_DATA` bounds its private memory. The mapped model file does not count there (a mapping
//!   of a file that is not written is page cache), so the limit is the memory limit less the file,
//!   plus the stacks of threads, which do count in full. `RLIMIT_AS` is not used: it would count
//!   address space that allocators reserve and never touch. There is always a limit: without one
//!   of its own a child gets what the machine has available when it is started.

use std::fs;
use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};

/// glibc's default for a thread's stack, all of which counts as data.
const THREAD_STACK_BYTES: u64 = 8 << 20;
/// Threads besides those that compute: the one that listens.
const OTHER_THREADS: u64 = 1;
/// From -1000 to 1000; higher is killed first.
const OOM_SCORE_ADJ: &str = "800";

/// Bound of private memory for a memory limit that includes the mapped model file.
#[must_use]
pub fn data_limit_bytes(memory_limit_bytes: u64, mapped_bytes: u64, threads: u32) -> u64 {
    let stacks = THREAD_STACK_BYTES * (u64::from(threads) + OTHER_THREADS);
    memory_limit_bytes
        .saturating_sub(mapped_bytes)
        .saturating_add(stacks)
}

/// Ties the child to its parent. Call before anything else.
///
/// # Errors
/// The system call's error.
pub fn die_with_parent() -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    nix::sys::prctl::set_no_new_privs()?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(())
}

/// Leaves SIGINT, SIGTERM and SIGHUP to the parent.
///
/// # Errors
/// The system call's error.
pub fn ignore_group_signals() -> io::Result<()> {
    for group_signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: ignoring a signal runs no code.
        unsafe { signal(group_signal, SigHandler::SigIgn) }?;
    }
    Ok(())
}

/// Whether the parent that asked for this child is still its parent: it may have died before
/// [`die_with_parent`] took effect.
#[must_use]
pub fn has_parent(parent_pid: u32) -> bool {
    u32::try_from(nix::unistd::getppid().as_raw()) == Ok(parent_pid)
}

/// Lowers the priority to `nice` (0 to 19), never raises it, and offers this process to the
/// kernel's memory killer. Neither is needed for a right answer, so a refusal is only logged.
pub fn step_back(nice: i32) {
    // SAFETY: getpriority has no memory effects; PRIO_PROCESS 0 is this process, which exists.
    let inherited = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let nice = nice.clamp(inherited.clamp(0, 19), 19);
    // SAFETY: as above, for setpriority.
    let refused = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } != 0;
    if refused {
        tracing::debug!("priority not lowered: {}", io::Error::last_os_error());
    }
    if let Err(error) = fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ) {
        tracing::debug!("oom_score_adj not set: {error}");
    }
}

/// Sets the bound of [`data_limit_bytes`], or keeps the one that it inherited if that is lower: a
/// service may have been given one, and may not raise it.
///
/// # Errors
/// The system call's error.
pub fn bound_memory(data_limit_bytes: u64) -> io::Result<()> {
    // 32 bits wide with glibc on the board, where more than 4 GiB is no limit anyway.
    #[allow(clippy::useless_conversion)]
    let limit = libc::rlim_t::try_from(data_limit_bytes).unwrap_or(libc::RLIM_INFINITY);
    let (_, inherited) = getrlimit(Resource::RLIMIT_DATA)?;
    let limit = limit.min(inherited);
    setrlimit(Resource::RLIMIT_DATA, limit, limit)?;
    Ok(())
}

/// Closes every descriptor above stderr that was inherited by mistake.
pub fn close_inherited() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    let open: Vec<i32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|&fd| fd > libc::STDERR_FILENO) {
        // SAFETY: called first in the process, when nothing in it owns a descriptor above stderr;
        // the listing's own is closed already, which makes this a harmless EBADF.
        unsafe { libc::close(descriptor) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_count_against_the_limit_and_stacks_do_not() {
        let mib = 1 << 20;
        assert_eq!(data_limit_bytes(300 * mib, 140 * mib, 1), (160 + 16) * mib);
        assert_eq!(data_limit_bytes(100 * mib, 140 * mib, 1), 16 * mib);
        assert_eq!(data_limit_bytes(u64::MAX, 0, 64), u64::MAX);
    }
}
