//! The reader's budget, as `docs/SPEC.md` section 1.4 has it: the most reads, bytes read and bytes
//! of memory of each operation, as a function of the volume's geometry and of named constants.
//! Nothing in it depends on what the volume holds, but for the number and length of the files that
//! the caller names. What changes a volume is in `changes`.

mod changes;

use mailbox::limits::{JOBS_MAX, PROMPT_LIMIT_BYTES};
use volume::{Entry, Geometry, MAX_DIR_SLOTS, MAX_TREE_FOLDERS, MAX_TREE_SLOTS, Root};

use crate::alloc::peak_of;
use crate::metered::{Metered, Reads};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// Longest read of anything.
pub const MAX_READ_BYTES: u64 = 64 * KIB;
/// A window of the allocation table.
const WINDOW_BYTES: u64 = 4 * KIB;
/// Pieces in which folders are read.
const PIECE_BYTES: u64 = 4 * KIB;
const SLOT_BYTES: u64 = 32;
/// Part of the end of a file that is searched for NUL bytes.
const NUL_SEARCH_BYTES: u64 = MIB;
/// Extents held at a time.
const MAX_EXTENTS: u64 = 131_072;
/// How many times an inspection follows the volume's clusters: where a chain runs in a circle, that
/// is known after as many steps.
const FOLLOWED_TIMES: u64 = 3;

/// Memory of an operation that returns nothing large: 16 windows, buffers of at most a cluster or
/// 64 KiB, short texts.
const FIXED_MEMORY_BYTES: u64 = 256 * KIB;
/// Memory for each slot of a folder that is listed: an entry, its two names, and the list growing.
const LISTED_SLOT_BYTES: u64 = 256;
/// Memory for each entry that is inspected: its result, what is known of it, the list growing.
const INSPECTED_BYTES: u64 = 256;
/// Memory for each extent held: itself in a batch and in its chain, both growing.
const EXTENT_BYTES: u64 = 80;
/// Memory for each folder that a walk enters.
const FOLDER_BYTES: u64 = 64;
/// Memory of a whole reading for each slot of its folders: the folded path in a set that grows,
/// the time of the file, and the path while its folder is read.
const SCANNED_SLOT_BYTES: u64 = 160;
/// Memory of a whole reading for each prompt and for the settings, beside that of the inspection.
const CHOSEN_BYTES: u64 = KIB;

/// The most that one operation may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Reads and bytes read.
    pub reads: Reads,
    /// Bytes of memory beside what was held before.
    pub memory_bytes: u64,
}

impl Limit {
    /// Does something; panics where it costs more.
    pub fn within<T>(self, device: &Metered, what: &str, work: impl FnOnce() -> T) -> T {
        device.take_reads();
        let (result, memory_bytes) = peak_of(work);
        self.check(what, device, memory_bytes);
        result
    }

    /// Panics where an operation that has just ended cost more.
    pub fn check(self, what: &str, device: &Metered, memory_bytes: u64) {
        self.check_taken(what, device.take_reads(), memory_bytes);
        let longest_bytes = device.longest_bytes();
        assert!(longest_bytes <= MAX_READ_BYTES, "{what}: {longest_bytes}");
    }

    /// The same for what was read.
    pub fn check_taken(self, what: &str, taken: Reads, memory_bytes: u64) {
        let Reads { count, bytes } = taken;
        let Self { reads, .. } = self;
        assert!(count <= reads.count, "{what}: {count} reads, {self:?}");
        assert!(bytes <= reads.bytes, "{what}: {bytes} bytes read, {self:?}");
        let bytes = memory_bytes;
        assert!(
            bytes <= self.memory_bytes,
            "{what}: {bytes} bytes of memory, {self:?}"
        );
    }

    /// Both within one operation.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let memory_bytes = self.memory_bytes + other.memory_bytes;
        Self {
            memory_bytes,
            ..self.then(other)
        }
    }

    /// One operation after another: what each returns goes before the next.
    #[must_use]
    pub fn then(self, other: Self) -> Self {
        Self {
            reads: Reads {
                count: self.reads.count + other.reads.count,
                bytes: self.reads.bytes + other.reads.bytes,
            },
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
        }
    }
}

