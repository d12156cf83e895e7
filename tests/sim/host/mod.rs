//! Computers that a stick is plugged into, each with its user.
//!
//! A host has its own cache (`labhost`'s model, `fatfs` for the logic) and its own order and time of
//! writes; its user does things at times drawn at random. It reports what may be relied on
//! ([`Belief`]), what the device did to it that it must not ([`Violation`]), and what was read of
//! responses ([`Reading`]). Used by the runner.

mod belief;
mod kind;

use std::cell::RefCell;
use std::rc::Rc;

use volume::testing::Random;

use super::usb::Usb;

pub use belief::{Belief, Content, FileBelief};
pub use kind::{KINDS, Kind};

/// What the device did to a host that it must never do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The medium left while the host held it, by PREVENT or by its marks, without the host's doing.
    TakenWhileHeld { at_ms: u64, has_unsent: bool },
    /// A file of a read-only medium was not what the same name has shown since the mount.
    AnswerChanged {
        at_ms: u64,
        lun: usize,
        path: String,
    },
    /// A medium that was put in could not be mounted.
    NotMountable {
        at_ms: u64,
        lun: usize,
        reason: String,
    },
}

/// A file that a user has read.
#[derive(Clone, Debug)]
pub struct Reading {
    pub at_ms: u64,
    pub lun: usize,
    pub path: String,
    pub content: Vec<u8>,
}

/// What happened, a line for each; collected only if asked for.
#[derive(Clone, Default)]
pub struct Log(Option<Rc<RefCell<Vec<String>>>>);

impl Log {
    /// One that collects.
    pub fn collecting() -> Self {
        Self(Some(Rc::default()))
    }

    /// Adds a line.
    pub fn note(&self, at_ms: u64, line: impl FnOnce() -> String) {
        if let Some(lines) = &self.0 {
            let line = format!("{:>9.3} s  {}", at_ms as f64 / 1000.0, line());
            lines.borrow_mut().push(line);
        }
    }

    /// What was collected.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.0.as_ref();
        lines
            .map(|lines| lines.borrow().clone())
            .unwrap_or_default()
    }
}

/// A host with its user.
pub struct Host {
    kind: Kind,
    random: Random,
    usb: Usb,
    log: Log,
    now_ms: u64,
    belief: Belief,
    violations: Vec<Violation>,
    readings: Vec<Reading>,
}

impl Host {
    /// A host that is plugged in at `now_ms`. `belief` is what earlier hosts left
    /// ([`Host::into_belief`]).
    pub fn new(
        kind: Kind,
        random: Random,
        usb: Usb,
        belief: Belief,
        now_ms: u64,
        log: Log,
    ) -> Self {
        Self {
            kind,
            random,
            usb,
            log,
            now_ms,
            belief,
            violations: Vec::new(),
            readings: Vec::new(),
        }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// When it acts next by itself, ms.
    pub fn next_ms(&self) -> Option<u64> {
        None
    }

    /// Does what is due.
    pub fn step(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    pub fn belief(&self) -> &Belief {
        &self.belief
    }

    /// Ends the host, as its plug is pulled; what may be relied on from then.
    pub fn into_belief(self) -> Belief {
        self.usb.detach();
        self.belief
    }

    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// What was read of responses since the last call.
    pub fn take_readings(&mut self) -> Vec<Reading> {
        std::mem::take(&mut self.readings)
    }

    /// The user finishes what is begun, then unmounts or ejects; nothing is mounted again.
    pub fn let_go(&mut self, _now_ms: u64) {}

    /// Whether the user has nothing more to do, or has let go, or pulled the plug.
    pub fn is_done(&self) -> bool {
        true
    }
}
