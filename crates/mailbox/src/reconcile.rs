//! What the prompts on the volume mean for the jobs: which are new, moved, changed or gone.
//!
//! Pure: the ledger's state and the prompts as they are now go in, the records to append come out.
//! docs/SPEC.md section 4 has the rules; `mailbox_tests` holds them against a model with random
//! histories. The result depends on what is there, not on how often anybody looked; a second look
//! at the same volume changes nothing.
//!
//! Steps, each on what the one before left over: prompts that are where their job says; prompts
//! that moved; jobs without a prompt; prompts without a job. What a cut left between publishing and
//! its record is settled before (`Mailbox::resolve_intents`). Costs O(n log n) for n prompts and
//! jobs.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::digest::Digest;
use crate::job::{Changes, JobId, Sighting, Stamp};
use crate::ledger::{Entry, Phase, Record, Source, State};
use crate::limits::{GONE_MAX, JOBS_MAX};

/// Records to append, and what they mean to whoever runs the jobs.
#[derive(Debug, Default)]
pub struct Plan {
    /// In this order.
    pub records: Vec<Record>,
    /// What was added and dropped.
    pub changes: Changes,
}

/// What has to be recorded so that `state` agrees with the prompts that are on the volume now.
/// `exists` says whether any file has that path on the volume now, in any case.
pub fn plan(state: &State, sightings: &[Sighting], exists: &dyn Fn(&str) -> bool) -> Plan {
    let mut planner = Planner::new(state, sightings, exists);
    planner.match_in_place();
    planner.match_moved();
    planner.leave();
    planner.arrive();
    planner.plan
}

/// A prompt that is on the volume, with its identity worked out once.
#[derive(Clone, Copy)]
struct Seen<'a> {
    sighting: &'a Sighting,
    identity: Digest,
}

/// What a rename keeps: the content and where it lies.
type FileKey = (Digest, u32, u32, (u16, u16));

fn file_key(identity: Digest, stamp: &Stamp) -> FileKey {
    (
        identity,
        stamp.first_cluster,
        stamp.len_bytes,
        stamp.modified,
    )
}

struct Planner<'a> {
    state: &'a State,
    exists: &'a dyn Fn(&str) -> bool,
    /// Jobs that no prompt has been found for.
    jobs: BTreeMap<JobId, &'a Entry>,
    /// Prompts that no job has been found for, by path.
    prompts: BTreeMap<&'a str, Seen<'a>>,
    /// All paths that prompts have now.
    paths: HashSet<&'a str>,
    /// How many jobs this plan drops.
    dropped: usize,
    plan: Plan,
}

impl<'a> Planner<'a> {
    fn new(state: &'a State, sightings: &'a [Sighting], exists: &'a dyn Fn(&str) -> bool) -> Self {
        let mut prompts = BTreeMap::new();
        for sighting in sightings {
            let seen = || Seen {
                sighting,
                identity: sighting.identity(),
            };
            prompts.entry(sighting.path.as_str()).or_insert_with(seen);
        }
        let jobs = state
            .jobs
            .iter()
            .filter(|(_, entry)| entry.source != Source::Settings);
        Self {
            state,
            exists,
            jobs: jobs.map(|(id, entry)| (*id, entry)).collect(),
            paths: prompts.keys().copied().collect(),
            prompts,
            dropped: 0,
            plan: Plan::default(),
        }
    }

    fn match_in_place(&mut self) {
        let jobs: Vec<_> = self.jobs.iter().map(|(id, entry)| (*id, *entry)).collect();
        for (id, entry) in jobs {
            let found = self.prompts.get(entry.path.as_str()).copied();
            if let Some(seen) = found.filter(|seen| seen.identity == entry.identity()) {
                self.keep(id, entry, seen);
            }
        }
    }

