//! Whether files are complete and consistent: the acceptance rules that one look at the medium can
//! decide (`docs/SPEC.md` section 1).
//!
//! For the entries asked for: follow each chain (`chains`), look for NUL tails (`nul_tail`), then
//! pass once over the allocation table and once over the folders for anything else that leads into
//! those chains (`crosslink`). Memory follows the number of extents, at most [`MAX_EXTENTS`].
//!
//! Files that share clusters could make the work the product of their number and the volume's
//! size. So a cluster is followed for one file of a call only: the next that comes to it is
//! cross-linked, as the first is.

mod chains;
mod crosslink;
mod nul_tail;
mod problem;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use crate::device::ReadAt;
use crate::dir::Entry;
use crate::error::ReadError;
use crate::view::View;

pub use problem::{ChainProblem, Inspection};

pub(crate) use crosslink::folder_problem;
pub(crate) use problem::Extent;

/// Most extents held at a time; a file in more pieces is refused, more files take another pass.
pub(crate) const MAX_EXTENTS: usize = 131_072;

/// Inspects the entries; the result has their order.
pub(crate) fn inspect<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    entries: &[Entry],
) -> Result<Vec<Inspection>, ReadError> {
    inspect_and_keep(view, entries, |_| {})
}

/// The same, and `keep` gets the chain of each entry in turn, as far as it was followed.
pub(crate) fn inspect_and_keep<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    entries: &[Entry],
    mut keep: impl FnMut(Vec<Extent>),
) -> Result<Vec<Inspection>, ReadError> {
    let mut followed = chains::Followed::new(view.geometry);
    // An entry that was named twice must not be taken for two that share clusters.
    let mut first_of_slot = BTreeMap::new();
    let mut results: Vec<Inspection> = Vec::with_capacity(entries.len());
    let mut batch = crosslink::Batch::default();
    for (number, entry) in entries.iter().enumerate() {
        match first_of_slot.entry(entry.slot_offset_bytes) {
            Slot::Occupied(_) => {
                results.push(Inspection::default());
                continue;
            }
            Slot::Vacant(vacant) => vacant.insert(number),
        };
        let (inspection, chain) = one(view, entry, &mut followed)?;
        if batch.len() + chain.len() > MAX_EXTENTS {
            std::mem::take(&mut batch).mark(view, &mut results)?;
        }
        batch.add(number, entry.slot_offset_bytes, &chain);
        results.push(inspection);
        keep(chain);
    }
    batch.mark(view, &mut results)?;
    for (number, entry) in entries.iter().enumerate() {
        match first_of_slot.get(&entry.slot_offset_bytes) {
            Some(first) if *first != number => results[number] = results[*first].clone(),
            _ => {}
        }
    }
    Ok(results)
}

fn one<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    entry: &Entry,
    followed: &mut chains::Followed,
) -> Result<(Inspection, Vec<Extent>), ReadError> {
    let (mut inspection, chain) = chains::follow(view, entry, followed).map_err(ReadError::Io)?;
    if !entry.is_dir() && inspection.problems.is_empty() {
        let bytes = nul_tail::find(view, entry.len_bytes, &chain);
        if let Some(bytes) = bytes.map_err(ReadError::Io)? {
            inspection.problems.push(ChainProblem::NulTail { bytes });
        }
    }
    Ok((inspection, chain))
}
