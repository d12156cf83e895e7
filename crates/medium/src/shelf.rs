//! The state machine of the read-only drives: one shows the answers, the others are spares for
//! when a viewer on the host keeps the first. Pure, as [`crate::Machine`] is.
//!
//! The device alone writes these media, so swapping one can lose nothing; but a host that caches
//! what it saw may show a mixture when a medium changes under a program that has a file of it open.
//! So: the host is asked first, the drive stays empty long enough to be noticed, a spare takes
//! over when the host keeps the medium, and force is used only where the operator allowed it.
//!
//! Invariants: no medium enters a drive that has not been empty for `absent_ms`; nothing is done
//! unless there is news to show, or no host; nothing is scheduled when nothing can change.

use crate::{Bus, Timing};

/// What happened. `usize`: which drive, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShelfEvent {
    /// There is something to show that no medium in a drive has.
    News,
    /// There is nothing to show any more.
    Stale,
    /// [`ShelfAction::Insert`] was carried out: the drive shows everything there is.
    Inserted(usize),
    /// The device has taken the medium out.
    Left(usize),
    /// The host keeps the medium.
    Kept(usize),
    /// An insertion or ejection failed.
    Failed(usize),
    /// The host ejected the medium: it has been seen.
    Ejected(usize),
    /// The state of the connection.
    Bus(Bus),
}

/// What to do now. `usize`: which drive, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShelfAction {
    /// Put the newest state into the empty drive.
    Insert(usize),
    /// Ask the host for the medium once; report [`ShelfEvent::Left`] or [`ShelfEvent::Kept`].
    Eject(usize),
    /// Take the medium whatever the host says; report [`ShelfEvent::Left`].
    Force(usize),
}

#[derive(Clone, Copy, Debug)]
enum Drive {
    /// `None`: it was never filled since the host came.
    Empty { since_ms: Option<u64> },
    Filled {
        since_ms: u64,
        attempts: u32,
        next_attempt_ms: u64,
    },
}

/// Decides when which drive shows what.
#[derive(Debug)]
pub struct Shelf {
    timing: Timing,
    /// From when on a kept medium may be forced out, counted from the news.
    force_ms: Option<u64>,
    drives: Vec<Drive>,
    bus: Bus,
    bus_since_ms: u64,
    news_ms: Option<u64>,
    failed_until_ms: u64,
}

impl Shelf {
    /// Drives that are all empty. `force_ms`: how long news wait before the medium that has been
    /// shown longest is forced out; `None` for never.
    #[must_use]
    pub fn new(
        timing: Timing,
        now_ms: u64,
        drives: usize,
        bus: Bus,
        force_ms: Option<u64>,
    ) -> Self {
        Self {
            timing,
            force_ms,
            drives: vec![Drive::Empty { since_ms: None }; drives],
            bus,
            bus_since_ms: now_ms,
            news_ms: None,
            failed_until_ms: now_ms,
        }
    }

    /// Takes note of an event.
    pub fn handle(&mut self, now_ms: u64, event: ShelfEvent) {
        let empty = Drive::Empty {
            since_ms: Some(now_ms),
        };
        match event {
            ShelfEvent::News => self.news(now_ms),
            ShelfEvent::Stale => self.news_ms = None,
            ShelfEvent::Inserted(at) => {
                self.news_ms = None;
                let filled = Drive::Filled {
                    since_ms: now_ms,
                    attempts: 0,
                    next_attempt_ms: now_ms,
                };
                self.set(at, filled);
            }
            ShelfEvent::Left(at) | ShelfEvent::Ejected(at) => self.set(at, empty),
            ShelfEvent::Kept(at) => self.kept(now_ms, at),
            ShelfEvent::Failed(_) => self.failed_until_ms = now_ms + self.timing.held_retry_ms,
            ShelfEvent::Bus(bus) => {
                if bus != self.bus {
                    self.bus = bus;
                    self.bus_since_ms = now_ms;
                }
            }
        }
    }

    /// What is due at `now_ms`.
    #[must_use]
    pub fn poll(&self, now_ms: u64) -> Option<ShelfAction> {
        self.next()
            .filter(|(at_ms, _)| *at_ms <= now_ms)
            .map(|(_, action)| action)
    }

