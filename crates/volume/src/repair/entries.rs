//! One entry of a folder: its attributes, its name, and where it starts.

use super::dots::{Content, DOT, DOT_DOT, is_dots};
use super::folders::{Progress, RESERVED_ATTRIBUTES};
use super::names::{self, ShortName};
use super::report::Fault;
use super::slots::Folder;
use super::state::{Repairer, Step};
use crate::device::ReadAt;
use crate::dir::{ATTR_DIRECTORY, ATTR_LABEL, DELETED, Slot, lfn};
use crate::fat::FatValue;

/// Flag of byte 12: the short name is made up and the long one counts (`fsck.fat`,
/// `FAT_NO_83NAME`); nonsense without a long one.
const NO_SHORT_NAME: u8 = 0x20;

impl<D: ReadAt> Repairer<'_, D> {
    /// A file's or folder's entry.
    pub(super) fn check_entry(
        &mut self,
        folder: &Folder,
        slot: &Slot,
        progress: &mut Progress,
    ) -> Step<Option<Folder>> {
        let mut short: ShortName = [0; 11];
        short.copy_from_slice(&slot.bytes[..11]);
        let path = folder.join(&self.name_of(slot, progress.name.take(&short)));
        if self.is_garbage(slot, &short)? {
            self.found(&path, Fault::Garbage);
            self.drop_long(&mut progress.long)?;
            self.delete_slot(slot.offset_bytes)?;
            return Ok(None);
        }
        let mut mended = *slot;
        if mended.bytes[11] & RESERVED_ATTRIBUTES != 0 || lfn::is_label(&mended.bytes) {
            self.found(&path, Fault::Attributes);
            mended.bytes[11] &= !(RESERVED_ATTRIBUTES | ATTR_LABEL);
        }
        let long = self.owned_long(&mut progress.long, &short, names::is_bad(&short))?;
        if mended.bytes[12] & NO_SHORT_NAME != 0 && long.is_empty() {
            self.found(&path, Fault::Attributes);
            mended.bytes[12] &= !NO_SHORT_NAME;
        }
        let wanted = names::unique(&names::repaired(&short), &progress.taken);
        let wanted = wanted.unwrap_or(short);
        progress.taken.insert(wanted);
        if wanted != short {
            let to = names::shown(&wanted);
            self.found(&path, Fault::Renamed { to });
            mended.bytes[..11].copy_from_slice(&wanted);
            self.retie_long(&long, &wanted)?;
        }
        let inside = if mended.bytes[11] & ATTR_DIRECTORY != 0 {
            self.check_folder_entry(folder, &mut mended, &path, &long)?
        } else {
            None
        };
        if mended.bytes[0] != DELETED && mended.bytes[11] & ATTR_DIRECTORY == 0 {
            self.check_start(&mut mended, &path)?;
        }
        self.rewrite(slot, &mended.bytes)?;
        Ok(inside)
    }

    /// Whether an entry makes no sense: a name or attributes that nothing writes, and no clusters;
    /// or `.` and `..` where they do not belong.
    fn is_garbage(&self, slot: &Slot, short: &ShortName) -> Step<bool> {
        if is_dots(&slot.bytes, DOT) || is_dots(&slot.bytes, DOT_DOT) {
            return Ok(true);
        }
        let impossible = slot.bytes[11] & RESERVED_ATTRIBUTES != 0 || lfn::is_label(&slot.bytes);
        let strange = impossible || names::is_bad(short);
        let is_empty = slot.bytes[28..] == [0; 4] && self.start(&slot.bytes) == 0;
        Ok(strange && !is_empty && !self.is_in_use(self.start(&slot.bytes))?)
    }

    /// A file without clusters has no length.
    fn check_start(&mut self, slot: &mut Slot, path: &str) -> Step {
        let start = self.start(&slot.bytes);
        if self.is_in_use(start)? {
            return Ok(());
        }
        if start != 0 || slot.bytes[28..] != [0; 4] {
            self.found(path, Fault::NoStart);
            self.put_start(&mut slot.bytes, 0);
            slot.bytes[28..].fill(0);
        }
        Ok(())
    }

    /// A folder's entry. Without a usable cluster it starts at 0 and gets one when files are
    /// checked.
    fn check_folder_entry(
        &mut self,
        folder: &Folder,
        slot: &mut Slot,
        path: &str,
        long: &[u64],
    ) -> Step<Option<Folder>> {
        let start = self.start(&slot.bytes);
        let Some(begins_folder) = self.begins_folder(start, path)? else {
            self.found(path, Fault::NoStart);
            self.put_start(&mut slot.bytes, 0);
            slot.bytes[28..].fill(0);
            return Ok(None);
        };
        let has_length = slot.bytes[28..] != [0; 4];
        if !begins_folder && has_length {
            self.found(path, Fault::IsAFile);
            slot.bytes[11] &= !ATTR_DIRECTORY;
            return Ok(None);
        }
        if has_length {
            self.found(path, Fault::FolderLength);
            slot.bytes[28..].fill(0);
        }
        if !begins_folder {
            self.found(path, Fault::NotAFolder);
            self.put_start(&mut slot.bytes, 0);
            return Ok(None);
        }
        if self.used.has(start) {
            self.found(path, Fault::SecondEntry);
            for offset in long {
                self.delete_slot(*offset)?;
            }
            slot.bytes[0] = DELETED;
            return Ok(None);
        }
        self.claim_folder(start, path)?;
        let name = path.rsplit('/').next().unwrap_or_default();
        Ok(Some(folder.child(start, name)))
    }

    /// Whether a folder begins here; `None` where nothing can start. One whose cluster is free in
    /// the table, but holds just that folder, gets it back: the table was written late.
    fn begins_folder(&mut self, start: u32, path: &str) -> Step<Option<bool>> {
        if !self.geometry.has_cluster(start) {
            return Ok(None);
        }
        let content = if self.begins_none.has(start) || self.continued.has(start) {
            Content::Other
        } else if self.used.has(start) {
            // The first entry for it was believed.
            return Ok(Some(true));
        } else {
            self.content_of(start)?
        };
        let (can_start, begins_folder) = match self.value(start)? {
            FatValue::Next(_) | FatValue::End => (true, content != Content::Other),
            FatValue::Free if content == (Content::Folder { own: true }) => {
                self.found(path, Fault::FolderNotAllocated);
                self.end_chain(start)?;
                (true, true)
            }
            _ => (false, false),
        };
        if !begins_folder {
            self.begins_none.set(start);
        }
        Ok(can_start.then_some(begins_folder))
    }
}
