//! Whether files are complete and consistent: the acceptance rules that one look at the medium can
//! decide (`docs/SPEC.md` section 1).
//!
//! For the entries asked for: follow each chain (`chains`), look for NUL tails (`nul_tail`), then
//! pass once over the allocation table and once over the folders for anything else that leads into
//! those chains (`crosslink`). Memory follows the number of extents, at most [`MAX_EXTENTS`].

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

pub(crate) use crosslink::shared_cluster;
pub use problem::{ChainProblem, Extent, Inspection};

/// Most extents held at a time; a file in more pieces is refused, more files take another pass.
pub(crate) const MAX_EXTENTS: usize = 131_072;

/// Inspects the entries; the result has their order.
pub(crate) fn inspect<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    entries: &[Entry],
) -> Result<Vec<Inspection>, ReadError> {
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
        let inspection = one(view, entry)?;
        if batch.len() + inspection.extents.len() > MAX_EXTENTS {
            std::mem::take(&mut batch).mark(view, &mut results)?;
        }
        batch.add(number, entry.slot_offset_bytes, &inspection.extents);
        results.push(inspection);
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

fn one<D: ReadAt + ?Sized>(view: View<'_, D>, entry: &Entry) -> Result<Inspection, ReadError> {
    let mut inspection = chains::follow(view, entry).map_err(ReadError::Io)?;
    if !entry.is_dir() && inspection.problems.is_empty() {
        let bytes = nul_tail::find(view, entry.len_bytes, &inspection.extents);
        if let Some(bytes) = bytes.map_err(ReadError::Io)? {
            inspection.problems.push(ChainProblem::NulTail { bytes });
        }
    }
    Ok(inspection)
}
