//! Every folder of the volume, parents first: its chain, then each of its slots.
//!
//! Invariant: a folder is entered when its first cluster is claimed for it, so each is entered once
//! and the folders are a tree. Bounds as for [`crate::dir::walk`].

use std::collections::HashSet;

use super::dots::Look;
use super::long::LongSlots;
use super::names::{self, ShortName};
use super::report::Fault;
use super::slots::{Folder, Slots};
use super::state::{Halt, Repairer, Step};
use crate::bitmap::Bitmap;
use crate::boot::FatType;
use crate::bytes::u16_at;
use crate::device::ReadAt;
use crate::dir::{
    ATTR_DIRECTORY, ATTR_LABEL, DELETED, DIR_SLOT_BYTES, END, MAX_DIR_SLOTS, MAX_TREE_FOLDERS,
};
use crate::dir::{MAX_TREE_SLOTS, Slot, lfn};
use crate::error::ReadError;
use crate::time::FatTime;

/// Attribute bits without a meaning.
pub(super) const RESERVED_ATTRIBUTES: u8 = 0xC0;

/// The flags of byte 12: base or extension in lower case.
const LOWER_CASE: u8 = 0x18;

/// What is known of a folder while its slots go by.
pub(super) struct Progress {
    number: u32,
    pub(super) long: LongSlots,
    /// Decodes the long name, for messages.
    pub(super) name: lfn::LongName,
    pub(super) taken: HashSet<ShortName>,
    /// Free slots from the end mark on; empty before it.
    after_end: Vec<u64>,
    behind_end: u32,
}

/// Counts what a walk over all folders has seen: slots, and folders from when they wait to be
/// entered, since those take memory.
#[derive(Default)]
pub(super) struct Tally {
    folders: usize,
    slots: u32,
}

impl Tally {
    pub(super) fn folder(&mut self) -> Step {
        self.folders += 1;
        self.check()
    }

    pub(super) fn slot(&mut self) -> Step {
        self.slots += 1;
        self.check()
    }

    /// Slots so far.
    pub(super) fn slots(&self) -> u32 {
        self.slots
    }

    fn check(&self) -> Step {
        if self.folders > MAX_TREE_FOLDERS || self.slots > MAX_TREE_SLOTS {
            Err(Halt::from(ReadError::TreeTooLarge))
        } else {
            Ok(())
        }
    }
}

/// Whether a host may have written these bytes as an entry. Strict, for where none belongs.
fn looks_sound(slot: &[u8; 32], fat_type: FatType) -> bool {
    let mut short: ShortName = [0; 11];
    short.copy_from_slice(&slot[..11]);
    let modified = FatTime {
        date: u16_at(slot, 24),
        time: u16_at(slot, 22),
    };
    let high_start = fat_type == FatType::Fat16 && u16_at(slot, 20) != 0;
    !names::is_bad(&short)
        && !short.iter().any(u8::is_ascii_lowercase)
        && slot[11] & (RESERVED_ATTRIBUTES | ATTR_LABEL) == 0
        && slot[12] & !LOWER_CASE == 0
        && modified.to_civil().is_some()
        && !high_start
}

