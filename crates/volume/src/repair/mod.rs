//! Repair of a volume that a host left in the middle of its work.
//!
//! Nothing of the user's is thrown away: what belongs to no file becomes one. The rules and the
//! bounds are in `docs/SPEC.md` sections 1.7 and 1.4. One call plans one round of limited size.
//!
//! The steps build on each other, each reading what those before it wrote into the overlay:
//! * `table`: both copies of the table become one, and every link leads to a cluster in use. From
//!   here on a free cluster is one that nothing refers to, so that later steps may allocate.
//! * `folders`: a folder at a time, its chain and its slots (`slots`, `entries`, `long`, `dots`,
//!   `names`). From here on the folders are a tree, and no entry starts at a free cluster.
//! * `files`: each file's chain against its length (`fit`), those that fit before those that do
//!   not; clusters that two files have are copied.
//! * `lost`: what is in use and was reached by no entry becomes files (`recovered`).
//! * `marks`: the count of free space, then the marks that say that a host was not done.
//!
//! Each step's changes leave the volume no worse when the round ends after them, but for one: what
//! lies behind an end mark that was moved is seen as it is until the next round comes to it. `used`
//! has a bit for each cluster that some entry reached in this round.

mod dots;
mod entries;
mod files;
mod fit;
mod folders;
mod long;
mod lost;
mod marks;
mod names;
mod recovered;
mod report;
mod rounds;
mod slots;
mod state;
mod table;

use crate::boot::Geometry;
use crate::change::{ChangeSet, Identity};
use crate::device::ReadAt;
use crate::error::{ReadError, RepairError};
use crate::time::FatTime;

use state::{Halt, Repairer, Step};

pub use report::{Fault, Finding, MAX_FINDINGS, Repair, RepairLimits, RepairReport};
pub use rounds::{repair, repair_with};

/// Most clusters of a volume that is repaired: three bits of memory each, 24 MiB in all.
pub const MAX_REPAIR_CLUSTERS: u32 = 1 << 26;

/// Plans one round.
pub(crate) fn round<D: ReadAt>(
    device: &D,
    geometry: &Geometry,
    limits: RepairLimits,
    time: FatTime,
) -> Result<Repair, RepairError> {
    if geometry.clusters > MAX_REPAIR_CLUSTERS {
        return Err(RepairError::TooManyClusters {
            clusters: geometry.clusters,
            limit: MAX_REPAIR_CLUSTERS,
        });
    }
    let mut repairer = Repairer::new(device, geometry, limits, time);
    let is_complete = match run(&mut repairer) {
        Ok(()) => true,
        Err(Halt::RoundFull) => false,
        Err(Halt::Error(error)) => return Err(error),
    };
    let Repairer { edit, report, .. } = repairer;
    let sectors = edit.overlay.finish().map_err(ReadError::Io)?;
    // A round ends early only because it changed much.
    if !is_complete && sectors.is_empty() {
        return Err(RepairError::NoEnd);
    }
    Ok(Repair {
        changes: ChangeSet {
            identity: Identity::of(geometry, device.len()),
            sectors,
        },
        is_complete,
        report,
    })
}

fn run<D: ReadAt>(repairer: &mut Repairer<'_, D>) -> Step {
    repairer.merge_tables()?;
    repairer.check_folders()?;
    repairer.check_files()?;
    repairer.recover_lost()?;
    repairer.correct_free_space()?;
    repairer.clear_marks()
}
