//! What a repair found and did, in words for a person. Pure. Used by `repair` and its callers.

use std::fmt;

use thiserror::Error;

use crate::change::ChangeSet;

/// Most findings that a report keeps; more are counted.
pub const MAX_FINDINGS: usize = 1000;

/// What one round of a repair may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairLimits {
    /// Where a round ends, bytes of changed sectors; it may pass it by one cluster and some
    /// sectors, or by the slots of one folder whose end mark moves, 2 MiB. Less than
    /// [`RepairLimits::MIN_CHANGE_BYTES`] counts as that.
    pub change_bytes: u64,
}

impl RepairLimits {
    /// Enough for the largest single step: a cluster of 64 KiB and the table entries for it.
    pub const MIN_CHANGE_BYTES: u64 = 256 * 1024;

    /// Limits with rounds of `change_bytes`.
    #[must_use]
    pub fn with_change_bytes(change_bytes: u64) -> Self {
        Self { change_bytes }
    }
}

impl Default for RepairLimits {
    /// 4 MiB a round: held twice in memory, and written twice.
    fn default() -> Self {
        Self::with_change_bytes(4 * 1024 * 1024)
    }
}

/// One round of a repair, not yet written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Repair {
    /// What is to be published; empty when there is nothing to do.
    pub changes: ChangeSet,
    /// Whether the volume is whole after this round. If not, publish it, open the volume again and
    /// ask for the next round.
    pub is_complete: bool,
    /// What was found.
    pub report: RepairReport,
}

/// What was found and done, in the order of the finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    findings: Vec<Finding>,
    omitted: u64,
}

impl RepairReport {
    pub(crate) fn add(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.omitted += 1;
        }
    }

    /// Adds what a later round found.
    pub(crate) fn append(&mut self, later: Self) {
        self.omitted += later.omitted;
        later
            .findings
            .into_iter()
            .for_each(|finding| self.add(finding));
    }

    /// The first [`MAX_FINDINGS`] findings.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many more there were.
    #[must_use]
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty() && self.omitted == 0
    }
}

/// One thing that was wrong and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file or folder; empty where it is the volume itself.
    pub path: String,
    /// What was wrong.
    pub fault: Fault,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            self.fault.fmt(f)
        } else {
            write!(f, "{:?}: {}", self.path, self.fault)
        }
    }
}

/// A fault and its remedy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// A host did not say that it was done.
    #[error("a computer had not finished with the volume: mark cleared")]
    Dirty,
    /// The copies of the allocation table differed.
    #[error("the allocation tables differed in {entries} entries: made equal")]
    TablesDiffer {
        /// In how many entries.
        entries: u32,
    },
    /// The first entry of the table, which identifies it, was damaged.
    #[error("the allocation table's first entry was wrong: restored")]
    TableMark,
    /// Table entries led to free, bad or missing clusters.
    #[error("{entries} allocation entries led nowhere: their chains end there")]
    BrokenLinks {
        /// How many.
        entries: u32,
    },
    /// The chain that only the second table has fits the length, the first table's does not.
    #[error("its chain was whole in the second table: taken")]
    SecondTable,
    /// The clusters after those that the length needs were cut off, to be kept as another file.
    #[error(
        "its chain went on after the {needed} clusters of its length: the rest is kept \
         as a file"
    )]
    TooLong {
        /// Clusters that the length needs.
        needed: u32,
    },
    /// The chain had fewer clusters than the length needs.
    #[error("{was_bytes} bytes long, but {is_bytes} are there: length corrected")]
    TooShort {
        /// Length that the entry gave.
        was_bytes: u32,
        /// Length now.
        is_bytes: u32,
    },
    /// The chain came back to itself.
    #[error("its chain ran in a circle: ended there")]
    Loop,
    /// Clusters of another file were in the chain too: now copies of them are.
    #[error("{clusters} clusters belonged to another file too: copied")]
    Copied {
        /// How many.
        clusters: u32,
    },
    /// As [`Fault::Copied`], but the volume was full: the file ends before them.
    #[error("clusters belonged to another file too and the volume is full: ended before them")]
    NotCopied,
    /// The first cluster was none, free or bad.
    #[error("its first cluster is not in use: it is empty now")]
    NoStart,
    /// A folder's first cluster does not hold a folder: it starts empty, what was there is kept.
    #[error("its clusters hold no folder: it is empty now, they are kept as a file")]
    NotAFolder,
    /// An entry was a folder by its attribute and a file by everything else.
    #[error("marked as a folder, but a file: mark removed")]
    IsAFile,
    /// A folder that another entry has already; this entry was removed.
    #[error("another entry has this folder: this one removed")]
    SecondEntry,
    /// A folder's chain ran on into something else.
    #[error("the folder ran on into something else: ended before it")]
    FolderCut,
    /// A folder without clusters, on a full volume; its entry was removed.
    #[error("a folder without clusters on a full volume: removed")]
    FolderRemoved,
    /// A folder's cluster was not allocated.
    #[error("the folder's cluster was free: taken back")]
    FolderNotAllocated,
    /// `.` or `..` was wrong.
    #[error("its entries \".\" and \"..\" were wrong: corrected")]
    Dots,
    /// A folder's entry gave a length.
    #[error("a folder with a length: set to zero")]
    FolderLength,
    /// The short name was one that FAT forbids, or the same as another.
    #[error("its short name cannot stay: now {to:?}")]
    Renamed {
        /// The short name now.
        to: String,
    },
    /// An entry without sense was removed: a forbidden name or attribute, and no clusters.
    #[error("an entry without sense: removed")]
    Garbage,
    /// Attribute bits that mean nothing were set, or a label had clusters.
    #[error("impossible attributes: corrected")]
    Attributes,
    /// Parts of a long name that belong to nothing were removed.
    #[error("{slots} parts of long names belonged to nothing: removed")]
    OrphanNames {
        /// How many slots.
        slots: u32,
    },
    /// Sound entries followed the folder's end mark: it was moved behind them.
    #[error("the folder's end mark lay before some of its entries: moved")]
    EndMark,
    /// Slots behind the folder's end that make no sense were cleared.
    #[error("{slots} senseless entries behind the folder's end: cleared")]
    BehindEnd {
        /// How many.
        slots: u32,
    },
    /// Clusters that belonged to nothing are a file now.
    #[error("{clusters} clusters that belonged to nothing are this file now")]
    Recovered {
        /// How many clusters.
        clusters: u32,
    },
    /// Clusters that belong to nothing stay allocated: there is no room for an entry.
    #[error(
        "{clusters} clusters from {first_cluster} on belong to nothing and stay as they \
         are: no room for an entry"
    )]
    Left {
        /// The first of them.
        first_cluster: u32,
        /// How many.
        clusters: u32,
    },
    /// The hints about free space were wrong.
    #[error("the count of free space was wrong: corrected")]
    FreeSpace,
}
