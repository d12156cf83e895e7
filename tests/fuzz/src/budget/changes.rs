//! The budget of what changes a volume: the calls of an edit, and a round of repair.

use volume::{MAX_DIR_SLOTS, MAX_FINDINGS, MAX_TREE_FOLDERS, MAX_TREE_SLOTS, RepairLimits};

use super::{
    Budget, FIXED_MEMORY_BYTES, FOLLOWED_TIMES, Limit, MAX_READ_BYTES, SLOT_BYTES, WINDOW_BYTES,
};
use crate::metered::Reads;

/// Memory for each slot of a folder that something is put into: its names, folded, in sets that
/// grow.
const NAMED_SLOT_BYTES: u64 = 320;
/// Passes over the table of a call of an edit: one for cross-links; and to allocate, twice round,
/// for the content, and for each cluster by which the folder grows.
const EDIT_SCANS: u64 = 7;
/// Reads of a call of an edit for each cluster: its entry and the sector that this is in, in both
/// copies, and its content.
const EDIT_STEPS: u64 = 5;
/// Other reads of a call: slots, `FSInfo`, ends of sectors.
const EDIT_REST: u64 = 32;

/// Of a round of repair, the reads of the table for each cluster: to merge the copies 4, for the
/// steps that files which do not fit may take 12, and for what becomes of it (in a folder, claimed,
/// copied or recovered) 8.
const REPAIR_STEPS: u64 = 24;
/// And of its content: as the beginning of a folder, as its continuation, and to be copied.
const REPAIR_CONTENTS: u64 = 3;
/// Walks over all folders; in each an entry takes one look at where it starts. The folders that
/// take recovered files are read once more, which is at most one walk.
const REPAIR_WALKS: u64 = 3;
/// Passes over the table: two copies to be merged, three for lost chains, one that counts, and two
/// that allocations may take.
const REPAIR_SCANS: u64 = 8;
/// Memory for a sector that changes, beside it as it is and as it shall be.
const CHANGED_BYTES: u64 = 192;
/// Memory for a folder that waits to be mended: itself in a list that grows, and a path of 260.
const MENDED_FOLDER_BYTES: u64 = 432;
/// Memory for a slot of the folder at hand: the short name in a set that grows, and its place
/// behind the end mark.
const MENDED_SLOT_BYTES: u64 = 64;
/// Memory for a finding: itself and the path in it.
const FINDING_BYTES: u64 = 640;

impl Budget {
    /// [`volume::Edit::create`] or [`volume::Edit::make_dir`] of a path of `parts`.
    #[must_use]
    pub fn create(&self, parts: u64, len_bytes: u64) -> Limit {
        self.call(parts + 2, len_bytes.div_ceil(self.cluster_bytes))
            .and(self.walk())
    }

    /// [`volume::Edit::replace`] of a file of `old_bytes`.
    #[must_use]
    pub fn replace(&self, parts: u64, old_bytes: u64, len_bytes: u64) -> Limit {
        let old = old_bytes.div_ceil(self.cluster_bytes);
        let old = old.min(FOLLOWED_TIMES * self.clusters);
        self.call(parts, old + len_bytes.div_ceil(self.cluster_bytes))
            .and(self.inspect_lens(std::iter::once(old_bytes), old))
    }

    /// [`volume::Edit::finish`] after calls that wrote so many bytes of content: each sector that
    /// may have changed is read once. Both tables, content, and folders that were made or grew.
    #[must_use]
    pub fn finish(&self, calls: u64, len_bytes: u64) -> Limit {
        let written_bytes = len_bytes + calls * 4 * self.cluster_bytes;
        let sectors = (2 * self.table_bytes + written_bytes) / self.sector_bytes + 8 * calls;
        Limit {
            reads: Reads {
                count: sectors,
                bytes: sectors * self.sector_bytes,
            },
            memory_bytes: FIXED_MEMORY_BYTES + sectors * (self.sector_bytes + CHANGED_BYTES),
        }
    }

    fn call(&self, folders: u64, clusters: u64) -> Limit {
        let scan = self.free_bytes().reads;
        let folder = self.folder().reads;
        let steps = EDIT_STEPS * clusters + EDIT_REST;
        let content_bytes = clusters * self.cluster_bytes;
        Limit {
            reads: Reads {
                count: folders * folder.count + EDIT_SCANS * scan.count + steps,
                bytes: folders * folder.bytes
                    + EDIT_SCANS * scan.bytes
                    + steps * WINDOW_BYTES
                    + content_bytes,
            },
            memory_bytes: FIXED_MEMORY_BYTES
                + u64::from(MAX_DIR_SLOTS) * NAMED_SLOT_BYTES
                + 3 * content_bytes,
        }
    }

    /// [`volume::Volume::repair`], one round.
    #[must_use]
    pub fn repair(&self, limits: RepairLimits) -> Limit {
        let change_bytes = limits.change_bytes.max(RepairLimits::MIN_CHANGE_BYTES)
            + u64::from(MAX_DIR_SLOTS) * SLOT_BYTES
            + self.cluster_bytes;
        let changed = change_bytes / self.sector_bytes;
        let scans = REPAIR_SCANS * self.free_bytes().reads.count;
        let walk = self.walk_apart();
        let contents = REPAIR_CONTENTS * self.clusters;
        let steps = REPAIR_STEPS * self.clusters + REPAIR_WALKS * self.slots;
        let count = contents + steps + scans + (REPAIR_WALKS + 1) * walk.count + 2 * changed + 64;
        // Each cluster that is allocated is looked for in a piece of the table.
        let allocated = change_bytes / self.cluster_bytes;
        let bytes = contents * self.cluster_bytes
            + (steps + 64) * WINDOW_BYTES
            + (scans + allocated) * MAX_READ_BYTES
            + (REPAIR_WALKS + 1) * walk.bytes
            + 2 * change_bytes;
        let folders = (MAX_TREE_FOLDERS as u64).min(self.clusters);
        Limit {
            reads: Reads { count, bytes },
            memory_bytes: FIXED_MEMORY_BYTES
                + 3 * self.clusters / 8
                + u64::from(MAX_TREE_SLOTS) / 8
                + changed * (2 * self.sector_bytes + CHANGED_BYTES)
                + folders * MENDED_FOLDER_BYTES
                + u64::from(MAX_DIR_SLOTS) * MENDED_SLOT_BYTES
                + MAX_FINDINGS as u64 * FINDING_BYTES,
        }
    }

    /// A walk over folders of which no two share a cluster.
    fn walk_apart(&self) -> Reads {
        let walk = self.walk().reads;
        let slots_bytes = self.root_slots * SLOT_BYTES;
        let content_bytes = self.clusters * self.cluster_bytes + slots_bytes;
        let pieces = content_bytes / self.piece_bytes + 2;
        Reads {
            count: walk.count.min(pieces + self.clusters),
            bytes: walk
                .bytes
                .min(pieces * self.piece_bytes + self.clusters * WINDOW_BYTES),
        }
    }
}
