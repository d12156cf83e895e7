//! Computers that a stick is plugged into, each with its user.
//!
//! A host has its own cache (`labhost`'s model, `fatfs` for the logic) and its own order and time
//! of writes; its user does things at times drawn at random. It reports what may be relied on
//! ([`Belief`]), what the device did to it that it must not ([`Violation`]), and what was read of
//! responses ([`Reading`]). Used by the runner.

mod belief;
mod carry;
mod chance;
mod chores;
mod clock;
mod kind;
mod plan;
mod report;
mod screen;
mod step;
mod stick;
mod text;
mod user;

use volume::testing::Random;

use medium::Bus;

use super::usb::{LUNS, Port, Sense, Usb};
use chance::between;
use screen::Screen;
use step::Step;
use stick::Stick;
use user::User;

pub use belief::prompt_of;
#[allow(unused_imports, reason = "parts of a belief, for whoever names them")]
pub use belief::{Belief, Content, FileBelief};
pub use kind::{KINDS, Kind};
pub use report::{Log, Reading, Violation};
pub use text::is_response;

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
    /// The enumeration that it has met, and the excuses then; `None` without a drive.
    met: Option<(u64, u64)>,
    stick: Stick,
    screens: Vec<Screen>,
    user: User,
}

impl Host {
    /// A host that is plugged in at `now_ms`. `belief` is what earlier hosts left
    /// ([`Host::into_belief`]).
    pub fn new(
        kind: Kind,
        mut random: Random,
        usb: Usb,
        belief: Belief,
        now_ms: u64,
        log: Log,
    ) -> Self {
        let port = |lun| Port {
            usb: usb.clone(),
            lun,
        };
        let screens = (1..LUNS).map(|lun| Screen::new(port(lun), now_ms));
        usb.attach();
        let host = Self {
            kind,
            stick: Stick::new(port(0), now_ms),
            screens: screens.collect(),
            user: User::new(kind, &mut random, now_ms),
            usb,
            random,
            log,
            now_ms,
            belief,
            violations: Vec::new(),
            readings: Vec::new(),
            met: None,
        };
        host.note(|| format!("plugged into {kind:?}"));
        host
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// When it acts next by itself, ms; changes of the cable or the device may come before.
    pub fn next_ms(&self) -> Option<u64> {
        if self.user.is_gone {
            return None;
        }
        let disturbed_ms = self.user.disturbance.map(|(at_ms, _)| at_ms);
        let by_user = [self.user.yank_ms, self.user.resume_ms, disturbed_ms];
        let mut next_ms = by_user.into_iter().flatten().min();
        let mut at = |other: Option<u64>| next_ms = next_ms.into_iter().chain(other).min();
        let is_met = self
            .met
            .is_some_and(|(met, _)| met == self.usb.enumerations());
        if self.usb.bus() == Bus::Configured && !is_met {
            at(Some(self.now_ms));
        }
        if self.usb.bus() == Bus::Configured && is_met {
            at(self.stick.job.next_ms());
            at(self.stick.background.next_ms());
            at(self.stick.mount_ms);
            at(self.polls_stick().then_some(self.stick.poll_ms));
            if self.kind != Kind::Camera {
                self.screens
                    .iter()
                    .for_each(|screen| at(Some(screen.next_ms())));
            }
            at(self.is_free().then_some(self.user.next_ms));
        }
        next_ms.map(|next_ms| next_ms.max(self.now_ms))
    }

    /// Does what is due.
    pub fn step(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        if self.user.is_gone {
            return;
        }
        if self.user.yank_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            return self.yank();
        }
        if self.user.resume_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.user.resume_ms = None;
            self.usb.resume();
        }
        self.watch_link();
        if let Some((at_ms, disturbance)) = self.user.disturbance
            && at_ms <= now_ms
        {
            self.disturb(disturbance);
        }
        while self.is_up() && self.run_once() {}
    }

    pub fn belief(&self) -> &Belief {
        &self.belief
    }

    /// Ends the host, as its plug is pulled; what may be relied on from then.
    pub fn into_belief(mut self) -> Belief {
        self.yank();
        self.belief
    }

    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// What was read of responses since the last call.
    pub fn take_readings(&mut self) -> Vec<Reading> {
        std::mem::take(&mut self.readings)
    }

    /// The user finishes what is begun, flushes, and unmounts or ejects; nothing is mounted again.
    /// A camera loses its power.
    pub fn let_go(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.note(|| "is asked to let go".into());
        self.user.is_leaving = true;
        self.user.yank_ms = (self.kind == Kind::Camera).then_some(now_ms);
        self.user.resume_ms = self.user.resume_ms.map(|_| now_ms);
        self.stick.mount_ms = None;
        self.close_screens();
        let mut steps = Vec::new();
        if self.stick.volume.is_some() || self.stick.holds() {
            steps = self.plan().fsync();
            steps.extend(match self.random.below(2) {
                0 if self.kind.is_linux() => self.plan().unmount(),
                0 if self.kind.holds_while_dirty() => self.plan().let_go(),
                _ => self.plan().eject(),
            });
        }
        steps.push((0, Step::Release));
        self.stick.job.push(now_ms, steps);
    }

    /// Whether the user has nothing more to do, or has let go, or pulled the plug.
    pub fn is_done(&self) -> bool {
        let has_no_drive = self.user.is_leaving && self.met.is_none();
        let is_idle = self.user.has_nothing_to_do() && self.stick.job.is_empty();
        let user = &self.user;
        user.is_gone || user.is_released || user.has_powered_off || has_no_drive || is_idle
    }

    /// Whether the plug was pulled, by this host's user or its end.
    pub fn is_gone(&self) -> bool {
        self.user.is_gone
    }

    fn note(&self, line: impl FnOnce() -> String) {
        self.log.note(self.now_ms, line);
    }

    fn is_up(&self) -> bool {
        !self.user.is_gone && self.met.is_some() && self.usb.bus() == Bus::Configured
    }

    /// Whether the user may begin something.
    fn is_free(&self) -> bool {
        let is_busy = !self.stick.job.is_empty() || self.stick.mount_ms.is_some();
        !is_busy && !self.user.is_leaving && !self.user.has_nothing_to_do() && self.user.has_more()
    }

    fn polls_stick(&self) -> bool {
        !self.stick.is_prevented || self.kind.polls_while_locked()
    }

    /// Notices that the drive is gone, or is another one.
    fn watch_link(&mut self) {
        let is_new = |met: u64| met != self.usb.enumerations();
        let is_down = self.usb.bus() == Bus::Detached;
        if let Some((met, excuses)) = self.met
            && (is_down || is_new(met))
        {
            if self.stick.holds() && self.usb.excuses() == excuses {
                self.complain_of_taking();
            }
            self.lose_medium("the drive is gone");
            self.close_screens();
            self.screens.iter_mut().for_each(Screen::vanish);
            self.met = None;
        }
        if self.met.is_none() && self.usb.bus() == Bus::Configured {
            self.met = Some((self.usb.enumerations(), self.usb.excuses()));
            let first_ms = self.now_ms + between(&mut self.random, 50, 1500);
            self.user.has_powered_off = false;
            self.stick.poll_ms = first_ms;
        }
    }

    /// One thing that is due; whether there was any.
    fn run_once(&mut self) -> bool {
        self.check_held();
        if self.run_lane(|stick| &mut stick.job) || self.run_lane(|stick| &mut stick.background) {
            self.plan_background();
            return true;
        }
        if self
            .stick
            .mount_ms
            .is_some_and(|at_ms| at_ms <= self.now_ms)
        {
            self.stick.mount_ms = None;
            self.mount();
            return true;
        }
        if self.polls_stick() && self.stick.poll_ms <= self.now_ms {
            self.stick.poll_ms = self.now_ms + self.kind.poll_ms();
            self.poll_stick();
            return true;
        }
        let has_screens = self.kind != Kind::Camera;
        if has_screens && (0..self.screens.len()).any(|at| self.run_screen(at)) {
            return true;
        }
        if self.is_free() && self.user.next_ms <= self.now_ms {
            self.act();
            return true;
        }
        false
    }

    fn poll_stick(&mut self) {
        let mut found = self.usb.test_unit_ready(0);
        let attention = found == Err(Sense::UnitAttention);
        if attention {
            found = self.usb.test_unit_ready(0);
        }
        let is_mounted = self.stick.volume.is_some();
        let is_heeded = attention && self.kind.heeds_unit_attention() && !is_mounted;
        match found {
            Ok(()) if !self.stick.is_present || is_heeded => {
                self.stick.is_present = true;
                self.note(|| "LUN 0: a medium is there".into());
                if self.kind.mounts_by_itself() && !self.user.is_leaving {
                    let (least, most) = self.kind.mount_delay_ms();
                    let delay_ms = between(&mut self.random, least, most);
                    self.stick.mount_ms = Some(self.now_ms + delay_ms);
                }
            }
            Err(Sense::NoMedium) if self.stick.is_present => self.lose_medium("it is gone"),
            _ => {}
        }
    }
}
