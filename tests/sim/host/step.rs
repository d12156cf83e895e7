//! What a host does to LUN 0, in steps with silent gaps between: the unit in which a plug can be
//! pulled and the device can look. `plan` makes the steps of what a user wants, `stick` carries
//! them out.

use std::collections::VecDeque;

use labhost::model::Part;

use super::belief::Content;

/// One step. Changes are to the host's cache; only `Send` and the commands reach the stick.
#[derive(Clone, Debug)]
pub enum Step {
    /// PREVENT and the marks, for hosts that hold only while they write.
    Begin,
    /// An empty file, or one that is there, emptied.
    Create(String),
    /// Content from the file's beginning.
    Fill(String, Content),
    /// Content that the host keeps for later (`FillKept`), as with Linux' page cache.
    Keep(String, Content),
    /// Fills all files whose content was kept.
    FillKept,
    Delete(String),
    Rename(String, String),
    Folder(String),
    /// Dirty blocks, so many at most in one write, with gaps of up to so many ms, until none is
    /// left.
    Send {
        part: Part,
        blocks_max: usize,
        gap_max_ms: u64,
        in_order: bool,
    },
    /// SYNCHRONIZE CACHE.
    Sync,
    /// Clears the marks that it has set.
    Unmark,
    /// PREVENT MEDIUM REMOVAL.
    Lock,
    /// ALLOW MEDIUM REMOVAL.
    Unlock,
    /// Forgets the volume: it is unmounted.
    Forget,
    /// START STOP UNIT.
    Eject,
    /// Reads all responses.
    Look,
    /// "Safely remove": the port's power is taken.
    PowerOff,
    /// Nothing will be mounted any more.
    Release,
}

impl Step {
    /// The file that is in doubt if the step fails.
    pub fn paths(&self) -> Vec<&str> {
        match self {
            Self::Create(path) | Self::Fill(path, _) | Self::Delete(path) => vec![path],
            Self::Rename(from, to) => vec![from, to],
            _ => Vec::new(),
        }
    }
}

/// Steps, each after a gap in ms.
pub type Steps = Vec<(u64, Step)>;

/// Steps that are on their way.
#[derive(Default)]
pub struct Lane {
    steps: VecDeque<(u64, Step)>,
    due_ms: u64,
}

impl Lane {
    /// Adds steps behind those that are there.
    pub fn push(&mut self, now_ms: u64, steps: Steps) {
        let was_empty = self.steps.is_empty();
        self.steps.extend(steps);
        if was_empty {
            self.schedule(now_ms);
        }
    }

    /// The next step, if it is due.
    pub fn take_due(&mut self, now_ms: u64) -> Option<Step> {
        if self.due_ms > now_ms {
            return None;
        }
        self.steps.pop_front().map(|(_, step)| step)
    }

    /// The step that was taken goes on after `gap_ms`; or it is done, and the next one begins.
    pub fn taken(&mut self, now_ms: u64, again: Option<(u64, Step)>) {
        if let Some(again) = again {
            self.steps.push_front(again);
        }
        self.schedule(now_ms);
    }

    pub fn clear(&mut self) {
        self.steps.clear();
    }

    pub fn len(&self) -> usize {
        self.steps.len()
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub fn next_ms(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.due_ms)
    }

    fn schedule(&mut self, now_ms: u64) {
        self.due_ms = now_ms + self.steps.front().map_or(0, |(gap_ms, _)| *gap_ms);
    }
}
