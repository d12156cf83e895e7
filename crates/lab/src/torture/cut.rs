//! When the power goes. Pure but for the disk that a fuse is put into. Used by [`torture`](super).

use std::fmt;
use std::time::{Duration, Instant};

use labhost::files::Random;

use super::disk::Disk;

/// How far the stick was with the newest prompt when the power went, as its log tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The answer was not there yet.
    Before,
    /// It was there, and not known to be on the volume.
    Within,
    /// It was on the volume.
    After,
}

/// Writes and flushes of a publication, from the answer on, with some to spare (28 where `cargo
/// xtask torture` counted them).
const REQUESTS: u64 = 36;

/// Those in which the volume itself is written are somewhere among these.
const CORE: std::ops::Range<u64> = 6..26;

/// The same while the host copies its files, from its first step on.
const HOST_REQUESTS: u64 = 120;

/// From the answer on: longer than a publication takes.
const NEAR_MS: u64 = 1_500;

/// From the host's first step on: about as long as all of a round.
const ANYWHEN_MS: u64 = 15_000;

/// What does not come within so long does not come in this round.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that is not made within so long after the answer is not made.
const SETTLED: Duration = Duration::from_secs(8);

/// When it is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// So many writes and flushes after the answer is there.
    Request(u64),
    /// So many after the host's first step.
    Host(u64),
    /// So long after the answer.
    Near(Duration),
    /// So long after the host's first step.
    Anywhen(Duration),
}

impl Plan {
    /// Five of eight within a publication, the others elsewhere.
    pub fn choose(random: &mut Random) -> Self {
        match random.below(8) {
            0 => Self::Anywhen(Duration::from_millis(random.below(ANYWHEN_MS))),
            1 => Self::Near(Duration::from_millis(random.below(NEAR_MS))),
            2 => Self::Host(random.below(HOST_REQUESTS)),
            3 | 4 => Self::Request(random.below(REQUESTS)),
            _ => Self::Request(CORE.start + random.below(CORE.end - CORE.start)),
        }
    }

    /// The same, as it burns from `now` on.
    pub fn fuse(self, now: Instant, disk: &mut Disk) -> Fuse {
        if let Self::Host(count) = self {
            disk.cut_after(count);
        }
        let end = match self {
            Self::Anywhen(time) => now + time,
            _ => now + PATIENCE,
        };
        Fuse { plan: self, end }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(count) => write!(out, "{count} requests after the answer"),
            Self::Host(count) => write!(out, "{count} requests after the start"),
            Self::Near(time) => write!(out, "{} ms after the answer", time.as_millis()),
            Self::Anywhen(time) => write!(out, "{} ms after the start", time.as_millis()),
        }
    }
}

/// A plan with its clock.
pub struct Fuse {
    plan: Plan,
    end: Instant,
}

impl Fuse {
    /// The answer is there.
    pub fn light(&mut self, now: Instant, disk: &mut Disk) {
        match self.plan {
            Plan::Request(count) => {
                disk.cut_after(count);
                self.end = now + SETTLED;
            }
            Plan::Near(time) => self.end = now + time,
            Plan::Host(_) => self.end = now + SETTLED,
            Plan::Anywhen(_) => {}
        }
    }

    /// Whether it is time, where the disk does not tell.
    pub fn is_burnt(&self, now: Instant) -> bool {
        now >= self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_chooses_the_same_plans_and_each_kind_comes() {
        let chosen = |seed| {
            let mut random = Random::new(seed);
            (0..50).map(move |_| Plan::choose(&mut random))
        };
        assert!(chosen(1).eq(chosen(1)) && !chosen(1).eq(chosen(2)));
        assert!(chosen(1).any(|plan| matches!(plan, Plan::Near(_))));
        assert!(chosen(1).any(|plan| matches!(plan, Plan::Anywhen(_))));
        let counted = chosen(1).filter(|plan| matches!(plan, Plan::Request(_)));
        assert!(counted.count() > 20);
    }

    #[test]
    fn time_runs_from_the_answer_or_from_the_start() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut disk = Disk::open(file.path()).expect("it");
        let fuse = Plan::Anywhen(second).fuse(now, &mut disk);
        assert!(fuse.is_burnt(now + second) && !fuse.is_burnt(now));
        let fuse = Plan::Near(second).fuse(now, &mut disk);
        assert!(!fuse.is_burnt(now + second) && fuse.is_burnt(now + PATIENCE));
        Plan::Host(0).fuse(now, &mut disk);
        assert_eq!((disk.flush().expect("room"), disk.is_off()), (None, true));
    }
}
