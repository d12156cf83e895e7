//! How the steps of a plan are carried out on LUN 0.
//!
//! What a command meets decides: no medium, and the host forgets everything; no drive, and it waits
//! for the next one; a failing write is tried again; an error of the volume, and the file in hand
//! is in doubt. What is believed changes here: with each change of the cache, and with each flush
//! that left nothing to send.

use labhost::Failure;
use labhost::model::Part;

use super::chance::{between, one_of};
use super::step::{Lane, Step};
use super::stick::{Stick, sense};
use super::{Host, clock};
use crate::usb::{Flushed, Sense};

/// Times that a SYNCHRONIZE CACHE is tried.
const SYNC_TRIES: usize = 3;

/// What a step leaves to do of itself, after a gap.
type Again = Option<(u64, Step)>;

impl Host {
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
                self.belief.made(path);
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
}