    /// When something will be due if nothing happens, or `None` for "never".
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        self.next().map(|(at_ms, _)| at_ms)
    }

    /// Which drives have a medium in them, as far as is known.
    pub fn filled(&self) -> impl Iterator<Item = usize> {
        let drives = self.drives.iter().enumerate();
        drives.filter_map(|(at, drive)| matches!(drive, Drive::Filled { .. }).then_some(at))
    }

    /// A medium was found in the drive when the device took over a running gadget.
    pub fn found(&mut self, now_ms: u64, at: usize) {
        let news_ms = self.news_ms;
        self.handle(now_ms, ShelfEvent::Inserted(at));
        self.news_ms = news_ms;
    }

    fn set(&mut self, at: usize, drive: Drive) {
        if let Some(slot) = self.drives.get_mut(at) {
            *slot = drive;
        }
    }

    fn news(&mut self, now_ms: u64) {
        if self.news_ms.is_none() {
            self.news_ms = Some(now_ms);
        }
        for drive in &mut self.drives {
            if let Drive::Filled {
                attempts,
                next_attempt_ms,
                ..
            } = drive
            {
                *attempts = 0;
                *next_attempt_ms = now_ms;
            }
        }
    }

    fn kept(&mut self, now_ms: u64, at: usize) {
        let timing = self.timing;
        if let Some(Drive::Filled {
            attempts,
            next_attempt_ms,
            ..
        }) = self.drives.get_mut(at)
        {
            *attempts = attempts.saturating_add(1);
            let pinned = *attempts >= timing.retries;
            *next_attempt_ms = now_ms
                + if pinned {
                    timing.held_retry_ms
                } else {
                    timing.retry_ms
                };
        }
    }

    fn next(&self) -> Option<(u64, ShelfAction)> {
        let (at_ms, action) = match self.bus {
            Bus::Detached | Bus::Enumerating => self.next_without_host()?,
            Bus::Configured => self.next_with_news(self.news_ms?)?,
            Bus::Suspended => return None,
        };
        Some((at_ms.max(self.failed_until_ms), action))
    }

    /// Without a host the drives are emptied: the next one finds them so.
    fn next_without_host(&self) -> Option<(u64, ShelfAction)> {
        let at = self.filled().next()?;
        let gone_ms = self.bus_since_ms + self.timing.detached_ms;
        Some((gone_ms, ShelfAction::Eject(at)))
    }

    /// The first drive that can be had, in order; a drive that is pinned passes the turn on.
    fn next_with_news(&self, news_ms: u64) -> Option<(u64, ShelfAction)> {
        for (at, drive) in self.drives.iter().enumerate() {
            match *drive {
                Drive::Empty { since_ms } => {
                    let absent_until = since_ms.map(|ms| ms + self.timing.absent_ms);
                    let at_ms = absent_until.unwrap_or(news_ms).max(news_ms);
                    return Some((at_ms, ShelfAction::Insert(at)));
                }
                Drive::Filled {
                    attempts,
                    next_attempt_ms,
                    ..
                } if attempts < self.timing.retries => {
                    return Some((next_attempt_ms, ShelfAction::Eject(at)));
                }
                Drive::Filled { .. } => {}
            }
        }
        self.next_when_all_are_kept(news_ms)
    }

    fn next_when_all_are_kept(&self, news_ms: u64) -> Option<(u64, ShelfAction)> {
        let filled = self.drives.iter().enumerate();
        let filled = filled.filter_map(|(at, drive)| match *drive {
            Drive::Filled {
                since_ms,
                next_attempt_ms,
                ..
            } => Some((at, since_ms, next_attempt_ms)),
            Drive::Empty { .. } => None,
        });
        let asked = filled
            .clone()
            .map(|(at, _, next_ms)| (next_ms, ShelfAction::Eject(at)))
            .min_by_key(|(next_ms, _)| *next_ms);
        let oldest = filled.min_by_key(|(_, since_ms, _)| *since_ms);
        let forced = self
            .force_ms
            .zip(oldest)
            .map(|(force_ms, (at, ..))| (news_ms + force_ms, ShelfAction::Force(at)));
        match (asked, forced) {
            (Some(asked), Some(forced)) if forced.0 <= asked.0 => Some(forced),
            (Some(asked), _) => Some(asked),
            (None, forced) => forced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timing = Timing::GADGET;

    fn shelf() -> Shelf {
        Shelf::new(T, 0, 2, Bus::Configured, None)
    }

    /// Goes from deadline to deadline; the host lets a drive go when `lets_go` says so.
    fn run(
        shelf: &mut Shelf,
        now_ms: &mut u64,
        until_ms: u64,
        lets_go: &[bool],
    ) -> Vec<(u64, ShelfAction)> {
        let mut done = Vec::new();
        while let Some(due_ms) = shelf.deadline_ms().filter(|due_ms| *due_ms <= until_ms) {
            *now_ms = due_ms.max(*now_ms);
            let action = shelf.poll(*now_ms).unwrap();
            let event = match action {
                ShelfAction::Insert(at) => ShelfEvent::Inserted(at),
                ShelfAction::Eject(at) if lets_go[at] => ShelfEvent::Left(at),
                ShelfAction::Eject(at) => ShelfEvent::Kept(at),
                ShelfAction::Force(at) => ShelfEvent::Left(at),
            };
            shelf.handle(*now_ms, event);
            done.push((*now_ms, action));
        }
        *now_ms = until_ms;
        done
    }

    #[test]
    fn is_empty_until_there_are_news_and_rests_afterwards() {
        let mut shelf = shelf();
        assert_eq!(shelf.deadline_ms(), None);
        shelf.handle(1_000, ShelfEvent::News);
        let done = run(&mut shelf, &mut 1_000, 60_000, &[false, false]);
        assert_eq!(done, [(1_000, ShelfAction::Insert(0))]);
        assert_eq!(shelf.deadline_ms(), None);
    }

    #[test]
    fn a_medium_that_the_host_lets_go_is_swapped_with_a_gap() {
        let mut shelf = shelf();
        shelf.handle(0, ShelfEvent::News);
        run(&mut shelf, &mut 0, 100, &[true, true]);
        shelf.handle(10_000, ShelfEvent::News);
        let done = run(&mut shelf, &mut 10_000, 60_000, &[true, true]);
        let back_ms = 10_000 + T.absent_ms;
        assert_eq!(
            done,
            [
                (10_000, ShelfAction::Eject(0)),
                (back_ms, ShelfAction::Insert(0))
            ]
        );
    }

    #[test]
    fn a_spare_takes_over_when_the_host_keeps_the_first() {
        let mut shelf = shelf();
        shelf.handle(0, ShelfEvent::News);
        run(&mut shelf, &mut 0, 100, &[false, false]);
        shelf.handle(10_000, ShelfEvent::News);
        let done = run(&mut shelf, &mut 10_000, 60_000, &[false, false]);
        let (last, asked) = done.split_last().unwrap();
        assert_eq!(asked.len(), usize::try_from(T.retries).unwrap());
        assert!(
            asked
                .iter()
                .all(|(_, action)| *action == ShelfAction::Eject(0))
        );
        assert_eq!(last.1, ShelfAction::Insert(1));
        assert!(last.0 <= 10_000 + 3_000, "shown within 3 s: {}", last.0);
    }

    #[test]
    fn when_all_are_kept_each_is_asked_slowly_and_none_is_forced() {
        let mut shelf = shelf();
        let mut now_ms = 0;
        for news_ms in [0, 10_000, 20_000] {
            shelf.handle(news_ms, ShelfEvent::News);
            run(&mut shelf, &mut now_ms, news_ms + 9_000, &[false, false]);
        }
        let done = run(&mut shelf, &mut now_ms, 60_000, &[false, false]);
        assert!(done.len() <= 2 * 31_000 / 2_000 + 2, "{}", done.len());
        for at in [0, 1] {
            assert!(
                done.iter()
                    .any(|(_, action)| *action == ShelfAction::Eject(at))
            );
        }
        assert!(
            done.iter()
                .all(|(_, action)| matches!(action, ShelfAction::Eject(_)))
        );
    }

    #[test]
    fn force_takes_the_oldest_and_only_where_it_is_allowed() {
        let mut shelf = Shelf::new(T, 0, 2, Bus::Configured, Some(30_000));
        let mut now_ms = 0;
        for news_ms in [0, 10_000, 20_000] {
            shelf.handle(news_ms, ShelfEvent::News);
            run(&mut shelf, &mut now_ms, news_ms + 9_000, &[false, false]);
        }
        let done = run(&mut shelf, &mut now_ms, 60_000, &[false, false]);
        let forced: Vec<_> = done
            .iter()
            .filter(|(_, action)| matches!(action, ShelfAction::Force(_)))
            .collect();
        assert_eq!(forced, [&(50_000, ShelfAction::Force(0))]);
        assert_eq!(
            done.last(),
            Some(&(50_000 + T.absent_ms, ShelfAction::Insert(0)))
        );
    }

    #[test]
    fn what_the_host_ejected_stays_out_until_there_are_news() {
        let mut shelf = shelf();
        shelf.handle(0, ShelfEvent::News);
        run(&mut shelf, &mut 0, 100, &[true, true]);
        shelf.handle(5_000, ShelfEvent::Ejected(0));
        assert_eq!(shelf.deadline_ms(), None);
        shelf.handle(6_000, ShelfEvent::News);
        assert_eq!(shelf.deadline_ms(), Some(5_000 + T.absent_ms));
    }

    #[test]
    fn a_host_that_sleeps_or_is_gone_is_shown_nothing() {
        let mut shelf = shelf();
        shelf.handle(0, ShelfEvent::News);
        run(&mut shelf, &mut 0, 100, &[true, true]);
        shelf.handle(200, ShelfEvent::Bus(Bus::Suspended));
        shelf.handle(300, ShelfEvent::News);
        assert_eq!(shelf.deadline_ms(), None);
        shelf.handle(400, ShelfEvent::Bus(Bus::Detached));
        let done = run(&mut shelf, &mut 400, 60_000, &[true, true]);
        assert_eq!(done, [(400 + T.detached_ms, ShelfAction::Eject(0))]);
        shelf.handle(70_000, ShelfEvent::Bus(Bus::Configured));
        assert_eq!(shelf.poll(70_000), Some(ShelfAction::Insert(0)));
    }

    #[test]
    fn a_failure_is_tried_again_later() {
        let mut shelf = shelf();
        shelf.handle(0, ShelfEvent::News);
        shelf.handle(0, ShelfEvent::Failed(0));
        assert_eq!(shelf.deadline_ms(), Some(T.held_retry_ms));
    }
}
