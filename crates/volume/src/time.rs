//! FAT timestamps: two seconds' grain, local time without a zone, 1980 to 2107.
//!
//! Pure. Layout: Microsoft, *FAT32 File System Specification* 1.03, "FAT Directory Structure".
//! Used for directory entries; callers decide which time it is (`docs/SPEC.md` section 1).

const FIRST_YEAR: u16 = 1980;
const LAST_YEAR: u16 = 2107;
const SECONDS_A_DAY: u64 = 86_400;
/// Days from 1970-01-01 to 1980-01-01.
const DAYS_TO_1980: u64 = 3652;

/// A date and a time as they lie in a directory entry. Ordered by time; any bits are representable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FatTime {
    /// Bits 15-9 year from 1980, 8-5 month 1-12, 4-0 day 1-31.
    pub date: u16,
    /// Bits 15-11 hours, 10-5 minutes, 4-0 seconds / 2.
    pub time: u16,
}

/// A calendar date and a time of day, without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// 1980 to 2107.
    pub year: u16,
    /// 1 to 12.
    pub month: u16,
    /// 1 to 31.
    pub day: u16,
    /// 0 to 23.
    pub hour: u16,
    /// 0 to 59.
    pub minute: u16,
    /// 0 to 59.
    pub second: u16,
}

impl FatTime {
    /// 1980-01-01 00:00:00, the first that FAT can say.
    pub const FIRST: Self = Self {
        date: 0x0021,
        time: 0,
    };
    /// 2107-12-31 23:59:58, the last that FAT can say.
    pub const LAST: Self = Self {
        date: 0xFF9F,
        time: 0xBF7D,
    };

    /// From a calendar date; `None` where FAT cannot say it. Odd seconds are rounded down.
    #[must_use]
    pub fn from_civil(civil: Civil) -> Option<Self> {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = civil;
        let date_ok = (FIRST_YEAR..=LAST_YEAR).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day);
        if !date_ok || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        Some(Self {
            date: (year - FIRST_YEAR) << 9 | month << 5 | day,
            time: hour << 11 | minute << 5 | (second / 2),
        })
    }

    /// The calendar date; `None` where the bits are no date (a host may write anything).
    #[must_use]
    pub fn to_civil(self) -> Option<Civil> {
        let civil = Civil {
            year: FIRST_YEAR + (self.date >> 9),
            month: self.date >> 5 & 0x0F,
            day: self.date & 0x1F,
            hour: self.time >> 11,
            minute: self.time >> 5 & 0x3F,
            second: (self.time & 0x1F) * 2,
        };
        Self::from_civil(civil).map(|_| civil)
    }

    /// From seconds since 1970-01-01 00:00:00 UTC, taken as they are (no zone); clamped to what
    /// FAT can say.
    #[must_use]
    pub fn from_unix_seconds(seconds: u64) -> Self {
        let Some(since_1980) = seconds.checked_sub(DAYS_TO_1980 * SECONDS_A_DAY) else {
            return Self::FIRST;
        };
        Self::from_seconds_since_1980(since_1980)
    }

    /// Seconds since 1970-01-01 00:00:00; `None` where the bits are no date.
    #[must_use]
    pub fn to_unix_seconds(self) -> Option<u64> {
        let civil = self.to_civil()?;
        let mut days = DAYS_TO_1980;
        for year in FIRST_YEAR..civil.year {
            days += u64::from(days_in_year(year));
        }
        for month in 1..civil.month {
            days += u64::from(days_in_month(civil.year, month));
        }
        days += u64::from(civil.day - 1);
        let minutes = u64::from(civil.hour) * 60 + u64::from(civil.minute);
        Some(days * SECONDS_A_DAY + minutes * 60 + u64::from(civil.second))
    }

    /// The time to give to something written because of files with these times: two seconds (one
    /// step of FAT) after the newest valid one, so that an answer sorts after its prompt. At most
    /// [`FatTime::LAST`]; [`FatTime::FIRST`] where none is valid.
    #[must_use]
    pub fn after(times: impl IntoIterator<Item = Self>) -> Self {
        let newest = times.into_iter().filter_map(Self::to_unix_seconds).max();
        newest.map_or(Self::FIRST, |seconds| Self::from_unix_seconds(seconds + 2))
    }

    fn from_seconds_since_1980(seconds: u64) -> Self {
        let mut days = seconds / SECONDS_A_DAY;
        let in_day = seconds % SECONDS_A_DAY;
        let mut year = FIRST_YEAR;
        while days >= u64::from(days_in_year(year)) {
            days -= u64::from(days_in_year(year));
            year += 1;
            if year > LAST_YEAR {
                return Self::LAST;
            }
        }
        let mut month = 1;
        while days >= u64::from(days_in_month(year, month)) {
            days -= u64::from(days_in_month(year, month));
            month += 1;
        }
        // Each is below its field's limit: what is left of a month, a day, an hour, a minute.
        let small = |value: u64| u16::try_from(value).unwrap_or(0);
        Self::from_civil(Civil {
            year,
            month,
            day: small(days) + 1,
            hour: small(in_day / 3600),
            minute: small(in_day / 60 % 60),
            second: small(in_day % 60),
        })
        .unwrap_or(Self::LAST)
    }
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_year(year: u16) -> u16 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_in_month(year: u16, month: u16) -> u16 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_survives_the_way_to_seconds_and_back() {
        let mut seconds = DAYS_TO_1980 * SECONDS_A_DAY;
        let mut last = FatTime::default();
        while FatTime::from_unix_seconds(seconds) < FatTime::LAST {
            let time = FatTime::from_unix_seconds(seconds);
            assert!(time > last, "{seconds}");
            assert_eq!(time.to_unix_seconds(), Some(seconds));
            last = time;
            seconds += SECONDS_A_DAY + 2;
        }
        assert_eq!(last.to_civil().map(|civil| civil.year), Some(LAST_YEAR));
    }

    #[test]
    fn known_dates() {
        // `date -u -d '2026-02-28 23:59:58' +%s`
        let time = FatTime::from_unix_seconds(1_772_323_198);
        let civil = Civil {
            year: 2026,
            month: 2,
            day: 28,
            hour: 23,
            minute: 59,
            second: 58,
        };
        assert_eq!(time.to_civil(), Some(civil));
        assert_eq!(
            FatTime::after([time]).to_civil().map(|c| (c.month, c.day)),
            Some((3, 1))
        );
        assert_eq!(FatTime::from_unix_seconds(0), FatTime::FIRST);
        assert_eq!(FatTime::from_unix_seconds(u64::MAX), FatTime::LAST);
    }

    #[test]
    fn bits_that_are_no_date_are_passed_over() {
        let nonsense = FatTime {
            date: 0xFFFF,
            time: 0xFFFF,
        };
        assert_eq!(nonsense.to_civil(), None);
        assert_eq!(FatTime::after([nonsense]), FatTime::FIRST);
        assert_eq!(FatTime::after([nonsense, FatTime::LAST]), FatTime::LAST);
    }
}
