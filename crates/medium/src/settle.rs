//! When may a file that a host wrote be believed? Pure: readings and the time in, verdicts out.
//!
//! A directory entry is not a file: hosts write entries before data, and data long after. A path
//! has *settled* when two readings, at least `second_read_ms` apart with no write between them,
//! show the same thing, that thing is consistent, and, while the volume is marked as in use, it
//! has stayed the same for longer. Absence settles by the same rule. What has not settled is
//! neither there nor gone, and nothing may be concluded from it.

use std::collections::{BTreeMap, BTreeSet};

use crate::Timing;

/// What a reading showed of one file: changes when its content or its directory entry does.
pub type Fingerprint = [u8; 32];

/// One file in one reading of the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Path on the volume.
    pub path: String,
    /// Content and entry.
    pub fingerprint: Fingerprint,
    /// The cluster chain agrees with the directory entry and with both FATs.
    pub consistent: bool,
    /// The file has no content (yet).
    pub empty: bool,
}

/// What may be concluded from the readings so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Paths that are there, as last observed.
    pub settled: BTreeSet<String>,
    /// Paths about which nothing is known yet.
    pub unsettled: BTreeSet<String>,
    /// Paths that have stayed inconsistent on a volume that nobody uses: no host will mend them.
    pub damaged: BTreeSet<String>,
}

/// Follows each path from reading to reading.
#[derive(Debug)]
pub struct Settler {
    timing: Timing,
    tracks: BTreeMap<String, Track>,
    /// Time and verdict of the last reading; `None` when a write has come since.
    last_read_ms: Option<u64>,
}

#[derive(Debug)]
struct Track {
    /// `None`: the path is absent.
    seen: Option<Observation>,
    since_ms: u64,
    /// First of the unbroken run of equal readings without a write between.
    run_start_ms: Option<u64>,
    settled_ms: Option<u64>,
    rechecks: usize,
}

impl Settler {
    /// A settler that has seen nothing.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            tracks: BTreeMap::new(),
            last_read_ms: None,
        }
    }

    /// A host wrote: readings before and after do not confirm each other.
    pub fn wrote(&mut self) {
        self.last_read_ms = None;
        for track in self.tracks.values_mut() {
            track.run_start_ms = None;
        }
    }

    /// A reading of the whole volume. `in_use`: its marks say that a host has it mounted.
    pub fn observe(&mut self, now_ms: u64, in_use: bool, found: Vec<Observation>) -> View {
        let mut present = BTreeSet::new();
        for observation in found {
            // Of two files of one name the first counts: together they would never be the same.
            if !present.insert(observation.path.clone()) {
                continue;
            }
            self.track(now_ms, observation.path.clone(), Some(observation));
        }
        let absent: Vec<String> = self
            .tracks
            .keys()
            .filter(|path| !present.contains(*path))
            .cloned()
            .collect();
        for path in absent {
            self.track(now_ms, path, None);
        }
        self.last_read_ms = Some(now_ms);
        self.judge(now_ms, in_use)
    }

    /// When the volume should be read again although nobody writes, if at all.
    #[must_use]
    pub fn next_read_ms(&self, in_use: bool) -> Option<u64> {
        let last_ms = self.last_read_ms?;
        self.tracks
            .values()
            .filter_map(|track| self.track_due_ms(track, last_ms, in_use))
            .min()
    }

    fn track(&mut self, now_ms: u64, path: String, seen: Option<Observation>) {
        let fresh = |seen| Track {
            seen,
            since_ms: now_ms,
            run_start_ms: Some(now_ms),
            settled_ms: None,
            rechecks: 0,
        };
        match self.tracks.get_mut(&path) {
            Some(track) if track.seen == seen => {
                track.run_start_ms.get_or_insert(now_ms);
            }
            Some(track) => *track = fresh(seen),
            None => {
                self.tracks.insert(path, fresh(seen));
            }
        }
    }

    fn judge(&mut self, now_ms: u64, in_use: bool) -> View {
        let mut view = View::default();
        let timing = self.timing;
        self.tracks.retain(|path, track| {
            if track.settled_ms.is_none() && track.is_settled(now_ms, in_use, &timing) {
                track.settled_ms = Some(now_ms);
            }
            track.count_rechecks(now_ms, &timing);
            match (track.settled_ms, &track.seen) {
                (Some(_), Some(_)) => view.settled.insert(path.clone()),
                (Some(_), None) => return false,
                (None, Some(_)) if track.is_damaged(now_ms, in_use, &timing) => {
                    view.damaged.insert(path.clone())
                }
                (None, _) => view.unsettled.insert(path.clone()),
            };
            true
        });
        view
    }

    fn track_due_ms(&self, track: &Track, last_ms: u64, in_use: bool) -> Option<u64> {
        if let Some(settled_ms) = track.settled_ms {
            let recheck_ms = self
                .timing
                .recheck_ms
                .get(track.rechecks)
                .filter(|_| in_use)?;
            return Some(settled_ms + recheck_ms);
        }
        let second_ms = track.run_start_ms.unwrap_or(last_ms) + self.timing.second_read_ms;
        let wait_ms = match &track.seen {
            Some(seen) if !seen.consistent => self.timing.damaged_ms,
            _ => track.steady_ms(in_use, &self.timing),
        };
        let due_ms = second_ms.max(track.since_ms + wait_ms);
        // What a reading at that time could not settle, only a write can.
        (due_ms > last_ms).then_some(due_ms)
    }
}

