//! Each file's chain against its length, in the order of a walk over the folders.
//!
//! The files whose chains have exactly the clusters that their lengths need claim theirs first:
//! what another, damaged entry has in common with one of them must not cost it a byte. Then the
//! others, in order. A file claims its clusters. What is after the clusters that its length needs
//! is cut off and so becomes a lost chain; where the chain is shorter, so becomes the length.
//! Clusters that another file has are copied one by one, each copy leading on into the shared
//! chain, so that the file is whole after every single step.

use super::dots::{DOT, DOT_DOT, is_dots};
use super::report::Fault;
use super::slots::{Folder, Slots};
use super::state::{Repairer, Step};
use crate::bitmap::Bitmap;
use crate::bytes::{index, put, u32_at};
use crate::device::ReadAt;
use crate::dir::{ATTR_DIRECTORY, DELETED, END, MAX_TREE_SLOTS, Slot, lfn};
use crate::fat::end_mark;

use super::folders::Tally;

/// Where the link to a cluster is.
#[derive(Clone, Copy)]
enum From {
    Entry,
    Cluster(u32),
}

/// A file while its chain is followed.
struct Progress {
    slot: Slot,
    path: String,
    /// Clusters that the length needs.
    needed: u32,
    /// Clusters that it has so far.
    clusters: u32,
    last: From,
    copied: u32,
}

/// An entry that a walk comes to.
struct Found<'a> {
    folder: &'a Folder,
    slot: Slot,
    long_name: Option<String>,
    /// Where the slots of its long name are: orphans have been removed before.
    long_slots: Vec<u64>,
    /// How many slots the walk has seen, this one included.
    number: u32,
}

impl Found<'_> {
    fn is_folder(&self) -> bool {
        self.slot.bytes[11] & ATTR_DIRECTORY != 0
    }
}

