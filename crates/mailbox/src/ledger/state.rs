//! What the records of a ledger add up to.
//!
//! Invariants: `apply` is total and deterministic; ids only rise; a used name never becomes unused.
//! A record about a job that is not there changes nothing (it was dropped in the meantime).

use std::collections::{BTreeMap, HashMap};

use super::{Answer, Record, Source};
use crate::digest::Digest;
use crate::job::{Job, JobId, Sighting, Stamp, identity};
use crate::name::parse_ours;

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// To be answered.
    Queued,
    /// Answered; `intent` is the name under which it was last about to be published.
    Answered {
        /// The answer.
        answer: Answer,
        /// Path on the volume.
        intent: Option<String>,
    },
    /// On the volume.
    Published {
        /// The answer.
        answer: Answer,
        /// Path on the volume.
        path: String,
        /// The prompt is gone, the response is not.
        gone: bool,
    },
}

/// A job as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What kind of prompt.
    pub source: Source,
    /// SHA-256 of the file's content.
    pub digest: Digest,
    /// The directory's data when it was last seen.
    pub stamp: Stamp,
    /// Where the prompt is, or was last.
    pub path: String,
    /// How far it is.
    pub phase: Phase,
}

impl Entry {
    /// What makes its prompt the same prompt elsewhere (`Sighting::identity`).
    pub fn identity(&self) -> Digest {
        identity(&self.path, self.digest, self.source == Source::Name)
    }

    /// Its answer, if it has one.
    pub fn answer(&self) -> Option<Answer> {
        match &self.phase {
            Phase::Queued => None,
            Phase::Answered { answer, .. } | Phase::Published { answer, .. } => Some(*answer),
        }
    }

    /// Whether its answer is on the volume.
    pub fn is_published(&self) -> bool {
        matches!(self.phase, Phase::Published { .. })
    }

    /// Where its answer lies on the volume, or lay.
    pub fn response(&self) -> Option<&str> {
        match &self.phase {
            Phase::Published { path, .. } => Some(path),
            _ => None,
        }
    }

    /// Its answer and the name that this was last to be published under, if nothing says yet
    /// whether that happened.
    pub fn intent(&self) -> Option<(Answer, &str)> {
        match &self.phase {
            Phase::Answered { answer, intent } => Some((*answer, intent.as_deref()?)),
            _ => None,
        }
    }

    /// Its prompt as it was when it was last seen.
    pub fn sighting(&self) -> Sighting {
        Sighting {
            path: self.path.clone(),
            stamp: self.stamp,
            digest: self.digest,
            named: self.source == Source::Name,
        }
    }

    /// As a job to answer.
    pub fn job(&self, id: JobId) -> Job {
        Job {
            id,
            path: self.path.clone(),
            digest: self.digest,
            stamp: self.stamp,
            named: self.source == Source::Name,
        }
    }
}

/// Everything that the ledger remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The jobs by number.
    pub jobs: BTreeMap<JobId, Entry>,
    /// The highest number used by names of each key (`OurName::key`).
    names: HashMap<u64, u32>,
    next_id: u64,
}

impl State {
    /// The number that the next job gets.
    pub fn next_id(&self) -> JobId {
        // Zero is nobody's, so that a log line with "job 0" is known to be a slip.
        JobId(self.next_id.max(1))
    }

    /// How many keys of names are remembered.
    pub fn name_count(&self) -> usize {
        self.names.len()
    }

    /// The highest number used by names of `key`.
    pub fn highest(&self, key: u64) -> u32 {
        self.names.get(&key).copied().unwrap_or(0)
    }

    /// Whether the response or error file name `path` was ever used on this volume.
    pub fn is_used(&self, path: &str) -> bool {
        parse_ours(path).is_some_and(|name| name.ordinal <= self.highest(name.key()))
    }

