//! The state machine of the medium that the host writes. Pure: events and the time go in, at most
//! one action at a time comes out of [`Machine::poll`], and [`Machine::deadline_ms`] says when to
//! ask again.
//!
//! ```text
//!        written ──> quiet ── read, read again ──> view of what has settled
//!           ^                                            │ something to publish, quiet,
//!           │                                            v marks clear, bus configured
//! SHOWN ─> HOST <── busy: retry; in use: wait ──── take: polite eject
//!   ^        │ ejects ──> OUT ── something to publish ──┐      │ granted, marks still clear
//!   │        │ is gone ── unbind, repair, publish, bind │      v
//!   │        └────────────<──────────────────────       └──> OURS ── publish
//!   └── insert ─────────────────────── AWAY <── absent long enough ──┘
//! ```
//!
//! In SHOWN nobody has read the medium since it came back; when that lasts, the drive is bound
//! anew. So it is when the bus has been suspended for long while something waits: a host that has
//! powered the drive off looks like one that sleeps. A plain image has no drive to be absent from:
//! there, OURS leads back to HOST at once.
//!
//! Invariants: no action of the host's side while the medium is ours; never a reading or an
//! attempt to take within `quiet_ms` of a write; never an attempt while the volume is marked as in
//! use, unless the host has ejected it or is gone; nothing given to a host that sleeps, which would
//! not notice that the medium was away; no reading of our own while SHOWN, so that each one is the
//! host's; nothing scheduled when nothing can change (an idle stick sleeps).

mod event;
#[cfg(test)]
mod tests;

pub use event::{Action, Event, How, Refusal};

use crate::{Bus, Settler, Timing, View};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Host,
    Out { since_ms: u64 },
    Ours { how: How, since_ms: u64 },
    Away { insert_ms: u64, changed: bool },
    Shown { since_ms: u64 },
}

/// How often the time between failing attempts doubles: from 2 s to a minute, from 65 s to half an
/// hour.
const MAX_DOUBLINGS: u32 = 5;

/// Decides when to read, when to take, and when to put back.
#[derive(Debug)]
pub struct Machine {
    timing: Timing,
    settler: Settler,
    hold: Hold,
    bus: Bus,
    bus_since_ms: u64,
    /// The last write that no reading has followed.
    written_ms: Option<u64>,
    in_use: bool,
    /// An ejected medium goes back although there is nothing to show.
    must_return: bool,
    /// The newest answer that waits, and since when answers have been waiting.
    wants: Option<u64>,
    wanted_ms: u64,
    /// The newest answer that was shown elsewhere.
    shown: Option<u64>,
    attempts: u32,
    /// Attempts that failed since the last publication or write.
    failures: u32,
    next_attempt_ms: u64,
}

impl Machine {
    /// A machine for a medium that may have been written until `now_ms`. `bus`:
    /// [`Bus::Configured`] where there is none.
    #[must_use]
    pub fn new(timing: Timing, now_ms: u64, bus: Bus) -> Self {
        Self {
            timing,
            settler: Settler::new(timing),
            hold: Hold::Host,
            bus,
            bus_since_ms: now_ms,
            written_ms: Some(now_ms),
            in_use: false,
            must_return: false,
            wants: None,
            wanted_ms: now_ms,
            shown: None,
            attempts: 0,
            failures: 0,
            next_attempt_ms: now_ms,
        }
    }

    /// A machine for an empty drive that a host watches: the device that emptied it has been
    /// restarted since. The medium goes back when the drive has been empty for long enough.
    #[must_use]
    pub fn taken_over(timing: Timing, now_ms: u64, bus: Bus) -> Self {
        Self {
            hold: Hold::Away {
                insert_ms: now_ms + timing.absent_ms,
                changed: true,
            },
            ..Self::new(timing, now_ms, bus)
        }
    }

    /// An earlier daemon has shown the answers up to this one elsewhere.
    pub fn found_shown(&mut self, newest: Option<u64>) {
        self.shown = self.shown.max(newest);
    }

