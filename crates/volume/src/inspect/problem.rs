//! What an inspection says. Pure. Used by the acceptance rules, `volume check` and errors.

use thiserror::Error;

use crate::chain::ChainEnd;

/// Clusters in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The first of them.
    pub(crate) first_cluster: u32,
    /// How many.
    pub(crate) clusters: u32,
}

/// What is known of one file or folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// Length that its entry gives, bytes; zero for a folder.
    pub entry_bytes: u32,
    /// Clusters of its chain, as far as it was followed: one more than needed at most.
    pub chain_clusters: u32,
    /// In how many pieces they lie.
    pub pieces: usize,
    /// What is wrong; empty for a complete and consistent file.
    pub problems: Vec<ChainProblem>,
}

impl Inspection {
    /// Whether the entry can be believed as it is.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        self.problems.is_empty()
    }

    /// Adds the problem, unless the chain itself came to somebody else's cluster.
    pub(super) fn add_cross_link(&mut self, cluster: u32) {
        let is_link = |problem: &ChainProblem| matches!(problem, ChainProblem::CrossLinked { .. });
        if !self.problems.iter().any(is_link) {
            self.problems.push(ChainProblem::CrossLinked { cluster });
        }
    }
}

/// A reason not to believe an entry. The text completes "the file is not complete: …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChainProblem {
    /// Fewer clusters than the length needs.
    #[error("its chain has {clusters} clusters and its length needs {needed}")]
    TooShort {
        /// Clusters that are there.
        clusters: u32,
        /// Clusters that its length needs.
        needed: u32,
    },
    /// More clusters than the length needs.
    #[error("its chain goes on after the {needed} clusters that its length needs")]
    TooLong {
        /// Clusters that its length needs.
        needed: u32,
    },
    /// The chain runs into a free or bad cluster.
    #[error("its chain has no end mark")]
    NoEndMark,
    /// The two copies of the allocation table differ.
    #[error("the two allocation tables differ at cluster {cluster}")]
    FatCopiesDiffer {
        /// Where they first do.
        cluster: u32,
    },
    /// Something else leads into its chain.
    #[error("cluster {cluster} belongs to something else too")]
    CrossLinked {
        /// The first cluster where that was seen.
        cluster: u32,
    },
    /// The chain leads out of the volume.
    #[error("its chain leads to cluster {cluster}, which the volume does not have")]
    OutOfRange {
        /// The number found.
        cluster: u32,
    },
    /// The chain comes back to itself.
    #[error("its chain runs in a circle")]
    Loop,
    /// The end of the file has not been written yet, by the look of it.
    #[error("its last {bytes} bytes are all NUL")]
    NulTail {
        /// From a sector border to the end; at least this many.
        bytes: u32,
    },
    /// A folder longer than FAT allows.
    #[error("it is longer than a folder may be")]
    FolderTooLong,
    /// In more pieces than an inspection follows.
    #[error("it is in too many pieces")]
    TooFragmented,
}

impl ChainProblem {
    /// The problem of a chain that ended otherwise than in an end mark.
    pub(crate) fn from_end(end: ChainEnd) -> Self {
        match end {
            ChainEnd::OutOfRange(cluster) => Self::OutOfRange { cluster },
            ChainEnd::Loop => Self::Loop,
            ChainEnd::EndMark | ChainEnd::NoEndMark => Self::NoEndMark,
        }
    }
}
