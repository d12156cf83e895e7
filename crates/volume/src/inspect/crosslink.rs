//! Finds whatever else leads into the chains of a batch of files.
//!
//! A cluster of a chain has exactly one predecessor, known from the chain. So a cross-link is: a
//! table entry that points into the batch from a cluster that is not that predecessor; an entry of
//! a folder whose first cluster lies in the batch and is not its own; or two extents that overlap.
//! One pass over the table and one over the folders find them all, whoever the other party is.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::chains;
use super::problem::{ChainProblem, Extent, Inspection};
use crate::boot::{FIRST_CLUSTER, Root};
use crate::device::ReadAt;
use crate::dir;
use crate::error::ReadError;
use crate::scan;
use crate::view::View;

/// An extent, who has it, and which cluster leads to it (0 for the start of a chain).
#[derive(Clone, Copy)]
struct Owned {
    first: u32,
    clusters: u32,
    predecessor: u32,
    owner: usize,
}

impl Owned {
    fn last(&self) -> u32 {
        self.first + (self.clusters - 1)
    }
}

/// Chains that are searched for together.
#[derive(Default)]
pub(super) struct Batch {
    extents: Vec<Owned>,
    slot_of_owner: BTreeMap<usize, u64>,
    found: BTreeMap<usize, u32>,
}

impl Batch {
    /// How many extents it has.
    pub(super) fn len(&self) -> usize {
        self.extents.len()
    }

    /// Adds the chain of the entry number `owner`, whose slot is at `slot_offset_bytes`.
    pub(super) fn add(&mut self, owner: usize, slot_offset_bytes: u64, chain: &[Extent]) {
        self.slot_of_owner.insert(owner, slot_offset_bytes);
        let mut predecessor = 0;
        for extent in chain {
            let Extent {
                first_cluster: first,
                clusters,
            } = *extent;
            let owned = Owned {
                first,
                clusters,
                predecessor,
                owner,
            };
            predecessor = owned.last();
            self.extents.push(owned);
        }
    }

    /// Adds the problem to the inspection of each owner that has it.
    pub(super) fn mark<D: ReadAt + ?Sized>(
        mut self,
        view: View<'_, D>,
        results: &mut [Inspection],
    ) -> Result<(), ReadError> {
        if self.extents.is_empty() {
            return Ok(());
        }
        self.extents
            .sort_by_key(|extent| (extent.first, extent.owner));
        self.find_overlaps();
        self.find_in_table(view)?;
        self.find_in_folders(view)?;
        for (owner, cluster) in self.found {
            if let Some(inspection) = results.get_mut(owner) {
                inspection.add_cross_link(cluster);
            }
        }
        Ok(())
    }

    /// Extents are sorted by start, so each one that overlaps any before it overlaps the one that
    /// reaches furthest.
    fn find_overlaps(&mut self) {
        let Some(mut furthest) = self.extents.first().copied() else {
            return;
        };
        for extent in self.extents.iter().skip(1) {
            if extent.first <= furthest.last() && extent.owner != furthest.owner {
                self.found.entry(extent.owner).or_insert(extent.first);
                self.found.entry(furthest.owner).or_insert(extent.first);
            }
            if extent.last() > furthest.last() {
                furthest = *extent;
            }
        }
    }

    fn find_in_table<D: ReadAt + ?Sized>(&mut self, view: View<'_, D>) -> Result<(), ReadError> {
        let geometry = view.geometry;
        let (Some(first), Some(last)) = (
            self.extents.first().map(|e| e.first),
            self.extents.iter().map(Owned::last).max(),
        ) else {
            return Ok(());
        };
        let mut found = std::mem::take(&mut self.found);
        scan::scan(
            view.device,
            geometry,
            FIRST_CLUSTER..=geometry.last_cluster(),
            |from, raw| {
                if (first..=last).contains(&raw)
                    && let Some(extent) = self.extent_of(raw)
                    && from != extent.expected_predecessor(raw)
                {
                    found.entry(extent.owner).or_insert(raw);
                }
                ControlFlow::Continue(())
            },
        )
        .map_err(ReadError::Io)?;
        self.found = found;
        Ok(())
    }

    fn find_in_folders<D: ReadAt + ?Sized>(&mut self, view: View<'_, D>) -> Result<(), ReadError> {
        let mut found = std::mem::take(&mut self.found);
        let mut check = |slot: Option<u64>, cluster: u32| {
            let Some(extent) = self.extent_of(cluster) else {
                return;
            };
            if self.slot_of_owner.get(&extent.owner).copied() != slot {
                found.entry(extent.owner).or_insert(cluster);
            }
        };
        if let Root::Chain { first_cluster } = view.geometry.root {
            check(None, first_cluster);
        }
        dir::walk(view, |slot, cluster| check(Some(slot), cluster))?;
        self.found = found;
        Ok(())
    }

    /// The extent with this cluster.
    fn extent_of(&self, cluster: u32) -> Option<Owned> {
        let after = self
            .extents
            .partition_point(|extent| extent.first <= cluster);
        let extent = self.extents.get(after.checked_sub(1)?)?;
        (cluster <= extent.last()).then_some(*extent)
    }
}

/// What is wrong with the chain of the folder that starts at `first_cluster`: it is broken, or
/// something else leads into it, too. The root is led to by the boot sector, any other folder by
/// one entry.
pub(crate) fn folder_problem<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    first_cluster: u32,
) -> Result<Option<ChainProblem>, ReadError> {
    const FOLDER: usize = 0;
    let mut batch = Batch::default();
    let (extents, problem) = chains::folder(view, first_cluster).map_err(ReadError::Io)?;
    if problem.is_some() {
        return Ok(problem);
    }
    batch.add(FOLDER, 0, &extents);
    batch.extents.sort_by_key(|extent| extent.first);
    batch.find_in_table(view)?;
    let mut shared = batch.found.get(&FOLDER).copied();
    let mut is_led_to = view.geometry.root == Root::Chain { first_cluster };
    dir::walk(view, |_, cluster| {
        if cluster == first_cluster && !is_led_to {
            is_led_to = true;
        } else if batch.extent_of(cluster).is_some() {
            shared.get_or_insert(cluster);
        }
    })?;
    Ok(shared.map(|cluster| ChainProblem::CrossLinked { cluster }))
}

impl Owned {
    fn expected_predecessor(&self, cluster: u32) -> u32 {
        if cluster == self.first {
            self.predecessor
        } else {
            cluster - 1
        }
    }
}
