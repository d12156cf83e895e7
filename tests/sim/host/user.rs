//! The user of a host: what is done next, and when.
//!
//! Actions wait until the one before has been carried out; suspending, resetting and pulling the
//! plug do not: they come in the middle of a write as well. `chores` has what is done to files.

use volume::testing::Random;

use super::chance::{between, percent};
use super::chores::tag;
use super::plan::Plan;
use super::step::{Step, Steps};
use super::{Host, Kind, Reading};

/// What a host's drivers and its lid do to the drive while programs are at work.
#[derive(Clone, Copy, Debug)]
pub enum Disturbance {
    Sleep,
    Reset,
}

/// Of a hundred actions, so many are disturbed.
const DISTURBED_PERCENT: u64 = 8;
/// The most that it takes from the beginning of an action, ms: beyond most writes' end.
const DISTURBED_MAX_MS: u64 = 4000;

/// What there is to do, and how the user is about to leave.
pub struct User {
    /// Actions that are left.
    left: usize,
    pub next_ms: u64,
    /// The plug is pulled at this time, whatever is on its way.
    pub yank_ms: Option<u64>,
    /// The drive is disturbed at this time, whatever is on its way.
    pub disturbance: Option<(u64, Disturbance)>,
    /// The host sleeps until then; `None` while it sleeps means for good.
    pub resume_ms: Option<u64>,
    pub has_powered_off: bool,
    /// `Host::let_go` was called.
    pub is_leaving: bool,
    /// It is carried out.
    pub is_released: bool,
    /// The plug was pulled.
    pub is_gone: bool,
}

impl User {
    pub fn new(kind: Kind, random: &mut Random, now_ms: u64) -> Self {
        let pulls = kind == Kind::Camera || percent(random, 35);
        let stay_ms = [10_000, 60_000, 240_000][random.below(3)];
        Self {
            left: 2 + random.below(10),
            next_ms: now_ms,
            yank_ms: pulls.then(|| now_ms + between(random, 500, stay_ms)),
            disturbance: None,
            resume_ms: None,
            has_powered_off: false,
            is_leaving: false,
            is_released: false,
            is_gone: false,
        }
    }

    pub fn has_more(&self) -> bool {
        self.left > 0
    }

    pub fn has_nothing_to_do(&self) -> bool {
        self.left == 0 && self.yank_ms.is_none()
    }
}

impl Host {
    /// The next action.
    pub(super) fn act(&mut self) {
        self.user.left -= 1;
        self.user.next_ms = self.now_ms + idle_ms(&mut self.random);
        if self.stick.volume.is_none() {
            return self.act_without_volume();
        }
        let steps = match self.random.below(30) {
            0..6 => self.new_prompt(),
            6..9 => self.save(),
            9 => self.replace_by_rename(),
            10 => self.replace_by_delete(),
            11 => self.delete_own(),
            12..14 => self.copy_photo(),
            14 => self.delete_responses(),
            15 => {
                let name = format!("folder-{}", tag(&mut self.random));
                self.plan().change_names(vec![Step::Folder(name)])
            }
            16..21 => vec![(0, Step::Look)],
            21..23 => self.plan().fsync(),
            23..26 => self.leave_volume(),
            26 => return self.sleep(),
            27 => return self.reset_or_not(),
            _ => return self.eject_answers(),
        };
        self.plan_disturbance();
        self.note(|| format!("user: {}", steps.iter().map(name_of).collect::<String>()));
        self.stick.job.push(self.now_ms, steps);
    }

    fn act_without_volume(&mut self) {
        if self.stick.is_present && self.stick.mount_ms.is_none() {
            let (least, most) = self.kind.mount_delay_ms();
            let delay_ms = between(&mut self.random, least, most);
            self.stick.mount_ms = Some(self.now_ms + delay_ms);
        }
        self.open_screens();
    }

