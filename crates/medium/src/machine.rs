//! The state machine of the medium. Pure: events and the time go in, at most one action at a time
//! comes out of [`Machine::poll`], and [`Machine::deadline_ms`] says when to ask again.
//!
//! ```text
//! HOST ── written ──> quiet ── read, read again ──> view of what has settled
//!   ^                                                      │ wants the medium, nobody writes,
//!   │                                                      v the volume is not in use
//!   │ <── busy (retry) or in use (wait for a write) ──── TAKING
//!   └────────────── given back <── OURS <── taken ─────────┘
//! ```
//!
//! Invariants: no action while the medium is ours; never a reading or an attempt to take within
//! `quiet_ms` of a write; nothing scheduled when nothing can change (an idle stick sleeps).

use crate::{Observation, Settler, Timing, View};

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A host wrote to the image, or may have.
    Wrote,
    /// The reading that [`Action::Read`] asked for. `in_use`: the volume's dirty marks are set.
    Read {
        /// The volume's dirty marks are set.
        in_use: bool,
        /// The files that matter, complete or not.
        found: Vec<Observation>,
    },
    /// Whether there is something to publish.
    Wants(bool),
    /// The medium was taken; it stays ours until [`Event::Returned`].
    Taken,
    /// The attempt that [`Action::Take`] asked for failed.
    Refused(Refusal),
    /// The medium was given back to the host.
    Returned,
}

/// Why the medium could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A host holds it; nothing will tell when it lets go.
    Busy,
    /// The volume is marked as in use; clearing the mark will be seen as a write.
    InUse,
    /// It could not be taken or written; whoever runs the device may mend that.
    Failed,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the volume and report [`Event::Read`].
    Read,
    /// Try to take the medium once; report [`Event::Taken`] or [`Event::Refused`].
    Take,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Host,
    Ours,
}

/// Decides when to read and when to take.
#[derive(Debug)]
pub struct Machine {
    timing: Timing,
    settler: Settler,
    hold: Hold,
    /// The last write that no reading has followed.
    written_ms: Option<u64>,
    in_use: bool,
    wants: bool,
    attempts: u32,
    next_attempt_ms: u64,
}

impl Machine {
    /// A machine for a medium that may have been written until `now_ms`.
    #[must_use]
    pub fn new(timing: Timing, now_ms: u64) -> Self {
        Self {
            timing,
            settler: Settler::new(timing),
            hold: Hold::Host,
            written_ms: Some(now_ms),
            in_use: false,
            wants: false,
            attempts: 0,
            next_attempt_ms: now_ms,
        }
    }

    /// Takes note of an event. A reading is answered by what may be concluded from it.
    pub fn handle(&mut self, now_ms: u64, event: Event) -> Option<View> {
        match event {
            Event::Wrote => self.wrote(now_ms),
            Event::Read { in_use, found } => {
                self.written_ms = None;
                self.in_use = in_use;
                return Some(self.settler.observe(now_ms, in_use, found));
            }
            Event::Wants(wants) => {
                if wants && !self.wants {
                    self.attempts = 0;
                    self.next_attempt_ms = now_ms;
                }
                self.wants = wants;
            }
            Event::Taken => self.hold = Hold::Ours,
            Event::Refused(refusal) => self.refused(now_ms, refusal),
            Event::Returned => {
                self.hold = Hold::Host;
                self.attempts = 0;
                self.next_attempt_ms = now_ms + self.timing.retry_ms;
            }
        }
        None
    }

    /// What is due at `now_ms`. Ask again after each event and at [`Self::deadline_ms`].
    #[must_use]
    pub fn poll(&self, now_ms: u64) -> Option<Action> {
        let due = |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        if due(self.read_due_ms()) {
            Some(Action::Read)
        } else if due(self.take_due_ms()) {
            Some(Action::Take)
        } else {
            None
        }
    }