impl<D: ReadAt> Repairer<'_, D> {
    pub(super) fn check_folders(&mut self) -> Step {
        self.claim_root()?;
        let mut tally = Tally::default();
        let mut waiting = vec![Folder::root(self.geometry)];
        while let Some(folder) = waiting.pop() {
            self.check_folder(&folder, &mut waiting, &mut tally)?;
        }
        // Nothing asks any more, and the steps that follow need the memory.
        self.begins_none = Bitmap::new(0);
        self.continued = Bitmap::new(0);
        Ok(())
    }

    /// The root's first cluster is in use, whatever the table says.
    fn claim_root(&mut self) -> Step {
        let Some(root) = self.root_cluster() else {
            return Ok(());
        };
        if !self.is_in_use(root)? {
            self.found("", Fault::FolderNotAllocated);
            self.end_chain(root)?;
        }
        self.begins_none.set(root);
        self.claim_folder(root, "")
    }

    /// Claims a folder's chain, and cuts off what cannot be its continuation: that is a lost chain
    /// then, and what is no folder's is not damaged by being treated as one.
    pub(super) fn claim_folder(&mut self, first: u32, path: &str) -> Step {
        let clusters = self.folder_clusters(first)?;
        let mut cluster = first;
        self.used.set(first);
        for _ in 1..clusters {
            let Some(next) = self.next(cluster)? else {
                return Ok(());
            };
            self.used.set(next);
            cluster = next;
        }
        if self.next(cluster)?.is_some() {
            self.found(path, Fault::FolderCut);
            self.end_chain(cluster)?;
        }
        Ok(())
    }

    /// How many clusters of a chain are the folder's: up to the last that looks like slots and the
    /// blank ones behind it, before what is claimed already (itself too), before another folder's
    /// beginning, before what was looked at for another folder and cut off, and at most as many as
    /// FAT allows.
    fn folder_clusters(&mut self, first: u32) -> Step<u64> {
        let most = u64::from(MAX_DIR_SLOTS) * u64::from(DIR_SLOT_BYTES);
        let most = self.geometry.clusters_for(most);
        let (mut whole, mut cluster) = (1, first);
        for number in 2..=most {
            let Some(next) = self.next(cluster)? else {
                break;
            };
            if next == first || self.used.has(next) || self.continued.has(next) {
                break;
            }
            match self.look_of(next)? {
                None => break,
                Some(Look::Slots) => whole = number,
                Some(Look::Blank) if whole == number - 1 => whole = number,
                Some(Look::Blank | Look::Other) => {}
            }
            self.continued.set(next);
            cluster = next;
        }
        Ok(whole)
    }

    fn check_folder(
        &mut self,
        folder: &Folder,
        waiting: &mut Vec<Folder>,
        tally: &mut Tally,
    ) -> Step {
        let mut progress = Progress {
            number: 0,
            long: LongSlots::default(),
            name: lfn::LongName::new(),
            taken: HashSet::new(),
            after_end: Vec::new(),
            behind_end: 0,
        };
        let outcome = self.check_slots(folder, &mut progress, waiting, tally);
        // What a round that ends here has done is in no later report.
        let slots = progress.long.orphans();
        if slots > 0 {
            self.found(&folder.path, Fault::OrphanNames { slots });
        }
        let slots = progress.behind_end;
        if slots > 0 {
            self.found(&folder.path, Fault::BehindEnd { slots });
        }
        outcome
    }

    /// The round may end after each slot: one folder can have as much to mend as many.
    fn check_slots(
        &mut self,
        folder: &Folder,
        progress: &mut Progress,
        waiting: &mut Vec<Folder>,
        tally: &mut Tally,
    ) -> Step {
        let mut slots = Slots::new(folder.place);
        while let Some(slot) = self.next_slot(&mut slots)? {
            tally.slot()?;
            if let Some(inside) = self.check_slot(folder, &slot, progress)? {
                tally.folder()?;
                waiting.push(inside);
            }
            progress.number += 1;
            self.checkpoint()?;
        }
        self.drop_long(&mut progress.long)?;
        self.checkpoint()
    }

    /// A slot of any kind; gives the folder that it leads to.
    fn check_slot(
        &mut self,
        folder: &Folder,
        slot: &Slot,
        progress: &mut Progress,
    ) -> Step<Option<Folder>> {
        if self.check_dots(folder, progress.number, slot)? {
            return Ok(None);
        }
        let has_ended = !progress.after_end.is_empty();
        if matches!(slot.bytes[0], END | DELETED) {
            if slot.bytes[0] == END || has_ended {
                progress.after_end.push(slot.offset_bytes);
            }
            progress.name.forget();
            self.drop_long(&mut progress.long)?;
            return Ok(None);
        }
        if has_ended && !lfn::is_long(&slot.bytes) && !self.continues(folder, slot, progress)? {
            return Ok(None);
        }
        if lfn::is_long(&slot.bytes) {
            progress.name.feed(&slot.bytes);
            self.take_long(&mut progress.long, slot)?;
            return Ok(None);
        }
        let may_be_label = slot.bytes[11] & (RESERVED_ATTRIBUTES | ATTR_DIRECTORY) == 0;
        if lfn::is_label(&slot.bytes) && may_be_label && self.is_plain_label(slot)? {
            progress.name.forget();
            self.drop_long(&mut progress.long)?;
            return Ok(None);
        }
        self.check_entry(folder, slot, progress)
    }

    /// What to do with an entry behind the end mark, which Linux shows and others do not: a sound
    /// one moves the mark behind itself, any other is cleared. True if it stays.
    fn continues(&mut self, folder: &Folder, slot: &Slot, progress: &mut Progress) -> Step<bool> {
        if !looks_sound(&slot.bytes, self.geometry.fat_type)
            || !self.is_in_use(self.start(&slot.bytes))?
        {
            progress.behind_end += 1;
            progress.name.forget();
            self.drop_long(&mut progress.long)?;
            self.edit.write(slot.offset_bytes, &[END])?;
            progress.after_end.push(slot.offset_bytes);
            return Ok(false);
        }
        self.found(&folder.path, Fault::EndMark);
        for offset in std::mem::take(&mut progress.after_end) {
            self.delete_slot(offset)?;
        }
        Ok(true)
    }

    /// A label has neither clusters nor a length; what has clusters is a file with a damaged
    /// attribute.
    fn is_plain_label(&mut self, slot: &Slot) -> Step<bool> {
        let start = self.start(&slot.bytes);
        if self.is_in_use(start)? {
            return Ok(false);
        }
        let mut bytes = slot.bytes;
        self.put_start(&mut bytes, 0);
        bytes[28..].fill(0);
        if bytes != slot.bytes {
            self.found("", Fault::Attributes);
            self.rewrite(slot, &bytes)?;
        }
        Ok(true)
    }
}
