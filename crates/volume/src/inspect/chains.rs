//! Follows one entry's chain: its extents, its length against the entry's, its end, and both copies
//! of the allocation table.
//!
//! Bounds: one step more than the length needs (a folder: than the largest folder needs),
//! [`MAX_EXTENTS`](super::MAX_EXTENTS), and what the caller has [`Followed`] already: a chain that
//! comes to a cluster of an earlier one is cross-linked, and followed no further.

use std::io;

use super::MAX_EXTENTS;
use super::problem::{ChainProblem, Extent, Inspection};
use crate::bitmap::Bitmap;
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

/// What the chains of one call have come to.
pub(super) struct Followed {
    clusters: Bitmap,
    /// Steps that are left. On a volume that nobody writes meanwhile they suffice: a chain takes at
    /// most three times its clusters ([`ChainWalk`]), and no two have one in common.
    steps_left: u64,
}

impl Followed {
    pub(super) fn new(geometry: &Geometry) -> Self {
        Self {
            clusters: Bitmap::new(geometry.last_cluster()),
            steps_left: 3 * u64::from(geometry.clusters),
        }
    }

    fn add(&mut self, chain: &[Extent]) {
        for extent in chain {
            let clusters = extent.first_cluster..extent.first_cluster + extent.clusters;
            clusters.for_each(|cluster| self.clusters.set(cluster));
        }
    }
}

/// Follows the chain.
pub(super) fn follow<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    entry: &Entry,
    followed: &mut Followed,
) -> io::Result<(Inspection, Vec<Extent>)> {
    let mut inspection = Inspection {
        entry_bytes: entry.len_bytes,
        ..Inspection::default()
    };
    let mut chain = Chain {
        extents: Vec::new(),
        clusters: 0,
        followed,
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
        return Ok((inspection, Vec::new()));
    }
    let problem = chain.follow(view, entry.first_cluster, &expected)?;
    inspection.problems.extend(problem);
    inspection.chain_clusters = chain.clusters;
    inspection.pieces = chain.extents.len();
    if let Some(cluster) = copies_differ(view, &chain.extents)? {
        inspection
            .problems
            .push(ChainProblem::FatCopiesDiffer { cluster });
    }
    chain.followed.add(&chain.extents);
    Ok((inspection, chain.extents))
}

/// The extents of a folder, and where its chain cannot be followed to its end, why.
pub(super) fn folder<D: ReadAt + ?Sized>(
    view: View<'_, D>,
    first_cluster: u32,
) -> io::Result<(Vec<Extent>, Option<ChainProblem>)> {
    let expected = Expected::of_folder(view.geometry);
    let mut chain = Chain {
        extents: Vec::new(),
        clusters: 0,
        followed: &mut Followed::new(view.geometry),
    };
    let problem = chain.follow(view, first_cluster, &expected)?;
    Ok((chain.extents, problem))
}

/// A chain while it is followed.
struct Chain<'a> {
    extents: Vec<Extent>,
    clusters: u32,
    followed: &'a mut Followed,
}

impl Chain<'_> {
    /// The first problem ends the walk.
    fn follow<D: ReadAt + ?Sized>(
        &mut self,
        view: View<'_, D>,
        first: u32,
        expected: &Expected,
    ) -> io::Result<Option<ChainProblem>> {
        let mut walk = ChainWalk::new(&view, first);
        loop {
            let cluster = match walk.step(&view)? {
                Step::Cluster(cluster) => cluster,
                Step::Stop(ChainEnd::EndMark) if self.clusters < expected.least => {
                    let clusters = self.clusters;
                    return Ok(Some(ChainProblem::TooShort {
                        clusters,
                        needed: expected.least,
                    }));
                }
                Step::Stop(ChainEnd::EndMark) => return Ok(None),
                Step::Stop(end) => return Ok(Some(ChainProblem::from_end(end))),
            };
            if self.clusters >= expected.most {
                return Ok(Some(expected.if_longer));
            }
            if self.followed.clusters.has(cluster) {
                return Ok(Some(ChainProblem::CrossLinked { cluster }));
            }
            let Some(left) = self.followed.steps_left.checked_sub(1) else {
                return Ok(Some(ChainProblem::Loop));
            };
            self.followed.steps_left = left;
            if !push(&mut self.extents, cluster) {
                return Ok(Some(ChainProblem::TooFragmented));
            }
            self.clusters += 1;
        }
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
