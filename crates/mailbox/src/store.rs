//! The response store: the bytes of each answer, from when the model finished it until it is on the
//! volume, and of the newest published ones for the second drive.
//!
//! Invariants: an answer is durable before the ledger says that it is there; what the ledger does
//! not know is removed; what is kept after publishing is bounded in number and bytes.

use std::collections::BTreeSet;
use std::io;

use crate::disk::Disk;
use crate::job::JobId;
use crate::ledger::{Answer, State};
use crate::limits::{KEPT_OUTCOMES_LIMIT_BYTES, KEPT_OUTCOMES_MAX, RESPONSE_LIMIT_BYTES};

/// The store's sub-folder of the state folder.
pub(crate) const STORE_FOLDER: &str = "answers";

/// Which answers lie in the store.
#[derive(Debug, Default)]
pub(crate) struct Store {
    stored: BTreeSet<JobId>,
}

impl Store {
    /// Looks at what is there and removes what no job of `state` owns, or what is not what it was.
    pub fn open(disk: &mut impl Disk, state: &State) -> io::Result<Self> {
        let mut stored = BTreeSet::new();
        for name in disk.list(STORE_FOLDER)? {
            let id = name
                .parse()
                .ok()
                .map(JobId)
                .filter(|id| id.to_string() == name);
            let entry = id.and_then(|id| Some((id, state.jobs.get(&id)?.answer()?)));
            match entry {
                Some((id, answer)) if Self::get(disk, id, answer)?.is_some() => {
                    stored.insert(id);
                }
                _ => disk.remove(&format!("{STORE_FOLDER}/{name}"))?,
            }
        }
        Ok(Self { stored })
    }

    /// Stores an answer durably.
    pub fn put(&mut self, disk: &mut impl Disk, id: JobId, bytes: &[u8]) -> io::Result<()> {
        disk.write_durably(&path(id), bytes)?;
        self.stored.insert(id);
        Ok(())
    }

    /// The stored bytes, if they are what `answer` says.
    pub fn get(disk: &impl Disk, id: JobId, answer: Answer) -> io::Result<Option<Vec<u8>>> {
        let bytes = disk.read(&path(id), RESPONSE_LIMIT_BYTES as u64)?;
        Ok(bytes.filter(|bytes| crate::digest::Digest::of(bytes) == answer.digest))
    }

    /// Whether there are bytes of `id`.
    pub fn has(&self, id: JobId) -> bool {
        self.stored.contains(&id)
    }

    /// Removes what `state` no longer needs: answers of forgotten jobs, and published ones beyond
    /// the newest that are kept.
    pub fn prune(&mut self, disk: &mut impl Disk, state: &State) -> io::Result<()> {
        let (mut kept, mut kept_bytes) = (0, 0_u64);
        let mut surplus = Vec::new();
        for id in self.stored.iter().rev() {
            let keep = match state
                .jobs
                .get(id)
                .map(|entry| (entry.is_published(), entry.answer()))
            {
                Some((true, Some(answer))) => {
                    kept += 1;
                    kept_bytes = kept_bytes.saturating_add(answer.len_bytes);
                    kept <= KEPT_OUTCOMES_MAX && kept_bytes <= KEPT_OUTCOMES_LIMIT_BYTES
                }
                Some((false, Some(_))) => true,
                _ => false,
            };
            if !keep {
                surplus.push(*id);
            }
        }
        for id in surplus {
            disk.remove(&path(id))?;
            self.stored.remove(&id);
        }
        Ok(())
    }
}

fn path(id: JobId) -> String {
    format!("{STORE_FOLDER}/{id}")
}
