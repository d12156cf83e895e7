//! Whether a file's chain has exactly the clusters that its length needs, in the table as repaired
//! so far and, where the copies differed, in the other copy. Used when files are checked.

use super::report::Fault;
use super::state::{Repairer, Step};
use crate::boot::FIRST_CLUSTER;
use crate::chain::{ChainEnd, ChainWalk, Step as Link};
use crate::device::ReadAt;
use crate::fat::{FatValue, end_mark};

impl<D: ReadAt> Repairer<'_, D> {
    /// Where the copies of the table differed: takes the chain of the copy that is not preferred,
    /// if that one fits the length and the merged one does not.
    pub(super) fn choose_table(
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

    /// Whether the chain has exactly the clusters needed and shares none of them so far; true as
    /// well when no steps are left to find out.
    pub(super) fn merged_fits(&self, start: u32, needed: u32, left: &mut u64) -> Step<bool> {
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