    /// Takes in what happened.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Added {
                id,
                source,
                digest,
                stamp,
                path,
            } => {
                let (source, digest, stamp) = (*source, *digest, *stamp);
                let entry = Entry {
                    source,
                    digest,
                    stamp,
                    path: path.clone(),
                    phase: Phase::Queued,
                };
                self.jobs.insert(*id, entry);
                self.next_id = self.next_id.max(id.0.saturating_add(1));
            }
            Record::Seen { id, stamp, path } => self.change(*id, |entry| entry.see(*stamp, path)),
            Record::Answered { id, answer } => {
                let (answer, intent) = (*answer, None);
                self.change(*id, |entry| {
                    entry.phase = Phase::Answered { answer, intent }
                });
            }
            Record::Intended { id, path } => {
                self.use_name(path);
                self.change(*id, |entry| entry.intend(path));
            }
            Record::Published { id, path } => {
                self.use_name(path);
                self.change(*id, |entry| entry.publish(path));
            }
            Record::Gone { id } => self.change(*id, |entry| entry.set_gone(true)),
            Record::Requeued { id } => self.change(*id, |entry| entry.phase = Phase::Queued),
            Record::Dropped { id } => {
                self.jobs.remove(id);
            }
            Record::Used { key, ordinal } => self.raise(*key, *ordinal),
            Record::NextId { id } => self.next_id = self.next_id.max(id.0),
        }
    }

    fn change(&mut self, id: JobId, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.jobs.get_mut(&id) {
            change(entry);
        }
    }

    fn use_name(&mut self, path: &str) {
        if let Some(name) = parse_ours(path) {
            self.raise(name.key(), name.ordinal);
        }
    }

    fn raise(&mut self, key: u64, ordinal: u32) {
        let highest = self.names.entry(key).or_default();
        *highest = ordinal.max(*highest);
    }

    /// The shortest history that adds up to this state.
    pub fn snapshot(&self) -> Vec<Record> {
        let mut names: Vec<_> = self
            .names
            .iter()
            .map(|(key, ordinal)| (*key, *ordinal))
            .collect();
        names.sort_unstable();
        let used = names
            .into_iter()
            .map(|(key, ordinal)| Record::Used { key, ordinal });
        let mut records = vec![Record::NextId {
            id: JobId(self.next_id),
        }];
        records.extend(used);
        for (id, entry) in &self.jobs {
            entry.history(*id, &mut records);
        }
        records
    }
}

impl Entry {
    fn see(&mut self, stamp: Stamp, path: &str) {
        if self.path != path {
            // The answer goes beside the new name; the name that was meant stays used.
            if let Phase::Answered { intent, .. } = &mut self.phase {
                *intent = None;
            }
        }
        self.stamp = stamp;
        path.clone_into(&mut self.path);
        self.set_gone(false);
    }

    fn set_gone(&mut self, now: bool) {
        if let Phase::Published { gone, .. } = &mut self.phase {
            *gone = now;
        }
    }

    fn intend(&mut self, path: &str) {
        if let Phase::Answered { intent, .. } = &mut self.phase {
            *intent = Some(path.to_owned());
        }
    }

    fn publish(&mut self, path: &str) {
        if let Phase::Answered { answer, .. } = self.phase {
            self.phase = Phase::Published {
                answer,
                path: path.to_owned(),
                gone: false,
            };
        }
    }

    fn history(&self, id: JobId, records: &mut Vec<Record>) {
        let (source, digest, stamp) = (self.source, self.digest, self.stamp);
        records.push(Record::Added {
            id,
            source,
            digest,
            stamp,
            path: self.path.clone(),
        });
        if let Some(answer) = self.answer() {
            records.push(Record::Answered { id, answer });
        }
        match &self.phase {
            Phase::Answered {
                intent: Some(path), ..
            } => {
                records.push(Record::Intended {
                    id,
                    path: path.clone(),
                });
            }
            Phase::Published { path, gone, .. } => {
                records.push(Record::Published {
                    id,
                    path: path.clone(),
                });
                if *gone {
                    records.push(Record::Gone { id });
                }
            }
            _ => {}
        }
    }
}
