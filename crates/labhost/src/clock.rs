//! The guest's clocks: the time since its kernel started, and the time of day, which a scenario
//! sets. Used by scenarios of the board, which has no clock that keeps the time.

use std::io;
use std::time::Duration;

use crate::error::Doing;
use crate::{Failure, Result, report, sysfs};

/// The time since the kernel began to count it, to 10 ms (man `proc_uptime`). What came before,
/// the boot loader, is not in it.
///
/// # Errors
/// The kernel does not tell.
pub fn since_boot() -> Result<Duration> {
    let text = sysfs::read("/proc/uptime")?;
    let seconds = text.split(' ').next().and_then(|word| word.parse().ok());
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| Failure::Wrong(format!("/proc/uptime is {text:?}")))
}

/// Tells how long after the kernel's start this is.
///
/// # Errors
/// As [`since_boot`].
pub fn reached(name: &str) -> Result<Duration> {
    let time = since_boot()?;
    report::measured(name, time);
    Ok(time)
}

/// The system call that sets a clock in 64 bits. Where processors have 32, it is not the one that
/// the C library's function makes, which ends in 2038 (`include/uapi/asm-generic/unistd.h`).
#[cfg(target_pointer_width = "32")]
const CLOCK_SETTIME: libc::c_long = 404;
#[cfg(not(target_pointer_width = "32"))]
const CLOCK_SETTIME: libc::c_long = libc::SYS_clock_settime;

/// `struct __kernel_timespec` (`include/uapi/linux/time_types.h`).
#[repr(C)]
struct KernelTime {
    seconds: i64,
    nanoseconds: i64,
}

/// Sets the time of day, in seconds since 1970-01-01 00:00:00 UTC. `date` says it for people.
///
/// # Errors
/// The kernel refuses.
pub fn set(seconds: i64, date: &str) -> Result<()> {
    let time = KernelTime {
        seconds,
        nanoseconds: 0,
    };
    // SAFETY: the kernel reads one such structure from where the pointer says.
    let result = unsafe { libc::syscall(CLOCK_SETTIME, libc::CLOCK_REALTIME, &raw const time) };
    if result != 0 {
        return Err(io::Error::last_os_error()).doing(format!("setting the clock to {date}"));
    }
    report::step(format!("it is {date} now"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_has_been_running_for_a_while() {
        let (one, two) = (since_boot().expect("Linux"), since_boot().expect("Linux"));
        assert!(one > Duration::ZERO && two >= one);
    }
}