    /// The host sleeps, and something is to be done when it wakes; not every controller tells.
    #[must_use]
    pub fn awaits_waking(&self) -> bool {
        let is_pending = self.wants.is_some() || matches!(self.hold, Hold::Away { .. });
        self.bus == Bus::Suspended && is_pending
    }

    /// Takes note of an event. A reading is answered by what may be concluded from it.
    pub fn handle(&mut self, now_ms: u64, event: Event) -> Option<View> {
        match event {
            Event::Wrote => self.wrote(now_ms),
            Event::Looked => self.looked(),
            Event::Read { in_use, found } => {
                self.written_ms = None;
                self.in_use = in_use;
                return Some(self.settler.observe(now_ms, in_use, found));
            }
            Event::Wants(newest) => self.wants(now_ms, newest),
            Event::Taken(how) => self.taken(now_ms, how),
            Event::Refused(refusal) => self.refused(now_ms, refusal),
            Event::Returned { changed } => self.returned(now_ms, changed),
            Event::Inserted => self.inserted(now_ms),
            Event::Rebound { connected } => self.rebound(now_ms, connected),
            Event::Showing => self.shown = self.wants,
            Event::Failed => self.failed(now_ms),
            Event::Ejected => self.ejected(now_ms),
            Event::Bus(bus) => self.bus(now_ms, bus),
        }
        None
    }

    /// What is due at `now_ms`. Ask again after each event and at [`Self::deadline_ms`].
    #[must_use]
    pub fn poll(&self, now_ms: u64) -> Option<Action> {
        let due = self.agenda().into_iter().flatten();
        due.filter(|(at_ms, _)| *at_ms <= now_ms)
            .map(|(_, action)| action)
            .next()
    }

