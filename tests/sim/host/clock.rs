//! The time that hosts give to files: the virtual clock, as FAT writes it.
//!
//! `fatfs` wants a provider that lives for ever, so the time is the thread's; a history runs in
//! one.

use std::cell::Cell;

use fatfs::{Date, DateTime, Time, TimeProvider};

thread_local! {
    static NOW_MS: Cell<u64> = const { Cell::new(0) };
}

/// Sets the time for entries that are written from now on, ms since the history began.
pub fn set(now_ms: u64) {
    NOW_MS.set(now_ms);
}

/// The provider.
pub static CLOCK: Clock = Clock;

/// Days begin on the first of May 2025 and do not end with the month: no history is so long.
#[derive(Debug)]
pub struct Clock;

impl TimeProvider for Clock {
    fn get_current_date(&self) -> Date {
        self.get_current_date_time().date
    }

    fn get_current_date_time(&self) -> DateTime {
        let now_ms = NOW_MS.get();
        let (seconds, millis) = (now_ms / 1000, (now_ms % 1000) as u16);
        let unit = |seconds_each: u64, units: u64| (seconds / seconds_each % units) as u16;
        DateTime {
            date: Date {
                year: 2025,
                month: 5,
                day: 1 + unit(24 * 3600, 28),
            },
            time: Time {
                hour: unit(3600, 24),
                min: unit(60, 60),
                sec: unit(1, 60),
                millis,
            },
        }
    }
}