    /// Pulls the plug.
    pub(super) fn yank(&mut self) {
        self.note(|| "the plug is pulled".into());
        self.usb.detach();
        self.user.yank_ms = None;
        self.user.is_gone = true;
        self.lose_medium("the plug was pulled");
    }

    pub(super) fn power_off(&mut self) {
        self.note(|| "powers the drive off".into());
        // Desktops refuse while another volume of the drive is mounted.
        self.close_screens();
        self.user.has_powered_off = true;
        self.user.resume_ms = None;
        self.usb.suspend();
    }

    /// Reads all responses that the host sees on LUN 0.
    pub(super) fn look(&mut self) {
        for path in self.responses() {
            let Some(volume) = &mut self.stick.volume else {
                return;
            };
            if let Ok(Some(content)) = volume.get(&path) {
                self.note(|| format!("LUN 0: reads {path}, {} bytes", content.len()));
                self.readings.push(Reading {
                    lun: 0,
                    path,
                    content,
                });
            }
        }
        for at in 0..self.screens.len() {
            self.look_at(at);
        }
    }

    pub(super) fn plan(&mut self) -> Plan<'_> {
        Plan {
            kind: self.kind,
            random: &mut self.random,
        }
    }

    /// The user unmounts or ejects, as the host offers it.
    fn leave_volume(&mut self) -> Steps {
        if self.kind == Kind::Camera {
            return self.plan().fsync();
        }
        let is_linux = self.kind.is_linux();
        match self.random.below(4) {
            0 | 1 if is_linux => self.plan().unmount(),
            2 if self.kind == Kind::LinuxDesktop => {
                let mut steps = self.plan().unmount();
                steps.push((100, Step::PowerOff));
                steps
            }
            _ => self.plan().eject(),
        }
    }

    fn plan_disturbance(&mut self) {
        if percent(&mut self.random, DISTURBED_PERCENT) {
            let at_ms = self.now_ms + between(&mut self.random, 0, DISTURBED_MAX_MS);
            let kinds = [Disturbance::Sleep, Disturbance::Reset];
            let kind = kinds[self.random.below(kinds.len())];
            self.user.disturbance = Some((at_ms, kind));
        }
    }

    /// The drive is disturbed, unless the host cannot reach it just now.
    pub(super) fn disturb(&mut self, disturbance: Disturbance) {
        self.user.disturbance = None;
        let is_leaving = self.user.is_leaving || self.user.has_powered_off;
        if !is_leaving && self.is_up() {
            self.note(|| format!("{disturbance:?} with {} at work", self.stick.job.len()));
            match disturbance {
                Disturbance::Sleep => self.sleep(),
                Disturbance::Reset => self.reset_or_not(),
            }
        }
    }

    fn sleep(&mut self) {
        self.note(|| "sleeps".into());
        self.usb.suspend();
        self.user.resume_ms = Some(self.now_ms + between(&mut self.random, 500, 60_000));
    }

    /// A camera has nothing that tells the device that it still needs the medium after a reset.
    fn reset_or_not(&mut self) {
        if self.kind != Kind::Camera {
            self.reset();
        }
    }

    fn eject_answers(&mut self) {
        for at in 0..self.screens.len() {
            self.eject_screen(at);
        }
    }
}

/// How long a user does nothing.
fn idle_ms(random: &mut Random) -> u64 {
    match random.below(10) {
        0..4 => between(random, 50, 2000),
        4..8 => between(random, 2000, 15_000),
        _ => between(random, 15_000, 70_000),
    }
}

fn name_of((_, step): &(u64, Step)) -> String {
    match step {
        Step::Create(path) => format!(" create {path}"),
        Step::Fill(path, content) | Step::Keep(path, content) => {
            format!(" fill {path} ({})", content.len())
        }
        Step::Delete(path) => format!(" delete {path}"),
        Step::Rename(from, to) => format!(" rename {from} to {to}"),
        Step::Folder(path) => format!(" folder {path}"),
        Step::Send { .. } => String::new(),
        step => format!(" {step:?}"),
    }
}