    /// When something will be due if nothing happens, or `None` for "never".
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        let due = self.agenda().into_iter().flatten();
        due.map(|(at_ms, _)| at_ms).min()
    }

    /// The marks at the last reading said that a host has the volume mounted.
    #[must_use]
    pub fn in_use(&self) -> bool {
        self.in_use
    }

    /// Nobody but the device can write now: what a reading shows is what there is.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        !matches!(self.hold, Hold::Host | Hold::Shown { .. })
    }

    /// The host has ejected the medium, and it is still out.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        matches!(self.hold, Hold::Out { .. })
    }

    /// An answer waits, and the host keeps the medium.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.wants.is_some() && self.hold == Hold::Host
    }

    /// The medium is in the drive, and nobody is known to have looked at it.
    #[must_use]
    pub fn watches_for_reads(&self) -> bool {
        matches!(self.hold, Hold::Shown { .. })
    }

    /// What is to be done when, the most important first.
    fn agenda(&self) -> [Option<(u64, Action)>; 5] {
        let at = |at_ms: Option<u64>, action| at_ms.map(|at_ms| (at_ms, action));
        [
            at(self.insert_due_ms(), Action::Insert),
            at(self.read_due_ms(), Action::Read),
            at(self.rebind_due_ms(), Action::Rebind),
            self.take_due(),
            at(self.show_due_ms(), Action::Show),
        ]
    }

    fn wrote(&mut self, now_ms: u64) {
        self.looked();
        if self.written_ms.is_none() {
            // Whatever was refused for what lay on the volume may be granted now.
            self.next_attempt_ms = self.next_attempt_ms.min(now_ms + self.timing.held_retry_ms);
        }
        self.failures = 0;
        self.written_ms = Some(now_ms);
        self.settler.wrote();
    }

    fn looked(&mut self) {
        if let Hold::Shown { .. } = self.hold {
            self.hold = Hold::Host;
        }
    }

    fn wants(&mut self, now_ms: u64, newest: Option<u64>) {
        if newest.is_some() && self.wants.is_none() {
            self.attempts = 0;
            self.next_attempt_ms = now_ms;
            self.wanted_ms = now_ms;
        }
        self.wants = newest;
    }

    fn taken(&mut self, now_ms: u64, how: How) {
        let since_ms = match self.hold {
            Hold::Out { since_ms } => since_ms,
            _ => now_ms,
        };
        self.hold = Hold::Ours { how, since_ms };
    }

    fn refused(&mut self, now_ms: u64, refusal: Refusal) {
        if matches!(self.hold, Hold::Out { .. }) && self.gone_ms().is_some() {
            // With nobody to ask, an attempt ends with the medium in the drive.
            self.hold = Hold::Host;
        }
        let wait_ms = match refusal {
            Refusal::InUse => {
                self.in_use = true;
                return;
            }
            Refusal::Inconsistent => self.backed_off(self.timing.damaged_ms),
            Refusal::Failed => self.backed_off(self.timing.held_retry_ms),
            Refusal::Busy => {
                self.attempts = self.attempts.saturating_add(1);
                if self.attempts >= self.timing.retries {
                    self.timing.held_retry_ms
                } else {
                    self.timing.retry_ms
                }
            }
        };
        self.next_attempt_ms = now_ms + wait_ms;
    }

    /// What fails for long is tried less and less often: each attempt may take the medium from
    /// under a host's eyes.
    fn backed_off(&mut self, wait_ms: u64) -> u64 {
        let doublings = self.failures.min(MAX_DOUBLINGS);
        self.failures = self.failures.saturating_add(1);
        wait_ms << doublings
    }

    fn returned(&mut self, now_ms: u64, changed: bool) {
        let Hold::Ours { how, since_ms } = self.hold else {
            return;
        };
        self.attempts = 0;
        if changed {
            self.failures = 0;
        }
        self.next_attempt_ms = now_ms + self.timing.retry_ms;
        self.wanted_ms = now_ms;
        // The device wrote: what the marks say now is for a reading to tell.
        self.in_use = false;
        self.hold = match how {
            _ if self.timing.absent_ms == 0 => Hold::Host,
            How::Alone | How::Asleep => {
                self.must_return = false;
                Hold::Host
            }
            How::Ejected if !changed && !self.must_return => Hold::Out { since_ms },
            How::Asked | How::Ejected if !changed => Hold::Away {
                insert_ms: now_ms,
                changed,
            },
            How::Asked | How::Ejected => Hold::Away {
                // A moment for the echo of our own writes, which look like a host's.
                insert_ms: (now_ms + self.timing.retry_ms).max(since_ms + self.timing.absent_ms),
                changed,
            },
        };
    }

    fn inserted(&mut self, now_ms: u64) {
        self.must_return = false;
        let Hold::Away { changed, .. } = self.hold else {
            return;
        };
        self.hold = if changed && self.bus == Bus::Configured {
            Hold::Shown { since_ms: now_ms }
        } else {
            Hold::Host
        };
    }

    fn rebound(&mut self, now_ms: u64, connected: bool) {
        self.looked();
        if connected && matches!(self.hold, Hold::Away { .. }) {
            self.must_return = false;
            self.hold = Hold::Host;
        }
        self.bus_since_ms = now_ms;
    }

    fn failed(&mut self, now_ms: u64) {
        let later_ms = now_ms + self.timing.held_retry_ms;
        match &mut self.hold {
            Hold::Away { insert_ms, .. } => *insert_ms = later_ms,
            Hold::Shown { since_ms } => *since_ms = now_ms,
            _ => self.next_attempt_ms = later_ms,
        }
    }

    fn ejected(&mut self, now_ms: u64) {
        if self.is_ours() {
            return;
        }
        self.hold = Hold::Out { since_ms: now_ms };
        self.next_attempt_ms = now_ms;
        // Nobody can write any more, so there is no quiet to wait for.
        self.written_ms = Some(now_ms.saturating_sub(self.timing.quiet_ms));
        self.settler.wrote();
    }

    fn bus(&mut self, now_ms: u64, bus: Bus) {
        if bus == self.bus {
            return;
        }
        let was_there = matches!(self.bus, Bus::Configured | Bus::Suspended);
        let is_there = matches!(bus, Bus::Configured | Bus::Suspended);
        self.bus = bus;
        self.bus_since_ms = now_ms;
        if !is_there {
            // The next host has seen nothing yet.
            self.shown = None;
        }
        match &mut self.hold {
            // Whoever comes next reads it anew.
            Hold::Shown { .. } if matches!(bus, Bus::Detached | Bus::Enumerating) => {
                self.hold = Hold::Host;
            }
            // Another host, which has ejected nothing.
            Hold::Out { .. } if !was_there && is_there => self.must_return = true,
            // A host that slept could not look.
            Hold::Shown { since_ms } => *since_ms = now_ms,
            // It has to miss the medium while it is awake.
            Hold::Away { insert_ms, changed } if *changed => {
                *insert_ms = (*insert_ms).max(now_ms + self.timing.absent_ms);
            }
            _ => {}
        }
        if bus == Bus::Configured {
            self.attempts = 0;
            self.wanted_ms = now_ms;
        }
    }

    /// From when on the host counts as gone, if it does. One that has not chosen the configuration
    /// cannot reach the medium either, and some controllers stay so when the cable is pulled.
    fn gone_ms(&self) -> Option<u64> {
        let absent = matches!(self.bus, Bus::Detached | Bus::Enumerating);
        absent.then_some(self.bus_since_ms + self.timing.detached_ms)
    }

    /// From when on a host that sleeps may have the drive taken away and connected anew, counted
    /// from `since_ms` on.
    fn asleep_due_ms(&self, since_ms: u64) -> Option<u64> {
        let is_asleep = self.bus == Bus::Suspended;
        is_asleep.then(|| {
            let since_ms = since_ms.max(self.bus_since_ms);
            since_ms.saturating_add(self.timing.asleep_ms)
        })
    }

    fn insert_due_ms(&self) -> Option<u64> {
        match self.hold {
            Hold::Away { insert_ms, .. } => match self.bus {
                Bus::Configured => Some(insert_ms),
                Bus::Detached => Some(self.bus_since_ms.min(insert_ms)),
                // A host that resets the drive has forgotten nothing: it still has to miss it.
                Bus::Enumerating => {
                    Some(insert_ms.max(self.bus_since_ms + self.timing.detached_ms))
                }
                Bus::Suspended => None,
            },
            _ => None,
        }
    }

    fn read_due_ms(&self) -> Option<u64> {
        if !matches!(self.hold, Hold::Host | Hold::Out { .. }) {
            return None;
        }
        match self.written_ms {
            Some(written_ms) => Some(written_ms + self.timing.quiet_ms),
            None => self.settler.next_read_ms(self.in_use),
        }
    }

    fn rebind_due_ms(&self) -> Option<u64> {
        match self.hold {
            Hold::Shown { since_ms } if self.bus == Bus::Configured => {
                Some(since_ms + self.timing.unseen_ms)
            }
            Hold::Shown { since_ms } => self.asleep_due_ms(since_ms),
            Hold::Away { insert_ms, .. } => self.asleep_due_ms(insert_ms),
            _ => None,
        }
    }

    fn take_due(&self) -> Option<(u64, Action)> {
        if self.written_ms.is_some() {
            return None;
        }
        let wants = self.wants.is_some();
        let due = |at_ms: u64, how| Some((at_ms.max(self.next_attempt_ms), Action::Take(how)));
        match (self.hold, self.gone_ms()) {
            (Hold::Host, Some(gone_ms)) if wants || self.in_use => due(gone_ms, How::Alone),
            // The next host shall find a medium.
            (Hold::Out { .. }, Some(gone_ms)) => due(gone_ms, How::Alone),
            (Hold::Out { .. }, None) if wants || self.must_return => {
                due(self.next_attempt_ms, How::Ejected)
            }
            (Hold::Host, None) if wants && !self.in_use && self.bus == Bus::Configured => {
                due(self.next_attempt_ms, How::Asked)
            }
            (Hold::Host, None) if wants && !self.in_use => {
                let asleep_ms = self.asleep_due_ms(self.wanted_ms)?;
                due(asleep_ms, How::Asleep)
            }
            _ => None,
        }
    }

    fn show_due_ms(&self) -> Option<u64> {
        let is_news = self.wants.is_some() && self.wants > self.shown;
        // An ejected volume that cannot be written keeps answers back as well as a host does.
        let is_kept = matches!(self.hold, Hold::Host | Hold::Out { .. });
        let possible = is_news && is_kept && self.bus == Bus::Configured;
        possible
            .then(|| self.wanted_ms.checked_add(self.timing.show_ms))
            .flatten()
    }
}
