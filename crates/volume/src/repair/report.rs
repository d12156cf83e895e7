//! What a repair found and did, in words for a person. Pure. Used by `repair` and its callers.

use std::fmt;

use crate::change::ChangeSet;

/// Most findings that a report keeps; more are counted.
pub const MAX_FINDINGS: usize = 1000;

/// What one round of a repair may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairLimits {
    /// Where a round ends, bytes of changed sectors; it may pass it by one cluster and some
    /// sectors. Less than [`RepairLimits::MIN_CHANGE_BYTES`] counts as that.
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
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A host did not say that it was done.
    Dirty,
    /// The copies of the allocation table differed.
    TablesDiffer {
        /// In how many entries.
        entries: u32,
    },
    /// The first entry of the table, which identifies it, was damaged.
    TableMark,
    /// Table entries led to free, bad or missing clusters.
    BrokenLinks {
        /// How many.
        entries: u32,
    },
    /// The chain that only the second table has fits the length, the first table's does not.
    SecondTable,
    /// The clusters after those that the length needs were cut off, to be kept as another file.
    TooLong {
        /// Clusters that the length needs.
        needed: u32,
    },
    /// The chain had fewer clusters than the length needs.
    TooShort {
        /// Length that the entry gave.
        was_bytes: u32,
        /// Length now.
        is_bytes: u32,
    },
    /// The chain came back to itself.
    Loop,
    /// Clusters of another file were in the chain too: now copies of them are.
    Copied {
        /// How many.
        clusters: u32,
    },
    /// As [`Fault::Copied`], but the volume was full: the file ends before them.
    NotCopied,
    /// The first cluster was none, free or bad.
    NoStart,
    /// A folder's first cluster does not hold a folder: it starts empty, what was there is kept.
    NotAFolder,
    /// An entry was a folder by its attribute and a file by everything else.
    IsAFile,
    /// A folder that another entry has already; this entry was removed.
    SecondEntry,
    /// A folder's chain ran on into something else.
    FolderCut,
    /// A folder without clusters, on a full volume; its entry was removed.
    FolderRemoved,
    /// A folder's cluster was not allocated.
    FolderNotAllocated,
    /// `.` or `..` was wrong.
    Dots,
    /// A folder's entry gave a length.
    FolderLength,
    /// The short name was one that FAT forbids, or the same as another.
    Renamed {
        /// The short name now.
        to: String,
    },
    /// An entry without sense was removed: a forbidden name or attribute, and no clusters.
    Garbage,
    /// Attribute bits that mean nothing were set, or a label had clusters.
    Attributes,
    /// Parts of a long name that belong to nothing were removed.
    OrphanNames {
        /// How many slots.
        slots: u32,
    },
    /// Sound entries followed the folder's end mark: it was moved behind them.
    EndMark,
    /// Slots behind the folder's end that make no sense were cleared.
    BehindEnd {
        /// How many.
        slots: u32,
    },
    /// Clusters that belonged to nothing are a file now.
    Recovered {
        /// How many clusters.
        clusters: u32,
    },
    /// Clusters that belong to nothing stay allocated: there is no room for an entry.
    Left {
        /// The first of them.
        first_cluster: u32,
        /// How many.
        clusters: u32,
    },
    /// The hints about free space were wrong.
    FreeSpace,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dirty => f.write_str("a computer had not finished with the volume: mark cleared"),
            Self::TablesDiffer { entries } => {
                write!(
                    f,
                    "the allocation tables differed in {entries} entries: made equal"
                )
            }
            Self::TableMark => f.write_str("the allocation table's first entry: restored"),
            Self::BrokenLinks { entries } => {
                write!(
                    f,
                    "{entries} allocation entries led nowhere: their chains end there"
                )
            }
            Self::SecondTable => f.write_str("its chain was whole in the second table: taken"),
            Self::TooLong { needed } => write!(
                f,
                "its chain went on after the {needed} clusters of its length: the rest is kept \
                 as a file"
            ),
            Self::TooShort {
                was_bytes,
                is_bytes,
            } => {
                write!(
                    f,
                    "{was_bytes} bytes long, but {is_bytes} are there: length corrected"
                )
            }
            Self::Loop => f.write_str("its chain ran in a circle: ended there"),
            Self::Copied { clusters } => {
                write!(
                    f,
                    "{clusters} clusters belonged to another file too: copied"
                )
            }
            Self::NotCopied => f.write_str(
                "clusters belonged to another file too and the volume is full: ended before them",
            ),
            Self::NoStart => f.write_str("its first cluster is not in use: it is empty now"),
            Self::NotAFolder => {
                f.write_str("its clusters hold no folder: it is empty now, they are kept as a file")
            }
            Self::IsAFile => f.write_str("marked as a folder, but a file: mark removed"),
            Self::SecondEntry => f.write_str("another entry has this folder: this one removed"),
            Self::FolderCut => {
                f.write_str("the folder ran on into something else: ended before it")
            }
            Self::FolderRemoved => f.write_str("a folder without clusters: removed"),
            Self::FolderNotAllocated => f.write_str("the folder's cluster was free: taken back"),
            Self::Dots => f.write_str("its entries \".\" and \"..\" were wrong: corrected"),
            Self::FolderLength => f.write_str("a folder with a length: set to zero"),
            Self::Renamed { to } => write!(f, "its short name cannot stay: now {to:?}"),
            Self::Garbage => f.write_str("an entry without sense: removed"),
            Self::Attributes => f.write_str("impossible attributes: corrected"),
            Self::OrphanNames { slots } => {
                write!(
                    f,
                    "{slots} parts of long names belonged to nothing: removed"
                )
            }
            Self::EndMark => {
                f.write_str("the folder's end mark lay before some of its entries: moved")
            }
            Self::BehindEnd { slots } => {
                write!(
                    f,
                    "{slots} senseless entries behind the folder's end: cleared"
                )
            }
            Self::Recovered { clusters } => {
                write!(
                    f,
                    "{clusters} clusters that belonged to nothing are this file now"
                )
            }
            Self::Left {
                first_cluster,
                clusters,
            } => write!(
                f,
                "{clusters} clusters from {first_cluster} on belong to nothing and stay as they \
                 are: no room for an entry"
            ),
            Self::FreeSpace => f.write_str("the count of free space was wrong: corrected"),
        }
    }
}