/// The limits on one volume.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    cluster_bytes: u64,
    clusters: u64,
    table_bytes: u64,
    piece_bytes: u64,
    sector_bytes: u64,
    /// Of FAT16's root.
    root_slots: u64,
    /// Most slots that a walk over all folders can come to.
    slots: u64,
}

impl Budget {
    /// Of [`volume::Volume::open`], whatever is there.
    pub const OPEN: Limit = Limit {
        reads: Reads {
            count: 17,
            bytes: 17 * 512,
        },
        memory_bytes: KIB,
    };

    /// The budget of a volume.
    #[must_use]
    pub fn of(geometry: &Geometry) -> Self {
        let cluster_bytes = u64::from(geometry.cluster_bytes);
        let root_slots = match geometry.root {
            Root::Fixed { slots, .. } => u64::from(slots),
            Root::Chain { .. } => 0,
        };
        let slots = root_slots + u64::from(geometry.clusters) * (cluster_bytes / SLOT_BYTES);
        Self {
            cluster_bytes,
            clusters: u64::from(geometry.clusters),
            table_bytes: geometry.fat_bytes,
            piece_bytes: cluster_bytes.min(PIECE_BYTES),
            sector_bytes: u64::from(geometry.sector_bytes),
            root_slots,
            slots: slots.min(u64::from(MAX_TREE_SLOTS)),
        }
    }

    /// `pieces` reads of data, `steps` of table windows.
    fn data(data_reads: u64, data_bytes: u64, steps: u64, memory_bytes: u64) -> Limit {
        Limit {
            reads: Reads {
                count: data_reads + steps,
                bytes: data_bytes + steps * WINDOW_BYTES,
            },
            memory_bytes,
        }
    }

    /// One pass over one folder.
    #[must_use]
    pub fn folder(&self) -> Limit {
        let bytes = u64::from(MAX_DIR_SLOTS) * SLOT_BYTES;
        let pieces = bytes.div_ceil(self.piece_bytes) + 1;
        let steps = bytes.div_ceil(self.cluster_bytes) + 1;
        let read_bytes = bytes + self.piece_bytes;
        Self::data(pieces, read_bytes, steps, FIXED_MEMORY_BYTES)
    }

    /// [`volume::Volume::label`].
    #[must_use]
    pub fn label(&self) -> Limit {
        self.folder()
    }

    /// [`volume::Volume::dirty_marks`].
    #[must_use]
    pub fn dirty_marks(&self) -> Limit {
        Self::data(1, 1, 1, FIXED_MEMORY_BYTES)
    }

    /// [`volume::Volume::free_bytes`].
    #[must_use]
    pub fn free_bytes(&self) -> Limit {
        let reads = self.table_bytes.div_ceil(MAX_READ_BYTES);
        Self::data(reads, self.table_bytes, 0, FIXED_MEMORY_BYTES)
    }

    /// [`volume::Volume::find`] of a path of `parts`.
    #[must_use]
    pub fn find(&self, parts: u64) -> Limit {
        let Limit {
            reads: Reads { count, bytes },
            memory_bytes,
        } = self.folder();
        Limit {
            reads: Reads {
                count: parts * count,
                bytes: parts * bytes,
            },
            memory_bytes,
        }
    }

    /// [`volume::Volume::list`] of a folder whose path has `parts`.
    #[must_use]
    pub fn list(&self, parts: u64) -> Limit {
        let listed_bytes = u64::from(MAX_DIR_SLOTS) * LISTED_SLOT_BYTES;
        Limit {
            memory_bytes: FIXED_MEMORY_BYTES + listed_bytes,
            ..self.find(parts + 1)
        }
    }

    /// [`volume::Volume::read`] of a file of `len_bytes`.
    #[must_use]
    pub fn read(&self, len_bytes: u64) -> Limit {
        let clusters = len_bytes.div_ceil(self.cluster_bytes);
        let memory_bytes = FIXED_MEMORY_BYTES + 3 * len_bytes;
        Self::data(clusters, len_bytes, clusters, memory_bytes)
    }

