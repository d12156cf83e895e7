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
    /// Files that hosts have written with their content, each time that they did.
    pub files: u64,
    /// Prompts that the engine was given.
    pub asked: u64,
    /// Times that the power went in the middle of an operation of the disk.
    pub cuts: u64,
    /// Times that it went with the plug.
    pub unplugged: u64,
    /// Times that the daemon was killed just before or after a request to the kernel.
    pub kills_at: u64,
    /// Times that it was killed between two of its steps.
    pub kills_between: u64,
    /// Writes, syncs and changes of names that failed.
    pub disk_faults: u64,
    /// The daemon's reads, and its requests about the drive, that failed.
    pub refusals: u64,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.histories += other.histories;
        self.stays += other.stays;
        self.sessions += other.sessions;
        self.virtual_ms += other.virtual_ms;
        self.files += other.files;
        self.asked += other.asked;
        self.cuts += other.cuts;
        self.unplugged += other.unplugged;
        self.kills_at += other.kills_at;
        self.kills_between += other.kills_between;
        self.disk_faults += other.disk_faults;
        self.refusals += other.refusals;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} histories, {} stays at a host, {} sessions of the daemon, {:.0} virtual hours; \
             {} files written by hosts, {} prompts asked; {} power cuts at an operation, \
             {} unpluggings with the power; {} kills at an operation, {} between; {} writes or \
             syncs failed, {} reads or requests about the drive",
            self.histories,
            self.stays,
            self.sessions,
            self.virtual_ms as f64 / MS_PER_HOUR,
            self.files,
            self.asked,
            self.cuts,
            self.unplugged,
            self.kills_at,
            self.kills_between,
            self.disk_faults,
            self.refusals,
        )
    }
}
