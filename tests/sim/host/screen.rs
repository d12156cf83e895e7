//! A read-only drive as a host has it: what a user sees of ANSWERS.
//!
//! While a medium is mounted, a file that was read once must stay whole and the same under its
//! name, also where the host reads parts of it anew because its cache was short of room.

use std::collections::BTreeMap;

use labhost::Failure;
use labhost::model::Volume;

use super::chance::{between, percent};
use super::stick::sense;
use super::{Host, Kind, Reading, Violation};
use crate::usb::{Port, Sense};

/// Files with their contents.
type Files = Vec<(String, Vec<u8>)>;

/// One unit.
pub struct Screen {
    port: Port,
    is_present: bool,
    volume: Option<Volume<Port>>,
    seen: BTreeMap<String, Vec<u8>>,
    is_locked: bool,
    /// The lock is to be taken again, after a reset.
    pub relock: bool,
    poll_ms: u64,
    mount_ms: Option<u64>,
}

impl Screen {
    pub fn new(port: Port, now_ms: u64) -> Self {
        Self {
            port,
            is_present: false,
            volume: None,
            seen: BTreeMap::new(),
            is_locked: false,
            relock: false,
            poll_ms: now_ms,
            mount_ms: None,
        }
    }

    pub fn is_mounted(&self) -> bool {
        self.volume.is_some()
    }

    pub fn next_ms(&self) -> u64 {
        self.mount_ms.unwrap_or(u64::MAX).min(self.poll_ms)
    }

    fn forget(&mut self) {
        *self = Self::new(self.port.clone(), self.poll_ms);
    }

    /// The drive is gone.
    pub fn vanish(&mut self) {
        self.forget();
    }

    /// Reads every file; what was seen before and is another file now, if any.
    fn read_all(&mut self) -> Result<(Files, Option<String>), Failure> {
        let Some(volume) = &mut self.volume else {
            return Ok(Default::default());
        };
        let mut read = Vec::new();
        for entry in volume.list_all()? {
            if !entry.is_folder {
                let content = volume.get(&entry.path)?.unwrap_or_default();
                read.push((entry.path, content));
            }
        }
        let changed = self.seen.iter().find(|(path, content)| {
            let now = read.iter().find(|(name, _)| name == *path);
            now.is_none_or(|(_, now)| now != *content)
        });
        let changed = changed.map(|(path, _)| path.clone());
        read.retain(|(path, _)| !self.seen.contains_key(path));
        self.seen.extend(read.iter().cloned());
        Ok((read, changed))
    }
}

impl Host {
    /// Polls and mounts; whether anything was due.
    pub(super) fn run_screen(&mut self, at: usize) -> bool {
        let now_ms = self.now_ms;
        let kind = self.kind;
        let screen = &mut self.screens[at];
        if screen.next_ms() > now_ms {
            return false;
        }
        if std::mem::take(&mut screen.relock) {
            screen.is_locked = screen.port.prevent(true).is_ok();
        }
        if screen.mount_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            screen.mount_ms = None;
            self.mount_screen(at);
            return true;
        }
        screen.poll_ms = now_ms + kind.poll_ms();
        if !screen.is_locked || kind.polls_while_locked() {
            self.poll_screen(at);
        }
        true
    }

    fn poll_screen(&mut self, at: usize) {
        let is_heeded = self.kind.heeds_unit_attention();
        let screen = &mut self.screens[at];
        let mut found = self.usb.test_unit_ready(at + 1);
        let attention = found == Err(Sense::UnitAttention);
        if attention {
            found = self.usb.test_unit_ready(at + 1);
        }
        match found {
            Ok(()) if !screen.is_present || (attention && is_heeded && !screen.is_mounted()) => {
                screen.is_present = true;
                if self.kind.mounts_by_itself() && !self.user.is_leaving {
                    let (least, most) = self.kind.mount_delay_ms();
                    let delay_ms = between(&mut self.random, least, most);
                    screen.mount_ms = Some(self.now_ms + delay_ms);
                }
            }
            Err(Sense::NoMedium | Sense::Gone) if screen.is_present => {
                screen.forget();
                self.note(|| format!("LUN {}: the host sees it gone", at + 1));
            }
            _ => {}
        }
    }

    /// A user who has no automatic mount opens the drive by hand.
    pub(super) fn open_screens(&mut self) {
        for screen in &mut self.screens {
            if screen.is_present && screen.volume.is_none() {
                screen.mount_ms = Some(self.now_ms);
            }
        }
    }

    fn mount_screen(&mut self, at: usize) {
        let screen = &mut self.screens[at];
        let holds = self.kind.is_linux() || self.kind == Kind::MacOs;
        let mut mount = || {
            if holds {
                screen.port.prevent(true)?;
                screen.is_locked = true;
            }
            screen.volume = Some(Volume::open(&screen.port)?);
            Ok(())
        };
        match mount() {
            Ok(()) => {
                self.note(|| format!("LUN {}: mounted", at + 1));
                self.look_at(at);
            }
            Err(failure) => self.screen_failed(at, &failure),
        }
    }

    /// Reads everything on a read-only drive, in part from the cache.
    pub(super) fn look_at(&mut self, at: usize) {
        let random = &mut self.random;
        let screen = &mut self.screens[at];
        if let Some(volume) = &mut screen.volume {
            let dropped = [0, 30, 100][random.below(3)];
            volume.reclaim(|_| percent(random, dropped));
        }
        let (at_ms, lun) = (self.now_ms, at + 1);
        match screen.read_all() {
            Ok((read, changed)) => {
                if let Some(path) = changed {
                    self.violations
                        .push(Violation::AnswerChanged { at_ms, lun, path });
                }
                for (path, content) in read {
                    self.note(|| format!("LUN {lun}: reads {path}, {} bytes", content.len()));
                    self.readings.push(Reading { lun, path, content });
                }
            }
            Err(failure) => self.screen_failed(at, &failure),
        }
    }

    fn screen_failed(&mut self, at: usize, failure: &Failure) {
        let (at_ms, lun, reason) = (self.now_ms, at + 1, failure.to_string());
        self.note(|| format!("LUN {lun}: {reason}"));
        self.screens[at].forget();
        if sense(failure).is_none() {
            self.violations
                .push(Violation::NotMountable { at_ms, lun, reason });
        }
    }

    /// The user takes the medium out of a read-only drive.
    pub(super) fn eject_screen(&mut self, at: usize) {
        let screen = &mut self.screens[at];
        if !screen.is_mounted() {
            return;
        }
        if screen.is_locked {
            screen.port.prevent(false).ok();
        }
        let ejected = self.usb.host_eject(at + 1);
        screen.forget();
        self.note(|| format!("LUN {}: ejects: {ejected:?}", at + 1));
    }

    /// Unmounts the read-only drives.
    pub(super) fn close_screens(&mut self) {
        for screen in &mut self.screens {
            if screen.is_locked {
                screen.port.prevent(false).ok();
            }
            let is_present = screen.is_present;
            screen.forget();
            screen.is_present = is_present;
        }
    }
}
