//! Follows one entry's chain: its extents, its length against the entry's, its end, and both copies
//! of the allocation table.
//!
//! Bounds: one step more than the length needs (a folder: than the largest folder needs), and
//! [`MAX_EXTENTS`](super::MAX_EXTENTS).

use std::io;

use super::MAX_EXTENTS;
use super::problem::{ChainProblem, Extent, Inspection};
use crate::boot::Geometry;
use crate::chain::{ChainEnd, ChainWalk, Step};
use crate::device::ReadAt;
use crate::dir::{DIR_SLOT_BYTES, Entry, MAX_DIR_SLOTS};
use crate::view::View;

/// How many clusters an entry should have.
struct Expected {
    least: u32,
    most: u32,
    if_longer: ChainProblem,
}

impl Expected {
    fn of(geometry: &Geometry, entry: &Entry) -> Self {
        if entry.is_dir() {
            return Self::of_folder(geometry);
        }
        let needed = clusters(geometry, u64::from(entry.len_bytes));
        Self {
            least: needed,
            most: needed,
            if_longer: ChainProblem::TooLong { needed },
        }
    }

    fn of_folder(geometry: &Geometry) -> Self {
        Self {
            least: 1,
            most: clusters(
                geometry,
                u64::from(MAX_DIR_SLOTS) * u64::from(DIR_SLOT_BYTES),
            ),
            if_longer: ChainProblem::FolderTooLong,
        }
    }
}

fn clusters(geometry: &Geometry, bytes: u64) -> u32 {
    u32::try_from(geometry.clusters_for(bytes)).unwrap_or(u32::MAX)
}

pub(super) fn follow<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    entry: &Entry,
) -> io::Result<Inspection> {
    let mut inspection = Inspection {
        entry_bytes: entry.len_bytes,
        ..Inspection::default()
    };
    let expected = Expected::of(view.geometry, entry);
    if entry.first_cluster == 0 {
        if expected.least > 0 {
            let problem = ChainProblem::TooShort {
                clusters: 0,
                needed: expected.least,
            };
            inspection.problems.push(problem);
        }
        return Ok(inspection);
    }
    let problem = follow_clusters(view, entry.first_cluster, &expected, &mut inspection)?;
    inspection.problems.extend(problem);
    if let Some(cluster) = copies_differ(view, &inspection.extents)? {
        inspection
            .problems
            .push(ChainProblem::FatCopiesDiffer { cluster });
    }
    Ok(inspection)
}

/// The extents of a folder, as far as its chain can be followed.
pub(super) fn extents_of_folder<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    first_cluster: u32,
) -> io::Result<Vec<Extent>> {
    let mut inspection = Inspection::default();
    let expected = Expected::of_folder(view.geometry);
    follow_clusters(view, first_cluster, &expected, &mut inspection)?;
    Ok(inspection.extents)
}

/// Fills in the extents; the first problem ends the walk.
fn follow_clusters<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    first: u32,
    expected: &Expected,
    inspection: &mut Inspection,
) -> io::Result<Option<ChainProblem>> {
    let mut walk = ChainWalk::new(&view, first);
    loop {
        let cluster = match walk.step(&view)? {
            Step::Cluster(cluster) => cluster,
            Step::Stop(ChainEnd::EndMark) if inspection.chain_clusters < expected.least => {
                let clusters = inspection.chain_clusters;
                return Ok(Some(ChainProblem::TooShort {
                    clusters,
                    needed: expected.least,
                }));
            }
            Step::Stop(ChainEnd::EndMark) => return Ok(None),
            Step::Stop(end) => return Ok(Some(ChainProblem::from_end(end))),
        };
        if inspection.chain_clusters >= expected.most {
            return Ok(Some(expected.if_longer));
        }
        if !push(&mut inspection.extents, cluster) {
            return Ok(Some(ChainProblem::TooFragmented));
        }
        inspection.chain_clusters += 1;
    }
}

/// Adds a cluster; false when it would be one extent too many.
fn push(extents: &mut Vec<Extent>, cluster: u32) -> bool {
    if let Some(last) = extents.last_mut()
        && last.first_cluster + last.clusters == cluster
    {
        last.clusters += 1;
        return true;
    }
    let fits = extents.len() < MAX_EXTENTS;
    if fits {
        extents.push(Extent {
            first_cluster: cluster,
            clusters: 1,
        });
    }
    fits
}

/// The first cluster of the chain for which the copies of the table differ.
fn copies_differ<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    extents: &[Extent],
) -> io::Result<Option<u32>> {
    for extent in extents {
        for cluster in extent.first_cluster..extent.first_cluster + extent.clusters {
            if !view.copies_agree(cluster)? {
                return Ok(Some(cluster));
            }
        }
    }
    Ok(None)
}
