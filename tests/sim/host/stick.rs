//! LUN 0 as a host has it: its cache, what it holds, and how the steps of a plan are carried out.
//!
//! What a command meets decides: no medium, and the host forgets everything; no drive, and it waits
//! for the next one; an error of the volume, and the file in hand is in doubt.

use std::collections::BTreeMap;

use labhost::Failure;
use labhost::model::{Part, Volume};

use super::belief::Content;
use super::chance::{between, one_of};
use super::step::{Lane, Step};
use super::{Host, Kind, Violation, clock};
use crate::usb::{Flushed, Port, Sense};

/// Times that a SYNCHRONIZE CACHE is tried.
const SYNC_TRIES: usize = 3;

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
    kept: BTreeMap<String, Content>,
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

    fn forget(&mut self) {
        *self = Self::new(self.port.clone(), self.poll_ms);
    }
}

/// What a step leaves to do of itself, after a gap.
type Again = Option<(u64, Step)>;

/// Runs.
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
                Some(_) => self.lose_medium("it left before it was mounted"),
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
    fn begin(&mut self) -> Result<(), Failure> {
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

    /// Carries out what is due of a lane; whether anything was.
    pub(super) fn run_lane(&mut self, of: fn(&mut Stick) -> &mut Lane) -> bool {
        let now_ms = self.now_ms;
        let Some(step) = of(&mut self.stick).take_due(now_ms) else {
            return false;
        };
        clock::set(now_ms);
        match self.carry_out(&step) {
            Ok(again) => of(&mut self.stick).taken(now_ms, again),
            Err(failure) => {
                self.note(|| format!("LUN 0: {step:?} failed: {failure}"));
                for path in step.paths() {
                    self.belief.failed(path);
                }
                match sense(&failure) {
                    Some(Sense::NoMedium | Sense::Gone) => self.lose_medium("absent"),
                    // A write that fails is tried again; what the volume refuses is not.
                    Some(_) => of(&mut self.stick).taken(now_ms, Some((1000, step))),
                    None => of(&mut self.stick).taken(now_ms, None),
                }
            }
        }
        true
    }

    fn carry_out(&mut self, step: &Step) -> Result<Again, Failure> {
        match step {
            Step::Begin => {
                self.stick.background.clear();
                self.begin()?;
            }
            Step::Keep(path, content) => {
                self.belief.wrote(path, content);
                self.stick.kept.insert(path.clone(), content.clone());
            }
            Step::FillKept => self.fill_kept()?,
            Step::Send {
                part,
                blocks_max,
                gap_max_ms,
                in_order,
            } => {
                let is_more = self.send(*part, *blocks_max, *in_order)?;
                let gap_ms = between(&mut self.random, 0, *gap_max_ms);
                return Ok(is_more.then(|| (gap_ms, step.clone())));
            }
            Step::Sync => self.sync()?,
            Step::Unmark => self.unmark()?,
            Step::Lock => {
                self.stick.port.prevent(true)?;
                self.stick.is_prevented = true;
            }
            Step::Unlock => self.unlock()?,
            Step::Forget => {
                self.note(|| "LUN 0: unmounted".into());
                let is_present = self.stick.is_present;
                self.stick.volume = None;
                self.stick.background.clear();
                self.stick.is_present = is_present;
            }
            Step::Eject => {
                self.usb.test_unit_ready(0).ok();
                let ejected = self.usb.host_eject(0);
                self.note(|| format!("LUN 0: ejects: {ejected:?}"));
                if ejected.is_ok() {
                    let rest = std::mem::take(&mut self.stick.job);
                    self.stick.forget();
                    self.stick.job = rest;
                }
            }
            Step::Look => self.look(),
            Step::PowerOff => self.power_off(),
            Step::Release => self.user.is_released = true,
            _ => self.change(step)?,
        }
        Ok(None)
    }

    /// A change of the volume, in the cache.
    fn change(&mut self, step: &Step) -> Result<(), Failure> {
        let Some(volume) = &mut self.stick.volume else {
            return Ok(());
        };
        match step {
            Step::Create(path) => {
                self.belief.wrote(path, b"");
                self.stick.kept.remove(path);
                volume.create_cached(path)
            }
            Step::Fill(path, content) => {
                self.belief.wrote(path, content);
                volume.fill_cached(path, content)
            }
            Step::Delete(path) => {
                self.belief.deleted(path);
                self.stick.kept.remove(path);
                volume.delete_cached(path)
            }
            Step::Rename(from, to) => {
                self.belief.renamed(from, to);
                self.stick.kept.remove(to);
                if let Some(content) = self.stick.kept.remove(from) {
                    self.stick.kept.insert(to.clone(), content);
                }
                volume.rename_cached(from, to)
            }
            Step::Folder(path) => volume.make_folder_cached(path),
            _ => Ok(()),
        }
    }

    fn fill_kept(&mut self) -> Result<(), Failure> {
        let Some(volume) = &mut self.stick.volume else {
            return Ok(());
        };
        while let Some((path, content)) = self.stick.kept.pop_first() {
            if let Err(failure) = volume.fill_cached(&path, &content) {
                self.belief.failed(&path);
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Sends one write; whether more of the part is left.
    fn send(&mut self, part: Part, blocks_max: usize, in_order: bool) -> Result<bool, Failure> {
        let Some(volume) = &mut self.stick.volume else {
            return Ok(false);
        };
        let dirty = volume.dirty(part);
        let runs: Vec<&[u32]> = dirty.chunk_by(|&one, &next| one + 1 == next).collect();
        let run = match in_order {
            true => runs.first(),
            false => one_of(&mut self.random, &runs),
        };
        let Some(run) = run else {
            return Ok(false);
        };
        let run = &run[..run.len().min(blocks_max)];
        volume.send_blocks(run)?;
        Ok(run.len() < dirty.len())
    }

    fn sync(&mut self) -> Result<(), Failure> {
        for _ in 0..SYNC_TRIES {
            match self.usb.synchronize_cache(0) {
                Ok(()) => {
                    self.acknowledged();
                    return Ok(());
                }
                Err(Sense::NoMedium | Sense::Gone) => break,
                Err(_) => {}
            }
        }
        self.stick.port.test()
    }

    fn unmark(&mut self) -> Result<(), Failure> {
        let stick = &mut self.stick;
        if let (true, Some(marks), Some(volume)) =
            (stick.is_marked, self.kind.marks(), &mut stick.volume)
        {
            volume.mark(marks, false)?;
            stick.is_marked = false;
        }
        Ok(())
    }

    fn unlock(&mut self) -> Result<(), Failure> {
        let flushed = self.stick.port.prevent(false)?;
        self.stick.is_prevented = false;
        if flushed == Flushed::Yes {
            self.acknowledged();
        }
        if self.kind.holds_while_dirty() {
            self.note(|| "LUN 0: lets go".into());
        }
        Ok(())
    }

    /// Everything that was sent is durable.
    fn acknowledged(&mut self) {
        if !self.stick.has_unsent() {
            self.belief.flushed();
        }
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
