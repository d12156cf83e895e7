//! Clusters in use that no entry reached become files.
//!
//! First every lost cluster keeps one predecessor at most and none leads into a file, so that lost
//! chains are apart. Then those that begin somewhere are taken, and what is still left runs in
//! circles and is cut open at its lowest cluster.

use super::recovered::Recovered;
use super::report::Fault;
use super::state::{Repairer, Step};
use crate::bitmap::Bitmap;
use crate::boot::FIRST_CLUSTER;
use crate::device::ReadAt;
use crate::fat::FatValue;

impl<D: ReadAt> Repairer<'_, D> {
    pub(super) fn recover_lost(&mut self) -> Step {
        let Some(pointed) = self.separate_lost()? else {
            return Ok(());
        };
        let mut recovered = Recovered::default();
        self.each_lost(|repairer, cluster| {
            if !pointed.has(cluster) {
                repairer.recover_chain(cluster, &mut recovered)?;
            }
            Ok(())
        })?;
        self.each_lost(|repairer, cluster| {
            repairer.open_circle(cluster)?;
            repairer.recover_chain(cluster, &mut recovered)
        })
    }

    /// Calls `visit` with each cluster that is in use and not reached, at the time of its turn.
    fn each_lost(&mut self, mut visit: impl FnMut(&mut Self, u32) -> Step) -> Step {
        let mut first = FIRST_CLUSTER;
        while first <= self.geometry.last_cluster() {
            let window = self.window(first)?;
            for (cluster, raw) in (first..).zip(&window) {
                let value = FatValue::decode(self.geometry, *raw);
                let in_use = matches!(value, FatValue::Next(_) | FatValue::End);
                if in_use && !self.used.has(cluster) {
                    visit(self, cluster)?;
                    self.checkpoint()?;
                }
            }
            first += u32::try_from(window.len()).unwrap_or(u32::MAX);
        }
        Ok(())
    }

    /// Which lost clusters have a lost predecessor; `None` when nothing is lost.
    fn separate_lost(&mut self) -> Step<Option<Bitmap>> {
        let mut pointed = Bitmap::new(self.geometry.last_cluster());
        let mut is_any = false;
        self.each_lost(|repairer, cluster| {
            is_any = true;
            let Some(next) = repairer.next(cluster)? else {
                return Ok(());
            };
            if repairer.used.has(next) || pointed.has(next) {
                return repairer.end_chain(cluster);
            }
            pointed.set(next);
            Ok(())
        })?;
        Ok(is_any.then_some(pointed))
    }

    /// Ends a circle before the cluster at which it is opened.
    fn open_circle(&mut self, first: u32) -> Step {
        let mut cluster = first;
        while let Some(next) = self.next(cluster)? {
            if next == first {
                return self.end_chain(cluster);
            }
            cluster = next;
        }
        Ok(())
    }

    /// Makes a file, or more where one cannot be that long, of a chain that is apart.
    fn recover_chain(&mut self, first: u32, recovered: &mut Recovered) -> Step {
        let most = u32::MAX / self.geometry.cluster_bytes;
        let mut start = Some(first);
        while let Some(first) = start {
            let (mut last, mut clusters) = (first, 1);
            self.used.set(first);
            start = loop {
                match self.next(last)? {
                    Some(next) if clusters < most => {
                        self.used.set(next);
                        last = next;
                        clusters += 1;
                    }
                    rest => break rest,
                }
            };
            if start.is_some() {
                self.end_chain(last)?;
            }
            let len_bytes = clusters * self.geometry.cluster_bytes;
            match self.new_file(recovered, first, len_bytes)? {
                Some(path) => self.found(&path, Fault::Recovered { clusters }),
                None => self.found(
                    "",
                    Fault::Left {
                        first_cluster: first,
                        clusters,
                    },
                ),
            }
        }
        Ok(())
    }
}
