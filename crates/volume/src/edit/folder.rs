//! Slots: where a new entry goes, growing a folder that is full, and rewriting an entry.
//!
//! An entry's slots are contiguous (specification, "FAT Long Directory Entries"). A slot after the
//! end mark may hold anything, so the end mark moves on when one before it is taken.

use super::Edit;
use super::short_name::{self, ShortName};
use super::taken::Taken;
use crate::boot::FatType;
use crate::bytes::put;
use crate::chain::{ChainEnd, ChainWalk, Step};
use crate::device::ReadAt;
use crate::dir::{self, ATTR_ARCHIVE, ATTR_DIRECTORY, DELETED, DIR_SLOT_BYTES, DirPlace};
use crate::dir::{Entry, MAX_DIR_SLOTS, SlotReader, lfn};
use crate::error::{EditError, ReadError};
use crate::inspect::{self, ChainProblem};
use crate::time::FatTime;

/// What a new entry says besides its name.
pub(crate) struct NewEntry {
    pub(crate) attributes: u8,
    pub(crate) first_cluster: u32,
    pub(crate) len_bytes: u32,
    pub(crate) time: FatTime,
}

/// A folder's slots as a space: areas of `area_slots` slots each.
struct Space {
    areas: Vec<u64>,
    last_cluster: Option<u32>,
    area_slots: u32,
}

impl Space {
    fn slots(&self) -> u32 {
        // Bounded when it was collected: MAX_DIR_SLOTS, or a 16-bit number for FAT16's root.
        u32::try_from(self.areas.len())
            .unwrap_or(u32::MAX)
            .saturating_mul(self.area_slots)
    }

    fn offset(&self, slot: u32) -> Option<u64> {
        let area = self.areas.get((slot / self.area_slots) as usize)?;
        Some(area + u64::from(slot % self.area_slots) * u64::from(DIR_SLOT_BYTES))
    }
}

