//! What histories were made of, counted.

use std::fmt;
use std::ops::AddAssign;

const MS_PER_HOUR: f64 = 3_600_000.0;

/// Sums over histories.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub histories: u64,
    /// Times that a computer was plugged in.
    pub stays: u64,
    /// Times that the daemon opened the volume.
    pub sessions: u64,
    pub virtual_ms: u64,
    /// Files that hosts have written, and rewritten.
    pub contents: u64,
    /// Prompts that the engine was given.
    pub asked: u64,
    /// Times that the power went.
    pub cuts: u64,
    /// Times that the daemon was killed alone.
    pub kills: u64,
    /// Operations and reads of the disk that failed.
    pub faults: u64,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.histories += other.histories;
        self.stays += other.stays;
        self.sessions += other.sessions;
        self.virtual_ms += other.virtual_ms;
        self.contents += other.contents;
        self.asked += other.asked;
        self.cuts += other.cuts;
        self.kills += other.kills;
        self.faults += other.faults;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} histories, {} stays at a host, {} sessions of the daemon, {:.0} virtual hours; \
             {} files written, {} prompts asked; {} power cuts, {} kills, {} disk faults",
            self.histories,
            self.stays,
            self.sessions,
            self.virtual_ms as f64 / MS_PER_HOUR,
            self.contents,
            self.asked,
            self.cuts,
            self.kills,
            self.faults,
        )
    }
}
