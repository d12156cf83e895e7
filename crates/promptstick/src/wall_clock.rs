//! The date and time of day, after 2038 too. Used by the log, and by `volume put` and `repair` for
//! what they write; nothing decides by it, for the board has no clock that keeps the time.
//!
//! Where the C library under Rust's standard library has a `time_t` of 32 bits (musl as Rust uses
//! it, glibc before 2.34), `SystemTime::now` panics from 2038-01-19 on. So the kernel is asked
//! directly there, in 64 bits.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

const SECONDS_A_DAY: u64 = 86_400;

/// Time since 1970-01-01 00:00:00 UTC; zero where the clock stands before that.
pub fn since_1970() -> Duration {
    kernel_time().unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.unwrap_or_default()
    })
}

/// `None`: a kernel before Linux 5.1, whose own clock ends in 2038.
#[cfg(target_pointer_width = "32")]
fn kernel_time() -> Option<Duration> {
    use nix::libc;

    /// The same on all architectures of 32 bits (`include/uapi/asm-generic/unistd.h`).
    const CLOCK_GETTIME64: libc::c_long = 403;
    /// `struct __kernel_timespec` (`include/uapi/linux/time_types.h`).
    #[repr(C)]
    struct KernelTime {
        seconds: i64,
        nanoseconds: i64,
    }

    let mut time = KernelTime {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: the kernel writes one such structure to where the pointer says.
    let result = unsafe { libc::syscall(CLOCK_GETTIME64, libc::CLOCK_REALTIME, &raw mut time) };
    let whole = Duration::from_secs(u64::try_from(time.seconds).unwrap_or(0));
    let part = Duration::from_nanos(u64::try_from(time.nanoseconds).unwrap_or(0));
    (result == 0).then(|| whole.saturating_add(part))
}

/// The standard library's own way will do.
#[cfg(not(target_pointer_width = "32"))]
fn kernel_time() -> Option<Duration> {
    None
}

/// The time as the log has it: RFC 3339 in UTC, with microseconds.
pub struct LogTime;

impl FormatTime for LogTime {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        write!(out, "{}", Rfc3339(since_1970()))
    }
}

struct Rfc3339(Duration);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (year, month, day) = date(seconds / SECONDS_A_DAY);
        let second = seconds % SECONDS_A_DAY;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let microseconds = self.0.subsec_micros();
        write!(
            out,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{microseconds:06}Z"
        )
    }
}

/// Year, month and day of a number of days since 1970-01-01: Howard Hinnant's `civil_from_days`
/// ("chrono-Compatible Low-Level Date Algorithms"), for days from then on. Years begin in March
/// here, so that the day of a leap year is the last one.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_FROM_YEAR_0: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days.saturating_add(DAYS_FROM_YEAR_0);
    let (era, in_era) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year_of_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let day_of_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let is_next_year = month_from_march >= 10;
    let month = if is_next_year {
        month_from_march - 9
    } else {
        month_from_march + 3
    };
    (
        era * 400 + year_of_era + u64::from(is_next_year),
        month,
        day,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        let shown = |seconds, microseconds: u32| {
            Rfc3339(Duration::new(seconds, microseconds * 1_000)).to_string()
        };
        assert_eq!(shown(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(shown(951_782_399, 5), "2000-02-28T23:59:59.000005Z");
        assert_eq!(shown(951_782_400, 0), "2000-02-29T00:00:00.000000Z");
        assert_eq!(shown(1_709_251_200, 0), "2024-03-01T00:00:00.000000Z");
        assert_eq!(shown(1 << 31, 999_999), "2038-01-19T03:14:08.999999Z");
        assert_eq!(shown(4_107_542_400, 0), "2100-03-01T00:00:00.000000Z");
        assert_eq!(shown(4_354_819_199, 0), "2107-12-31T23:59:59.000000Z");
    }

    /// The dates agree with those of another calendar of ours.
    #[test]
    fn the_same_days_as_in_a_directory_entry() {
        let mut days = 3_652;
        loop {
            let (year, month, day) = date(days);
            let Some(civil) = volume::FatTime::from_unix_seconds(days * SECONDS_A_DAY).to_civil()
            else {
                panic!("day {days} is no date");
            };
            if year > 2107 {
                break;
            }
            let expected = (civil.year.into(), civil.month.into(), civil.day.into());
            assert_eq!((year, month, day), expected, "day {days}");
            days += 1;
        }
    }

    #[test]
    fn the_clock_goes() {
        let (one, two) = (since_1970(), since_1970());
        assert!(one > Duration::ZERO && two >= one);
    }
}