impl<D: ReadAt> Edit<'_, D> {
    /// Puts a new entry into the folder at `place`, which is the folder of `path`.
    pub(super) fn insert(
        &mut self,
        place: DirPlace,
        path: &str,
        entry: &NewEntry,
    ) -> Result<(), EditError> {
        let (parent, name) = dir::split_parent(path);
        let shorts = self.taken_names(place, parent)?.shorts();
        let short = short_name::generate(name, shorts).ok_or(EditError::FolderFull)?;
        let mut slots = Vec::new();
        if !short_name::says_all(&short, name) {
            slots = lfn::encode(name, &short);
        }
        slots.push(encode_entry(&short, entry, self.is_wide()));
        let mut space = self.space(place)?;
        let (first, moves_end) = self.find_run(place, &mut space, slots.len())?;
        for (number, slot) in (first..).zip(&slots) {
            self.write_slot(&space, number, slot)?;
        }
        let after = (first..).nth(slots.len()).unwrap_or(u32::MAX);
        if moves_end && after < space.slots() {
            self.write_slot(&space, after, &[0; 32])?;
        }
        self.taken_names(place, parent)?.add(name, short);
        Ok(())
    }

    /// Allocates and fills the first cluster of a new folder inside `parent`.
    pub(super) fn store_folder(
        &mut self,
        parent: DirPlace,
        time: FatTime,
    ) -> Result<u32, EditError> {
        let cluster = self.allocate_zeroed()?;
        let is_root = parent == DirPlace::root(self.geometry);
        let parent_cluster = match parent {
            // `..` of a folder in the root says 0, on FAT32 too (specification).
            DirPlace::Chain { first_cluster } if !is_root => first_cluster,
            _ => 0,
        };
        let offset = self.geometry.cluster_offset(cluster).unwrap_or(u64::MAX);
        for (number, (name, first_cluster)) in
            [(b".          ", cluster), (b"..         ", parent_cluster)]
                .into_iter()
                .enumerate()
        {
            let entry = NewEntry {
                attributes: ATTR_DIRECTORY,
                first_cluster,
                len_bytes: 0,
                time,
            };
            let slot = encode_entry(name, &entry, self.is_wide());
            self.write(offset + number as u64 * u64::from(DIR_SLOT_BYTES), &slot)?;
        }
        Ok(cluster)
    }

    /// Points an existing entry to new content.
    pub(super) fn rewrite_entry(
        &mut self,
        entry: &Entry,
        first_cluster: u32,
        len_bytes: u32,
        time: FatTime,
    ) -> Result<(), EditError> {
        let mut slot = [0; 32];
        self.overlay
            .read_at(entry.slot_offset_bytes, &mut slot)
            .map_err(ReadError::Io)?;
        slot[11] |= ATTR_ARCHIVE;
        put_content(&mut slot, first_cluster, len_bytes, time, self.is_wide());
        self.write(entry.slot_offset_bytes, &slot)
    }

    /// Refuses a name that the folder has, and a folder that cannot be trusted: before anything is
    /// allocated, or a cluster that a damaged folder leads to could be taken for what is put into
    /// it.
    pub(super) fn expect_free(&mut self, place: DirPlace, path: &str) -> Result<(), EditError> {
        let (parent, name) = dir::split_parent(path);
        if self.taken_names(place, parent)?.has(name) {
            return Err(EditError::Exists {
                path: name.to_owned(),
            });
        }
        Ok(())
    }

    /// The names that a folder has. One that is damaged, or shares clusters with something else, is
    /// refused: what is put into it would be put into that, too.
    fn taken_names(&mut self, place: DirPlace, folder: &str) -> Result<&mut Taken, EditError> {
        let known = self.taken.iter().position(|taken| taken.is_of(place));
        let at = match known {
            Some(at) => at,
            None => {
                let taken = self.read_names(place, folder)?;
                self.taken.push(taken);
                self.taken.len() - 1
            }
        };
        // Just found or pushed.
        self.taken.get_mut(at).ok_or(EditError::FolderFull)
    }

    fn read_names(&self, place: DirPlace, folder: &str) -> Result<Taken, EditError> {
        if let DirPlace::Chain { first_cluster } = place
            && let Some(problem) = inspect::folder_problem(self.view(), first_cluster)?
        {
            let name = folder.to_owned();
            return Err(EditError::Damaged { name, problem });
        }
        Ok(Taken::read(self.view(), place)?)
    }

    /// The first of `count` free slots in a row, and whether they reach the end mark.
    fn find_run(
        &mut self,
        place: DirPlace,
        space: &mut Space,
        count: usize,
    ) -> Result<(u32, bool), EditError> {
        let count = u32::try_from(count).map_err(|_| EditError::FolderFull)?;
        let mut slots = SlotReader::new(self.view(), place);
        let (mut number, mut run) = (0_u32, 0_u32);
        while let Some(slot) = slots.next()? {
            number += 1;
            run = if slot.bytes[0] == DELETED { run + 1 } else { 0 };
            if run == count {
                return Ok((number - count, false));
            }
        }
        // From here on every slot is free, up to the end of the folder and beyond.
        let first = number - run;
        self.grow(space, first + count)?;
        Ok((first, true))
    }

    /// Adds zeroed clusters until the folder has `slots` slots.
    fn grow(&mut self, space: &mut Space, slots: u32) -> Result<(), EditError> {
        while space.slots() < slots {
            let Some(last) = space.last_cluster else {
                return Err(EditError::RootFull);
            };
            if space.slots() >= MAX_DIR_SLOTS {
                return Err(EditError::FolderFull);
            }
            let cluster = self.allocate_zeroed()?;
            self.set_entry(last, cluster)?;
            space.last_cluster = Some(cluster);
            space
                .areas
                .push(self.geometry.cluster_offset(cluster).unwrap_or(u64::MAX));
        }
        if slots > MAX_DIR_SLOTS {
            Err(EditError::FolderFull)
        } else {
            Ok(())
        }
    }

    pub(crate) fn allocate_zeroed(&mut self) -> Result<u32, EditError> {
        let cluster = self.allocate(1)?.first().copied().unwrap_or(0);
        let offset = self.geometry.cluster_offset(cluster).unwrap_or(u64::MAX);
        self.write(offset, &vec![0; self.geometry.cluster_len()])?;
        Ok(cluster)
    }

    /// All areas of a folder.
    fn space(&self, place: DirPlace) -> Result<Space, EditError> {
        let first_cluster = match place {
            DirPlace::Fixed {
                offset_bytes,
                slots,
            } => {
                let areas = vec![offset_bytes];
                return Ok(Space {
                    areas,
                    last_cluster: None,
                    area_slots: slots,
                });
            }
            DirPlace::Chain { first_cluster } => first_cluster,
        };
        let area_slots = self.geometry.cluster_bytes / DIR_SLOT_BYTES;
        let mut space = Space {
            areas: Vec::new(),
            last_cluster: None,
            area_slots,
        };
        let view = self.view();
        let mut walk = ChainWalk::new(&view, first_cluster);
        loop {
            match walk.step(&view).map_err(ReadError::Io)? {
                Step::Cluster(_) if space.slots() >= MAX_DIR_SLOTS => {
                    return Err(ReadError::FolderTooLong.into());
                }
                Step::Cluster(cluster) => {
                    space
                        .areas
                        .push(self.geometry.cluster_offset(cluster).unwrap_or(u64::MAX));
                    space.last_cluster = Some(cluster);
                }
                Step::Stop(ChainEnd::EndMark) => return Ok(space),
                Step::Stop(end) => {
                    let problem = ChainProblem::from_end(end);
                    return Err(ReadError::Chain {
                        name: String::new(),
                        problem,
                    }
                    .into());
                }
            }
        }
    }

    fn write_slot(&mut self, space: &Space, number: u32, slot: &[u8; 32]) -> Result<(), EditError> {
        let offset = space.offset(number).ok_or(EditError::FolderFull)?;
        self.write(offset, slot)
    }

    /// Whether an entry has the upper half of its first cluster.
    fn is_wide(&self) -> bool {
        self.geometry.fat_type == FatType::Fat32
    }
}

/// A slot with all times set to the entry's.
pub(crate) fn encode_entry(short: &ShortName, entry: &NewEntry, wide: bool) -> [u8; 32] {
    let mut slot = [0; 32];
    put(&mut slot, 0, short);
    slot[11] = entry.attributes;
    put(&mut slot, 14, &entry.time.time.to_le_bytes());
    put(&mut slot, 16, &entry.time.date.to_le_bytes());
    put_content(
        &mut slot,
        entry.first_cluster,
        entry.len_bytes,
        entry.time,
        wide,
    );
    slot
}

/// First cluster, length, and the dates of access and modification.
fn put_content(slot: &mut [u8; 32], first_cluster: u32, len_bytes: u32, time: FatTime, wide: bool) {
    let cluster = first_cluster.to_le_bytes();
    put(slot, 18, &time.date.to_le_bytes());
    if wide {
        put(slot, 20, &cluster[2..]);
    }
    put(slot, 22, &time.time.to_le_bytes());
    put(slot, 24, &time.date.to_le_bytes());
    put(slot, 26, &cluster[..2]);
    put(slot, 28, &len_bytes.to_le_bytes());
}
