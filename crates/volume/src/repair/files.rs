//! Each file's chain against its length, in the order of a walk over the folders.
//!
//! A file claims its clusters. What is after the clusters that its length needs is cut off and so
//! becomes a lost chain; where the chain is shorter, so becomes the length. Clusters that another
//! file has are copied one by one, each copy leading on into the shared chain, so that the file is
//! whole after every single step.

use super::dots::{DOT, DOT_DOT, is_dots};
use super::report::Fault;
use super::slots::{Folder, Slots};
use super::state::{Repairer, Step};
use crate::boot::FIRST_CLUSTER;
use crate::bytes::{index, put, u32_at};
use crate::chain::{ChainEnd, ChainWalk, Step as Link};
use crate::device::ReadAt;
use crate::dir::{ATTR_DIRECTORY, DELETED, END, Slot, lfn};
use crate::fat::{FatValue, end_mark};

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

impl<D: ReadAt> Repairer<'_, D> {
    pub(super) fn check_files(&mut self) -> Step {
        // Comparing the copies costs steps that claim nothing, so they are counted.
        let mut comparisons_left = 4 * u64::from(self.geometry.clusters);
        let mut tally = Tally::default();
        let mut waiting = vec![Folder::root(self.geometry)];
        while let Some(folder) = waiting.pop() {
            tally.folder()?;
            let mut slots = Slots::new(folder.place);
            let mut long = lfn::LongName::new();
            while let Some(slot) = self.next_slot(&mut slots)? {
                tally.slot()?;
                if slot.bytes[0] == END {
                    break;
                }
                let Some(name) = lfn::feed_slot(&mut long, &slot) else {
                    continue;
                };
                if is_dots(&slot.bytes, DOT) || is_dots(&slot.bytes, DOT_DOT) {
                    continue;
                }
                let name = self.name_of(&slot, name);
                if slot.bytes[11] & ATTR_DIRECTORY != 0 {
                    waiting.extend(self.enter(&folder, &slot, &name)?);
                } else {
                    self.check_file(slot, folder.join(&name), &mut comparisons_left)?;
                }
                self.checkpoint()?;
            }
        }
        Ok(())
    }

    /// The folder of an entry; one without clusters gets an empty one.
    fn enter(&mut self, folder: &Folder, slot: &Slot, name: &str) -> Step<Option<Folder>> {
        let start = self.start(&slot.bytes);
        if start != 0 {
            return Ok(Some(folder.child(start, name)));
        }
        let mut bytes = slot.bytes;
        match self.new_folder(folder.cluster)? {
            Some(cluster) => self.put_start(&mut bytes, cluster),
            None => {
                self.found(&folder.join(name), Fault::FolderRemoved);
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
        let needed = self.geometry.clusters_for(u64::from(len_bytes));
        let needed = u32::try_from(needed).unwrap_or(u32::MAX);
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

    /// Where the copies of the table differed: takes the chain of the copy that is not preferred,
    /// if that one fits the length and the merged one does not.
    fn choose_table(
        &mut self,
        start: u32,
        needed: u32,
        path: &str,
        comparisons_left: &mut u64,
    ) -> Step {
        if needed == 0 || self.merged_fits(start, needed, comparisons_left)? {
            return Ok(());
        }
        let Some(differing) = self.other_chain(start, needed, comparisons_left)? else {
            return Ok(());
        };
        if differing == 0 {
            return Ok(());
        }
        self.found(path, Fault::SecondTable);
        let mut cluster = start;
        for _ in 0..needed {
            let (value, next) = match self.other_value(cluster)? {
                FatValue::Next(next) => (next, next),
                _ => (end_mark(self.geometry.fat_type), FIRST_CLUSTER),
            };
            if self.value(cluster)? != self.other_value(cluster)? {
                self.edit.set_entry(cluster, value)?;
            }
            cluster = next;
        }
        Ok(())
    }

    /// Whether the chain has exactly the clusters needed and shares none of them so far.
    fn merged_fits(&self, start: u32, needed: u32, left: &mut u64) -> Step<bool> {
        let view = self.edit.view();
        let mut walk = ChainWalk::new(&view, start);
        let mut clusters = 0;
        loop {
            match walk.step(&view)? {
                Link::Cluster(cluster) if clusters < needed && !self.used.has(cluster) => {
                    clusters += 1;
                }
                Link::Stop(ChainEnd::EndMark) => return Ok(clusters == needed),
                _ => return Ok(false),
            }
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Ok(true);
            }
        }
    }

    /// In how many entries the other copy's chain differs from the merged one, if it fits.
    fn other_chain(&self, start: u32, needed: u32, left: &mut u64) -> Step<Option<u32>> {
        let mut cluster = start;
        let mut differing = 0;
        for number in 1..=needed {
            *left = left.saturating_sub(1);
            if *left == 0 || self.used.has(cluster) || !self.is_in_use(cluster)? {
                return Ok(None);
            }
            let value = self.other_value(cluster)?;
            differing += u32::from(value != self.value(cluster)?);
            cluster = match value {
                FatValue::Next(next) if number < needed => next,
                FatValue::End if number == needed => return Ok(Some(differing)),
                _ => return Ok(None),
            };
        }
        Ok(None)
    }
}