    /// [`volume::Volume::inspect`] of these entries, whose chains had `pieces` pieces in all.
    #[must_use]
    pub fn inspect(&self, entries: &[Entry], pieces: u64) -> Limit {
        let lens = entries.iter().map(|entry| match entry.is_dir() {
            true => u64::from(MAX_DIR_SLOTS) * SLOT_BYTES,
            false => u64::from(entry.len_bytes),
        });
        self.inspect_lens(lens, pieces)
    }

    fn inspect_lens(&self, lens_bytes: impl Iterator<Item = u64>, pieces: u64) -> Limit {
        let (mut count, mut steps, mut tails) = (0, 0, 0);
        for len_bytes in lens_bytes {
            count += 1;
            let clusters = len_bytes.div_ceil(self.cluster_bytes);
            steps += clusters + 1;
            tails += clusters.min(NUL_SEARCH_BYTES.div_ceil(self.cluster_bytes) + 1);
        }
        let followed = FOLLOWED_TIMES * self.clusters;
        let steps = 3 * steps.min(followed + count);
        let tails = tails.min(followed);
        let passes = 1 + 2 * pieces / MAX_EXTENTS;
        let scan = self.free_bytes().reads;
        let walk = self.walk().reads;
        let chains = Self::data(tails, tails * self.cluster_bytes, steps, 0).reads;
        let held = pieces.min(MAX_EXTENTS);
        let folders = (MAX_TREE_FOLDERS as u64).min(self.clusters);
        Limit {
            reads: Reads {
                count: chains.count + passes * (scan.count + walk.count),
                bytes: chains.bytes + passes * (scan.bytes + walk.bytes),
            },
            memory_bytes: FIXED_MEMORY_BYTES
                + count * INSPECTED_BYTES
                + held * EXTENT_BYTES
                + folders * FOLDER_BYTES
                + self.clusters.div_ceil(8),
        }
    }

    /// One walk over all folders.
    fn walk(&self) -> Limit {
        let slots = u64::from(MAX_TREE_SLOTS) + u64::from(MAX_DIR_SLOTS);
        let bytes = slots * SLOT_BYTES;
        let folders = MAX_TREE_FOLDERS as u64 + 1;
        let pieces = bytes.div_ceil(self.piece_bytes) + folders;
        let steps = bytes.div_ceil(self.cluster_bytes) + folders;
        Self::data(pieces, pieces * self.piece_bytes, steps, 0)
    }

    /// [`scan::Scan::read`]: the marks, three folders, an inspection of the files of interest (the
    /// settings and at most so many prompts), and the content of those that are short enough.
    #[must_use]
    pub fn scan(&self) -> Limit {
        let files = JOBS_MAX as u64 + 1;
        // Longer ones are refused for that, and their chains not followed. Each cluster may be a
        // piece of its own.
        let lens = std::iter::repeat_n(PROMPT_LIMIT_BYTES, JOBS_MAX + 1);
        let pieces = files * PROMPT_LIMIT_BYTES.div_ceil(self.cluster_bytes);
        let inspect = self.inspect_lens(lens, pieces.min(FOLLOWED_TIMES * self.clusters));
        let content = self.read(PROMPT_LIMIT_BYTES).reads;
        let steps = self.dirty_marks().then(self.list(0));
        let steps = steps.then(self.list(1)).then(self.list(1)).then(inspect);
        let slots = mailbox::FOLDERS.len() as u64 * u64::from(MAX_DIR_SLOTS);
        Limit {
            reads: Reads {
                count: steps.reads.count + files * content.count,
                bytes: steps.reads.bytes + files * content.bytes,
            },
            memory_bytes: steps.memory_bytes
                + 3 * PROMPT_LIMIT_BYTES
                + slots * SCANNED_SLOT_BYTES
                + files * CHOSEN_BYTES,
        }
    }
}
