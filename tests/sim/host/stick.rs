//! LUN 0 as a host has it: its cache, what it holds, and how it mounts and loses a medium.
//! `carry` does to it what plans say.

use std::collections::BTreeMap;

use labhost::Failure;
use labhost::model::{Part, Volume};

use super::belief::Content;
use super::step::{Lane, Step};
use super::{Host, Kind, Violation, clock};
use crate::usb::{Port, Sense};

/// The unit and what is on its way to it.
pub struct Stick {
    pub port: Port,
    /// As of the last poll.
    pub is_present: bool,
    pub volume: Option<Volume<Port>>,
    /// The medium that is mounted, as the cable counts them.
    insertion: u64,
    pub is_prevented: bool,
    /// The marks are this host's.
    pub is_marked: bool,
    /// Somebody else's marks were there at the mount: they stay.
    was_marked: bool,
    /// Content that the user has written and the host keeps.
    pub kept: BTreeMap<String, Content>,
    /// What the user waits for.
    pub job: Lane,
    /// What comes by itself, later.
    pub background: Lane,
    pub poll_ms: u64,
    pub mount_ms: Option<u64>,
}

impl Stick {
    pub fn new(port: Port, now_ms: u64) -> Self {
        Self {
            port,
            is_present: false,
            volume: None,
            insertion: 0,
            is_prevented: false,
            is_marked: false,
            was_marked: false,
            kept: BTreeMap::new(),
            job: Lane::default(),
            background: Lane::default(),
            poll_ms: now_ms,
            mount_ms: None,
        }
    }

    /// Whether the device must leave the medium alone.
    pub fn holds(&self) -> bool {
        self.is_prevented || self.is_marked
    }

    pub fn has_unsent(&self) -> bool {
        let volume = self.volume.as_ref();
        !self.kept.is_empty() || volume.is_some_and(|volume| !volume.dirty(Part::All).is_empty())
    }

    pub fn forget(&mut self) {
        *self = Self::new(self.port.clone(), self.poll_ms);
    }
}

impl Host {
    /// The medium is gone, and what was on its way with it.
    pub(super) fn lose_medium(&mut self, why: &str) {
        self.note(|| format!("LUN 0: {why}; the host forgets it"));
        self.belief.cut_off();
        self.stick.forget();
    }

    /// The medium left, or was replaced, and the host had said that it needs it.
    pub(super) fn check_held(&mut self) {
        let usb = &self.usb;
        let is_same = usb.is_inserted(0) && usb.insertions(0) == self.stick.insertion;
        if self.stick.volume.is_some() && self.stick.holds() && !is_same {
            self.complain_of_taking();
            self.lose_medium("taken while it was held");
        }
    }

    pub(super) fn complain_of_taking(&mut self) {
        let at_ms = self.now_ms;
        let has_unsent = self.stick.has_unsent();
        self.violations
            .push(Violation::TakenWhileHeld { at_ms, has_unsent });
    }

    /// Mounts what is in the drive.
    pub(super) fn mount(&mut self) {
        match self.try_mount() {
            Ok(()) => {
                self.note(|| "LUN 0: mounted".into());
                self.stick.job.push(self.now_ms, vec![(20, Step::Look)]);
            }
            Err(failure) => match sense(&failure) {
                Some(_) => {
                    // Its first write may have failed with the lock taken.
                    if std::mem::take(&mut self.stick.is_prevented) {
                        let _ = self.stick.port.prevent(false);
                    }
                    self.lose_medium("it could not be mounted");
                }
                None => {
                    let (at_ms, reason) = (self.now_ms, failure.to_string());
                    self.violations.push(Violation::NotMountable {
                        at_ms,
                        lun: 0,
                        reason,
                    });
                }
            },
        }
    }

    fn try_mount(&mut self) -> Result<(), Failure> {
        clock::set(self.now_ms);
        let stick = &mut self.stick;
        let mut volume = Volume::open(&stick.port)?;
        volume.set_clock(&clock::CLOCK);
        stick.was_marked = match self.kind.marks() {
            Some(marks) => volume.is_marked(marks)?,
            None => false,
        };
        stick.insertion = self.usb.insertions(0);
        stick.volume = Some(volume);
        if !self.kind.holds_while_dirty() {
            self.begin()?;
        }
        Ok(())
    }

    /// Takes the lock and sets the marks.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        if !self.stick.is_prevented {
            self.stick.port.prevent(true)?;
            self.stick.is_prevented = true;
        }
        let stick = &mut self.stick;
        if let (Some(marks), Some(volume)) = (self.kind.marks(), &mut stick.volume)
            && !stick.is_marked
            && !stick.was_marked
        {
            volume.mark(marks, true)?;
            stick.is_marked = true;
        }
        Ok(())
    }

    /// What comes by itself after a user's work.
    pub(super) fn plan_background(&mut self) {
        let holds = self.kind.holds_while_dirty() && self.stick.holds();
        let is_needed = holds || self.stick.has_unsent();
        let stick = &self.stick;
        if stick.volume.is_some()
            && stick.job.is_empty()
            && stick.background.is_empty()
            && is_needed
        {
            let steps = self.plan().afterwards();
            self.stick.background.push(self.now_ms, steps);
        }
    }

    /// The drive was reset: its locks are off, what is mounted stays mounted.
    pub(super) fn reset(&mut self) {
        self.note(|| "resets the drive".into());
        self.usb.reset();
        self.stick.is_prevented = false;
        for screen in &mut self.screens {
            screen.relock = screen.is_mounted() && self.kind == Kind::MacOs;
        }
    }
}

/// What the device said, where that is the cause.
pub fn sense(failure: &Failure) -> Option<Sense> {
    failure.sense().map(Sense::of)
}