    /// When something will be due if nothing happens, or `None` for "never".
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        [self.read_due_ms(), self.take_due_ms()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The marks at the last reading said that a host has the volume mounted.
    #[must_use]
    pub fn in_use(&self) -> bool {
        self.in_use
    }

    fn wrote(&mut self, now_ms: u64) {
        self.written_ms = Some(now_ms);
        self.settler.wrote();
    }

    fn refused(&mut self, now_ms: u64, refusal: Refusal) {
        match refusal {
            Refusal::InUse => self.in_use = true,
            Refusal::Failed => self.next_attempt_ms = now_ms + self.timing.held_retry_ms,
            Refusal::Busy => {
                self.attempts = self.attempts.saturating_add(1);
                let patient = self.attempts >= self.timing.retries;
                let wait_ms = if patient {
                    self.timing.held_retry_ms
                } else {
                    self.timing.retry_ms
                };
                self.next_attempt_ms = now_ms + wait_ms;
            }
        }
    }

    fn read_due_ms(&self) -> Option<u64> {
        if self.hold == Hold::Ours {
            return None;
        }
        match self.written_ms {
            Some(written_ms) => Some(written_ms + self.timing.quiet_ms),
            None => self.settler.next_read_ms(self.in_use),
        }
    }

    fn take_due_ms(&self) -> Option<u64> {
        let possible =
            self.hold == Hold::Host && self.wants && !self.in_use && self.written_ms.is_none();
        possible.then_some(self.next_attempt_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timing = Timing::PLAIN_FILE;

    fn read(in_use: bool) -> Event {
        Event::Read {
            in_use,
            found: Vec::new(),
        }
    }

    /// Lets the time jump from deadline to deadline, as the daemon's loop does.
    fn run_until(machine: &Machine, now_ms: &mut u64) -> Option<Action> {
        *now_ms = machine.deadline_ms()?.max(*now_ms);
        machine.poll(*now_ms)
    }

    #[test]
    fn reads_once_the_host_is_quiet_and_then_sleeps() {
        let mut machine = Machine::new(T, 0);
        assert_eq!(machine.poll(499), None);
        machine.handle(300, Event::Wrote);
        assert_eq!(machine.deadline_ms(), Some(800));
        assert_eq!(machine.poll(800), Some(Action::Read));
        machine.handle(800, read(false));
        assert_eq!(machine.deadline_ms(), None);
    }

    #[test]
    fn a_host_that_never_stops_writing_is_never_read() {
        let mut machine = Machine::new(T, 0);
        for now_ms in (0..600_000).step_by(100) {
            machine.handle(now_ms, Event::Wrote);
            assert_eq!(machine.poll(now_ms), None);
        }
    }

    #[test]
    fn takes_only_when_wanted_and_quiet() {
        let mut machine = Machine::new(T, 0);
        machine.handle(0, Event::Wants(true));
        assert_eq!(machine.poll(499), None, "not yet read");
        machine.handle(500, read(false));
        assert_eq!(machine.poll(500), Some(Action::Take));
        machine.handle(501, Event::Wrote);
        assert_eq!(machine.poll(502), None);
        machine.handle(1_001, read(false));
        assert_eq!(machine.poll(1_001), Some(Action::Take));
        machine.handle(1_001, Event::Taken);
        machine.handle(1_002, Event::Wrote);
        assert_eq!(
            (machine.poll(9_999), machine.deadline_ms()),
            (None, None),
            "ours"
        );
    }

    #[test]
    fn a_busy_medium_is_retried_fast_and_then_slowly() {
        let mut machine = Machine::new(T, 0);
        machine.handle(500, read(false));
        machine.handle(500, Event::Wants(true));
        let mut now_ms = 500;
        for _ in 0..T.retries {
            assert_eq!(run_until(&machine, &mut now_ms), Some(Action::Take));
            machine.handle(now_ms, Event::Refused(Refusal::Busy));
        }
        let fast_ms = now_ms;
        assert!(fast_ms < 500 + 3_000);
        assert_eq!(run_until(&machine, &mut now_ms), Some(Action::Take));
        assert_eq!(now_ms, fast_ms + T.held_retry_ms);
    }

    #[test]
    fn a_volume_in_use_is_left_alone_until_it_is_written() {
        let mut machine = Machine::new(T, 0);
        machine.handle(500, read(false));
        machine.handle(500, Event::Wants(true));
        machine.handle(500, Event::Refused(Refusal::InUse));
        assert_eq!(machine.deadline_ms(), None, "no polling");
        machine.handle(9_000, Event::Wrote);
        machine.handle(9_500, read(false));
        assert_eq!(machine.poll(9_500), Some(Action::Take));
    }

    #[test]
    fn a_failure_is_tried_again_at_leisure() {
        let mut machine = Machine::new(T, 0);
        machine.handle(500, read(false));
        machine.handle(500, Event::Wants(true));
        machine.handle(500, Event::Refused(Refusal::Failed));
        assert_eq!(machine.deadline_ms(), Some(500 + T.held_retry_ms));
    }

    #[test]
    fn after_it_was_given_back_the_host_is_served_again() {
        let mut machine = Machine::new(T, 0);
        machine.handle(500, read(false));
        machine.handle(500, Event::Wants(true));
        machine.handle(500, Event::Taken);
        machine.handle(600, Event::Wants(false));
        machine.handle(600, Event::Returned);
        assert_eq!(machine.deadline_ms(), None);
        machine.handle(700, Event::Wrote);
        assert_eq!(machine.deadline_ms(), Some(1_200));
    }
}