impl<D: ReadAt> Repairer<'_, D> {
    pub(super) fn check_files(&mut self) -> Step {
        // Following chains that claim nothing costs steps, so they are counted.
        let mut steps_left = 4 * u64::from(self.geometry.clusters);
        // Of the files, by the number of their slot in the walk.
        let mut fitting = Bitmap::new(MAX_TREE_SLOTS);
        self.each_entry(&mut |repairer, found| {
            if found.is_folder() {
                let start = repairer.start(&found.slot.bytes);
                return Ok((start != 0).then(|| found.folder.child(start, "")));
            }
            if repairer.claim_fitting(&found.slot, &mut steps_left)? {
                fitting.set(found.number);
            }
            Ok(None)
        })?;
        let mut comparisons_left = 4 * u64::from(self.geometry.clusters);
        self.each_entry(&mut |repairer, found| {
            let name = repairer.name_of(&found.slot, found.long_name.clone());
            let inside = if found.is_folder() {
                repairer.enter(found, &name)?
            } else {
                if !fitting.has(found.number) {
                    let path = found.folder.join(&name);
                    repairer.check_file(found.slot, path, &mut comparisons_left)?;
                }
                None
            };
            repairer.checkpoint()?;
            Ok(inside)
        })
    }

    /// Visits each entry of each folder; `visit` gives the folder that an entry leads to.
    fn each_entry(
        &mut self,
        visit: &mut dyn FnMut(&mut Self, &Found<'_>) -> Step<Option<Folder>>,
    ) -> Step {
        let mut tally = Tally::default();
        let mut waiting = vec![Folder::root(self.geometry)];
        while let Some(folder) = waiting.pop() {
            let mut slots = Slots::new(folder.place);
            let mut long = lfn::LongName::new();
            let mut long_slots = Vec::new();
            while let Some(slot) = self.next_slot(&mut slots)? {
                tally.slot()?;
                if slot.bytes[0] == END {
                    break;
                }
                if lfn::is_long(&slot.bytes) && slot.bytes[0] != DELETED {
                    long_slots.push(slot.offset_bytes);
                }
                let Some(long_name) = lfn::feed_slot(&mut long, &slot) else {
                    continue;
                };
                let long_slots = std::mem::take(&mut long_slots);
                if is_dots(&slot.bytes, DOT) || is_dots(&slot.bytes, DOT_DOT) {
                    continue;
                }
                let found = Found {
                    folder: &folder,
                    slot,
                    long_name,
                    long_slots,
                    number: tally.slots(),
                };
                if let Some(inside) = visit(self, &found)? {
                    tally.folder()?;
                    waiting.push(inside);
                }
            }
        }
        Ok(())
    }

    /// Claims the clusters of a file if they are exactly those that it needs and nobody has them.
    fn claim_fitting(&mut self, slot: &Slot, steps_left: &mut u64) -> Step<bool> {
        let start = self.start(&slot.bytes);
        let needed = self.needed(slot);
        let fits = start != 0
            && needed != 0
            && self.merged_fits(start, needed, steps_left)?
            && *steps_left > 0;
        let mut cluster = fits.then_some(start);
        while let Some(claimed) = cluster {
            self.used.set(claimed);
            cluster = self.next(claimed)?;
        }
        Ok(fits)
    }

    /// How many clusters the length of a file needs.
    fn needed(&self, slot: &Slot) -> u32 {
        let len_bytes = u32_at(&slot.bytes, 28);
        let needed = self.geometry.clusters_for(u64::from(len_bytes));
        u32::try_from(needed).unwrap_or(u32::MAX)
    }

    /// The folder of an entry; one without clusters gets an empty one.
    fn enter(&mut self, found: &Found<'_>, name: &str) -> Step<Option<Folder>> {
        let Found { folder, slot, .. } = found;
        let start = self.start(&slot.bytes);
        if start != 0 {
            return Ok(Some(folder.child(start, name)));
        }
        let mut bytes = slot.bytes;
        match self.new_folder(folder.cluster)? {
            Some(cluster) => self.put_start(&mut bytes, cluster),
            None => {
                self.found(&folder.join(name), Fault::FolderRemoved);
                for offset in &found.long_slots {
                    self.delete_slot(*offset)?;
                }
                bytes[0] = DELETED;
            }
        }
        self.rewrite(slot, &bytes)?;
        Ok(None)
    }

    fn check_file(&mut self, slot: Slot, path: String, comparisons_left: &mut u64) -> Step {
        let start = self.start(&slot.bytes);
        if start == 0 {
            return Ok(());
        }
        let len_bytes = u32_at(&slot.bytes, 28);
        let needed = self.needed(&slot);
        if self.tables_differ {
            self.choose_table(start, needed, &path, comparisons_left)?;
        }
        let mut file = Progress {
            slot,
            path,
            needed,
            clusters: 0,
            last: From::Entry,
            copied: 0,
        };
        let outcome = self.follow(&mut file, start);
        if file.copied > 0 {
            let clusters = file.copied;
            self.found(&file.path, Fault::Copied { clusters });
        }
        outcome?;
        self.correct_length(&file, len_bytes)
    }

    /// Claims the clusters of a file, up to the number that it needs.
    fn follow(&mut self, file: &mut Progress, start: u32) -> Step {
        let mut shares = false;
        let mut cluster = start;
        loop {
            if file.clusters == file.needed {
                self.found(
                    &file.path,
                    Fault::TooLong {
                        needed: file.needed,
                    },
                );
                return self.cut(file);
            }
            let next = self.next(cluster)?;
            if !self.used.has(cluster) {
                self.used.set(cluster);
                file.last = From::Cluster(cluster);
            } else {
                // The chains of others are in order, so one that leads into them never comes back.
                if !shares && self.is_in_chain(start, file.clusters, cluster)? {
                    self.found(&file.path, Fault::Loop);
                    return self.cut(file);
                }
                shares = true;
                if !self.copy(file, cluster, next)? {
                    self.found(&file.path, Fault::NotCopied);
                    return self.cut(file);
                }
            }
            file.clusters += 1;
            // The last copy that is needed ends the chain.
            let is_done = shares && file.clusters == file.needed;
            let Some(next) = next.filter(|_| !is_done) else {
                return Ok(());
            };
            cluster = next;
            if shares {
                self.checkpoint()?;
            }
        }
    }

    /// Whether a cluster is among the first `clusters` of a chain.
    fn is_in_chain(&self, start: u32, clusters: u32, cluster: u32) -> Step<bool> {
        let mut at = start;
        for _ in 0..clusters {
            if at == cluster {
                return Ok(true);
            }
            let Some(next) = self.next(at)? else {
                return Ok(false);
            };
            at = next;
        }
        Ok(false)
    }

    /// Gives the file a copy of a cluster that another file has; false when the volume is full.
    fn copy(&mut self, file: &mut Progress, cluster: u32, next: Option<u32>) -> Step<bool> {
        let Some(copy) = self.allocate(false)? else {
            return Ok(false);
        };
        let offset = |cluster| self.geometry.cluster_offset(cluster).unwrap_or(u64::MAX);
        let mut content = vec![0; index(u64::from(self.geometry.cluster_bytes))];
        self.edit.overlay.read_at(offset(cluster), &mut content)?;
        self.edit.write(offset(copy), &content)?;
        let next = next.filter(|_| file.clusters + 1 < file.needed);
        let next = next.unwrap_or(end_mark(self.geometry.fat_type));
        self.edit.set_entry(copy, next)?;
        self.link(file, copy)?;
        file.last = From::Cluster(copy);
        file.copied += 1;
        Ok(true)
    }

    /// Lets the end of what the file has lead to a cluster.
    fn link(&mut self, file: &mut Progress, to: u32) -> Step {
        match file.last {
            From::Cluster(last) => Ok(self.edit.set_entry(last, to)?),
            From::Entry => {
                let mut bytes = file.slot.bytes;
                self.put_start(&mut bytes, to);
                self.rewrite(&file.slot, &bytes)?;
                file.slot.bytes = bytes;
                Ok(())
            }
        }
    }

    /// Ends the file's chain after what it has.
    fn cut(&mut self, file: &mut Progress) -> Step {
        match file.last {
            From::Cluster(last) => self.end_chain(last),
            From::Entry => self.link(file, 0),
        }
    }

    /// The length becomes that of the clusters that are there.
    fn correct_length(&mut self, file: &Progress, was_bytes: u32) -> Step {
        if file.clusters >= file.needed {
            return Ok(());
        }
        // Fewer clusters than a length of 32 bits needs, so it fits.
        let is_bytes = file.clusters.saturating_mul(self.geometry.cluster_bytes);
        self.found(
            &file.path,
            Fault::TooShort {
                was_bytes,
                is_bytes,
            },
        );
        let mut bytes = file.slot.bytes;
        put(&mut bytes, 28, &is_bytes.to_le_bytes());
        self.rewrite(&file.slot, &bytes)
    }
}
