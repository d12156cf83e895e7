//! Following a chain of clusters, one table lookup a step, with a limit and loop detection.
//! Used by folders, by file reads and by inspection.

use std::io;

use crate::device::ReadAt;
use crate::fat::FatValue;
use crate::view::View;

/// How a chain ended or broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChainEnd {
    /// The end mark.
    EndMark,
    /// A free or bad cluster where the next one or the end mark belongs.
    NoEndMark,
    /// A number that is no cluster of the volume.
    OutOfRange(u32),
    /// It comes back to itself.
    Loop,
}

/// One step of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Cluster(u32),
    Stop(ChainEnd),
}

/// A walk along a chain. Every chain stops: a loop is found after at most three times as many steps
/// as it has clusters (Brent's algorithm), so the number of clusters of the volume bounds it.
pub(crate) struct ChainWalk {
    next: Step,
    steps: u32,
    anchor: u32,
    anchor_until: u32,
}

impl ChainWalk {
    pub(crate) fn new<D: ReadAt + ?Sized>(view: &View<'_, D>, first: u32) -> Self {
        let next = if view.geometry.has_cluster(first) {
            Step::Cluster(first)
        } else {
            Step::Stop(ChainEnd::OutOfRange(first))
        };
        Self {
            next,
            steps: 0,
            anchor: 0,
            anchor_until: 1,
        }
    }

    /// The next cluster, or how the chain ends; then the same again for ever.
    pub(crate) fn step<D: ReadAt + ?Sized>(&mut self, view: &View<'_, D>) -> io::Result<Step> {
        let Step::Cluster(cluster) = self.next else {
            return Ok(self.next);
        };
        if cluster == self.anchor {
            self.next = Step::Stop(ChainEnd::Loop);
            return Ok(self.next);
        }
        self.steps = self.steps.saturating_add(1);
        if self.steps >= self.anchor_until {
            self.anchor = cluster;
            self.anchor_until = self.anchor_until.saturating_mul(2);
        }
        self.next = match view.fat_value(cluster)? {
            FatValue::Next(next) => Step::Cluster(next),
            FatValue::End => Step::Stop(ChainEnd::EndMark),
            FatValue::Free | FatValue::Bad => Step::Stop(ChainEnd::NoEndMark),
            FatValue::OutOfRange(value) => Step::Stop(ChainEnd::OutOfRange(value)),
        };
        Ok(Step::Cluster(cluster))
    }
}