impl Track {
    fn steady_ms(&self, in_use: bool, timing: &Timing) -> u64 {
        match &self.seen {
            _ if !in_use => 0,
            Some(seen) if seen.empty => timing.in_use_empty_ms,
            _ => timing.in_use_ms,
        }
    }

    fn is_confirmed(&self, now_ms: u64, timing: &Timing) -> bool {
        self.run_start_ms
            .is_some_and(|start_ms| now_ms >= start_ms + timing.second_read_ms)
    }

    fn is_settled(&self, now_ms: u64, in_use: bool, timing: &Timing) -> bool {
        let steady = now_ms >= self.since_ms + self.steady_ms(in_use, timing);
        let consistent = self.seen.as_ref().is_none_or(|seen| seen.consistent);
        self.is_confirmed(now_ms, timing) && steady && consistent
    }

    fn is_damaged(&self, now_ms: u64, in_use: bool, timing: &Timing) -> bool {
        let inconsistent = self.seen.as_ref().is_some_and(|seen| !seen.consistent);
        let lasting = now_ms >= self.since_ms + timing.damaged_ms;
        inconsistent && lasting && !in_use && self.is_confirmed(now_ms, timing)
    }

    fn count_rechecks(&mut self, now_ms: u64, timing: &Timing) {
        let Some(settled_ms) = self.settled_ms else {
            return;
        };
        while timing
            .recheck_ms
            .get(self.rechecks)
            .is_some_and(|ms| now_ms >= settled_ms + ms)
        {
            self.rechecks += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timing = Timing::PLAIN_FILE;

    fn file(path: &str, content: u8) -> Observation {
        Observation {
            path: path.into(),
            fingerprint: [content; 32],
            consistent: true,
            empty: content == 0,
        }
    }

    fn settled(view: &View) -> Vec<&str> {
        view.settled.iter().map(String::as_str).collect()
    }

    #[test]
    fn two_equal_reads_settle_a_file_on_a_clean_volume() {
        let mut settler = Settler::new(T);
        let first = settler.observe(0, false, vec![file("a", 1)]);
        assert!(first.unsettled.contains("a") && first.settled.is_empty());
        assert_eq!(settler.next_read_ms(false), Some(500));
        assert_eq!(
            settled(&settler.observe(500, false, vec![file("a", 1)])),
            ["a"]
        );
        assert_eq!(
            settler.next_read_ms(false),
            None,
            "an idle volume costs no reads"
        );
    }

    #[test]
    fn two_reads_that_are_too_close_settle_nothing() {
        let mut settler = Settler::new(T);
        settler.observe(0, false, vec![file("a", 1)]);
        assert!(
            settler
                .observe(499, false, vec![file("a", 1)])
                .settled
                .is_empty()
        );
    }

    #[test]
    fn a_write_between_the_reads_starts_over() {
        let mut settler = Settler::new(T);
        settler.observe(0, false, vec![file("a", 1)]);
        settler.wrote();
        assert_eq!(settler.next_read_ms(false), None, "the quiet time decides");
        assert!(
            settler
                .observe(600, false, vec![file("a", 1)])
                .settled
                .is_empty()
        );
        assert_eq!(
            settled(&settler.observe(1_100, false, vec![file("a", 1)])),
            ["a"]
        );
    }

    #[test]
    fn a_change_after_settling_unsettles() {
        let mut settler = Settler::new(T);
        settler.observe(0, false, vec![file("a", 1)]);
        settler.observe(500, false, vec![file("a", 1)]);
        settler.wrote();
        let view = settler.observe(2_000, false, vec![file("a", 2)]);
        assert!(view.unsettled.contains("a") && view.settled.is_empty());
        assert_eq!(
            settled(&settler.observe(2_500, false, vec![file("a", 2)])),
            ["a"]
        );
    }

    #[test]
    fn a_write_elsewhere_leaves_a_settled_file_settled() {
        let mut settler = Settler::new(T);
        settler.observe(0, false, vec![file("a", 1)]);
        settler.observe(500, false, vec![file("a", 1)]);
        settler.wrote();
        let view = settler.observe(2_000, false, vec![file("a", 1), file("b", 1)]);
        assert_eq!(settled(&view), ["a"]);
        assert!(view.unsettled.contains("b"));
    }

    #[test]
    fn a_volume_in_use_takes_longer_and_an_empty_file_longest() {
        let mut settler = Settler::new(T);
        let both = || vec![file("empty", 0), file("full", 1)];
        settler.observe(0, true, both());
        assert!(settler.observe(500, true, both()).settled.is_empty());
        assert_eq!(settler.next_read_ms(true), Some(3_000));
        assert_eq!(settled(&settler.observe(3_000, true, both())), ["full"]);
        settler.observe(64_999, true, both());
        assert_eq!(
            settled(&settler.observe(65_000, true, both())),
            ["empty", "full"]
        );
    }

    #[test]
    fn an_accepted_file_on_a_volume_in_use_is_read_again_twice() {
        let mut settler = Settler::new(T);
        let one = || vec![file("a", 1)];
        settler.observe(0, true, one());
        settler.observe(3_000, true, one());
        assert_eq!(settler.next_read_ms(true), Some(11_000));
        settler.observe(11_000, true, one());
        assert_eq!(settler.next_read_ms(true), Some(43_000));
        settler.observe(43_000, true, one());
        assert_eq!(settler.next_read_ms(true), None);
    }

    #[test]
    fn absence_settles_by_the_same_rule() {
        let mut settler = Settler::new(T);
        settler.observe(0, false, vec![file("a", 1)]);
        settler.observe(500, false, vec![file("a", 1)]);
        settler.wrote();
        let view = settler.observe(2_000, false, vec![]);
        assert!(view.unsettled.contains("a"), "neither there nor gone");
        assert_eq!(settler.observe(2_500, false, vec![]), View::default());
    }

    fn broken(path: &str) -> Vec<Observation> {
        vec![Observation {
            consistent: false,
            ..file(path, 1)
        }]
    }

    #[test]
    fn a_file_that_stays_inconsistent_is_damaged_after_a_while() {
        let mut settler = Settler::new(T);
        settler.observe(0, false, broken("a"));
        assert!(
            settler
                .observe(500, false, broken("a"))
                .unsettled
                .contains("a")
        );
        assert_eq!(settler.next_read_ms(false), Some(T.damaged_ms));
        let view = settler.observe(T.damaged_ms, false, broken("a"));
        assert!(view.damaged.contains("a") && view.settled.is_empty());
        assert_eq!(
            settler.next_read_ms(false),
            None,
            "only a write can mend it"
        );
    }

    #[test]
    fn an_inconsistent_file_on_a_volume_in_use_is_not_called_damaged() {
        let mut settler = Settler::new(T);
        settler.observe(0, true, broken("a"));
        let view = settler.observe(1_000_000, true, broken("a"));
        assert!(view.unsettled.contains("a") && view.damaged.is_empty());
        assert_eq!(settler.next_read_ms(true), None);
    }

    #[test]
    fn two_files_of_one_name_settle_as_the_first() {
        let mut settler = Settler::new(T);
        let twice = || vec![file("a", 1), file("a", 2)];
        settler.observe(0, false, twice());
        assert_eq!(settled(&settler.observe(500, false, twice())), ["a"]);
        assert_eq!(settler.next_read_ms(false), None);
    }

    #[test]
    fn a_mended_file_settles() {
        let mut settler = Settler::new(T);
        settler.observe(0, false, broken("a"));
        settler.observe(T.damaged_ms, false, broken("a"));
        settler.wrote();
        settler.observe(70_000, false, vec![file("a", 1)]);
        assert_eq!(
            settled(&settler.observe(70_500, false, vec![file("a", 1)])),
            ["a"]
        );
    }
}
