//! Answers on their way to the volume: which are ready, their names, what became of an attempt.
//!
//! Invariants: a name is recorded before anything is written under it, and is used from then on;
//! an answer counts as published only after its publication, or when exactly its bytes lie under
//! the recorded name.

use std::collections::HashSet;

use super::Mailbox;
use crate::digest::Digest;
use crate::disk::Disk;
use crate::error::MailboxError;
use crate::job::{JobId, Ready, Recent};
use crate::ledger::{Entry, Phase, Record};
use crate::limits::{NAME_TRIES_MAX, ORDINAL_MAX};
use crate::name::{OutcomeKind, candidate, fold, parse_ours};
use crate::store::Store;

impl<D: Disk> Mailbox<D> {
    /// The answers that wait to be published, the oldest job first.
    pub fn ready(&self) -> Vec<Ready> {
        let ready = |(id, entry): (&JobId, &Entry)| match &entry.phase {
            Phase::Answered { answer, intent } => Some(Ready {
                id: *id,
                path: entry.path.clone(),
                kind: answer.kind,
                len_bytes: answer.len_bytes,
                intended: intent.clone(),
            }),
            _ => None,
        };
        self.ledger.state().jobs.iter().filter_map(ready).collect()
    }

    /// The published answers whose bytes are still kept, the newest job first.
    pub fn recent(&self) -> Vec<Recent> {
        let recent = |(id, entry): (&JobId, &Entry)| match &entry.phase {
            Phase::Published { answer, path, .. } if self.store.has(*id) => Some(Recent {
                id: *id,
                path: path.clone(),
                kind: answer.kind,
                len_bytes: answer.len_bytes,
            }),
            _ => None,
        };
        self.ledger
            .state()
            .jobs
            .iter()
            .rev()
            .filter_map(recent)
            .collect()
    }

    /// The bytes of an answer that is ready or [`recent`](Self::recent), as they are to lie on the
    /// volume; none if it is neither.
    pub fn outcome_bytes(&self, id: JobId) -> Result<Option<Vec<u8>>, MailboxError> {
        let answer = self
            .ledger
            .state()
            .jobs
            .get(&id)
            .and_then(|entry| entry.answer());
        let Some(answer) = answer.filter(|_| self.store.has(id)) else {
            return Ok(None);
        };
        let bytes = Store::get(&self.disk, id, answer)
            .map_err(MailboxError::io("read a stored response"))?;
        bytes
            .map(Some)
            .ok_or(MailboxError::DamagedResponse { id: id.0 })
    }

    /// Names for ready answers, all different, none used before and none that `exists`; an answer
    /// that was about to be published keeps its name. Jobs that are not ready, or for which no name
    /// is left, are missing from the result. Nothing is recorded.
    pub fn names_for(&self, ids: &[JobId], exists: &dyn Fn(&str) -> bool) -> Vec<(JobId, String)> {
        let mut chosen = HashSet::new();
        let mut names = Vec::new();
        for id in ids {
            let Some(entry) = self.ledger.state().jobs.get(id) else {
                continue;
            };
            let Phase::Answered { answer, intent } = &entry.phase else {
                continue;
            };
            let is_free = |name: &str| !exists(name) && !chosen.contains(&fold(name));
            let name = intent
                .clone()
                .filter(|name| is_free(name))
                .or_else(|| self.free_name(&entry.path, answer.kind, &is_free));
            if let Some(name) = name {
                chosen.insert(fold(&name));
                names.push((*id, name));
            }
        }
        names
    }

    fn free_name(
        &self,
        prompt: &str,
        kind: OutcomeKind,
        is_free: &dyn Fn(&str) -> bool,
    ) -> Option<String> {
        let mut ordinal = 1;
        for _ in 0..NAME_TRIES_MAX {
            if ordinal > ORDINAL_MAX {
                return None;
            }
            let name = candidate(prompt, kind, ordinal);
            let highest = self.ledger.state().highest(parse_ours(&name)?.key());
            if ordinal > highest && is_free(&name) {
                return Some(name);
            }
            // Straight to the first number that was never used.
            ordinal = ordinal.max(highest).saturating_add(1);
        }
        None
    }

    /// Records that these answers are about to be written to the volume under these paths. From now
    /// on the names are used.
    pub fn publishing(&mut self, names: &[(JobId, String)]) -> Result<(), MailboxError> {
        let intended = |(id, path): &(JobId, String)| Record::Intended {
            id: *id,
            path: path.clone(),
        };
        let records: Vec<_> = names.iter().map(intended).collect();
        self.ledger.append(&mut self.disk, &records)
    }

    /// Records that these answers are on the volume.
    pub fn published(&mut self, names: &[(JobId, String)]) -> Result<(), MailboxError> {
        let published = |(id, path): &(JobId, String)| Record::Published {
            id: *id,
            path: path.clone(),
        };
        let records: Vec<_> = names.iter().map(published).collect();
        self.ledger.append(&mut self.disk, &records)?;
        self.prune();
        Ok(())
    }

    /// Whether a response or error file had this path on this volume at any time.
    pub fn used(&self, path: &str) -> bool {
        self.ledger.state().is_used(path)
    }

    /// The answers that were about to be published when something failed, with their names: nothing
    /// says yet whether they are on the volume.
    pub fn intended(&self) -> Vec<(JobId, String)> {
        let intent = |(id, entry): (&JobId, &Entry)| Some((*id, entry.intent()?.1.to_owned()));
        self.ledger.state().jobs.iter().filter_map(intent).collect()
    }

    /// Settles which of the [`intended`](Self::intended) answers are on the volume; to be called
    /// before [`reconcile`](Self::reconcile). `content` gives the digest of the file that has that
    /// path, in any case, or none if there is no such file. If it is the answer's, the answer is
    /// published. Another file there is not ours: the answer gets another name. If there is none,
    /// the answer keeps its name for the next attempt.
    pub fn resolve_intents(
        &mut self,
        content: &dyn Fn(&str) -> Option<Digest>,
    ) -> Result<(), MailboxError> {
        let settle = |(id, entry): (&JobId, &Entry)| {
            let (answer, path) = entry.intent()?;
            let is_ours = content(path)? == answer.digest;
            Some(if is_ours {
                Record::Published {
                    id: *id,
                    path: path.to_owned(),
                }
            } else {
                Record::Answered { id: *id, answer }
            })
        };
        let jobs = self.ledger.state().jobs.iter();
        let records: Vec<_> = jobs.filter_map(settle).collect();
        self.ledger.append(&mut self.disk, &records)?;
        if !records.is_empty() {
            self.prune();
        }
        Ok(())
    }
}