    /// A prompt that is elsewhere now: first by content and place on the volume, which a rename
    /// keeps; then by content alone, which is all that a copy made by "move" keeps. A job whose
    /// prompt was already gone comes back by the first only, else a new file that happens to have
    /// the content of a deleted one would never be answered.
    fn match_moved(&mut self) {
        let mut by_file: HashMap<FileKey, Vec<Seen<'a>>> = HashMap::new();
        for seen in self.prompts.values().rev() {
            let key = file_key(seen.identity, &seen.sighting.stamp);
            by_file.entry(key).or_default().push(*seen);
        }
        self.match_by(|entry| {
            by_file
                .get_mut(&file_key(entry.identity(), &entry.stamp))
                .and_then(Vec::pop)
        });
        let mut by_content: HashMap<Digest, Vec<Seen<'a>>> = HashMap::new();
        for seen in self.prompts.values().rev() {
            by_content.entry(seen.identity).or_default().push(*seen);
        }
        self.match_by(|entry| {
            let is_gone = matches!(entry.phase, Phase::Published { gone: true, .. });
            if is_gone {
                None
            } else {
                by_content.get_mut(&entry.identity()).and_then(Vec::pop)
            }
        });
    }

    fn match_by(&mut self, mut find: impl FnMut(&Entry) -> Option<Seen<'a>>) {
        let jobs: Vec<_> = self.jobs.iter().map(|(id, entry)| (*id, *entry)).collect();
        for (id, entry) in jobs {
            if let Some(seen) = find(entry) {
                self.keep(id, entry, seen);
            }
        }
    }

    /// The job's prompt is this one. It is asked again if its response is gone and it was saved
    /// since; else it is what it was.
    fn keep(&mut self, id: JobId, entry: &'a Entry, seen: Seen<'a>) {
        self.jobs.remove(&id);
        let sighting = seen.sighting;
        let saved = sighting.stamp != entry.stamp;
        let response_gone = entry.response().is_some_and(|path| !(self.exists)(path));
        if saved && response_gone {
            // The prompt stays among those without a job, so it gets a new one.
            self.forget(id);
            return;
        }
        self.prompts.remove(sighting.path.as_str());
        let is_gone = matches!(entry.phase, Phase::Published { gone: true, .. });
        if saved || is_gone || sighting.path != entry.path {
            let (stamp, path) = (sighting.stamp, sighting.path.clone());
            self.plan.records.push(Record::Seen { id, stamp, path });
        }
    }

    fn forget(&mut self, id: JobId) {
        self.dropped += 1;
        self.plan.records.push(Record::Dropped { id });
    }

    /// Jobs without a prompt. An answered one is remembered while its response is there, unless the
    /// prompt's place was taken by another content.
    fn leave(&mut self) {
        let mut gone = Vec::new();
        for (id, entry) in std::mem::take(&mut self.jobs) {
            let Some(response) = entry.response() else {
                self.plan.changes.dropped.push(id);
                self.forget(id);
                continue;
            };
            if self.paths.contains(entry.path.as_str()) || !(self.exists)(response) {
                self.forget(id);
            } else {
                gone.push((id, entry));
            }
        }
        let surplus = gone.len().saturating_sub(GONE_MAX);
        for (index, (id, entry)) in gone.into_iter().enumerate() {
            if index < surplus {
                self.forget(id);
            } else if !matches!(entry.phase, Phase::Published { gone: true, .. }) {
                self.plan.records.push(Record::Gone { id });
            }
        }
    }

    /// Prompts without a job, the one that was saved first coming first.
    fn arrive(&mut self) {
        let mut prompts: Vec<_> = std::mem::take(&mut self.prompts).into_values().collect();
        prompts.sort_by_key(|seen| (seen.sighting.stamp.modified, &seen.sighting.path));
        let followed = self.state.jobs.len().saturating_sub(self.dropped);
        let room = JOBS_MAX.saturating_sub(followed);
        self.plan.changes.waiting = prompts.len().saturating_sub(room);
        let mut next = self.state.next_id();
        for seen in prompts.into_iter().take(room) {
            let Sighting {
                path,
                stamp,
                digest,
                named,
            } = seen.sighting;
            let source = if *named {
                Source::Name
            } else {
                Source::Content
            };
            let (stamp, digest, path) = (*stamp, *digest, path.clone());
            self.plan.records.push(Record::Added {
                id: next,
                source,
                digest,
                stamp,
                path,
            });
            self.plan.changes.added.push(next);
            next = JobId(next.0.saturating_add(1));
        }
    }
}
