//! The mailbox: which prompts are to be answered, which answers are to be published, which names
//! are used. The daemon's only door to the ledger and the response store.
//!
//! Invariants: what a method changed is durable when it returns; on an error nothing has changed;
//! after a power cut at any instant a new `open` goes on where the last durable change left off.
//!
//! The life of a job: [`reconcile`](Mailbox::reconcile) adds it, [`next`](Mailbox::next) hands it
//! out, [`answered`](Mailbox::answered) stores its answer, [`names_for`](Mailbox::names_for) and
//! [`publishing`](Mailbox::publishing) give that a name, the daemon writes it to the volume, and
//! [`published`](Mailbox::published) closes it. If something fails between the last two,
//! [`resolve_intents`](Mailbox::resolve_intents) finds out what came of it.

use std::collections::HashSet;
use std::path::Path;

use crate::complaint::Complaint;
use crate::digest::Digest;
use crate::disk::{Disk, StateFolder};
use crate::error::MailboxError;
use crate::job::{Changes, Counts, Job, JobId, Outcome, Ready, Recent, Sighting, Stamp};
use crate::ledger::{Answer, Entry, History, Ledger, Phase, Record, Source, State};
use crate::limits::{NAME_TRIES_MAX, ORDINAL_MAX, RESPONSE_LIMIT_BYTES, SETTINGS_LIMIT_BYTES};
use crate::name::{OutcomeKind, candidate, fold, parse_ours, split_path};
use crate::reconcile::plan;
use crate::settings::{Feedback, Settings, SettingsFile, SettingsState};
use crate::store::{STORE_FOLDER, Store};
use crate::text::{TextForm, encode};

/// Path of the settings on the volume.
pub const SETTINGS_PATH: &str = "SETTINGS.TOML";

/// The last good settings in the state folder.
const GOOD_SETTINGS_NAME: &str = "settings";

/// What is asked, answered and published on one volume.
#[derive(Debug)]
pub struct Mailbox<D = StateFolder> {
    disk: D,
    ledger: Ledger,
    store: Store,
    settings: SettingsState,
    /// Digest of the last good settings as they are stored.
    good_settings: Option<Digest>,
}

impl Mailbox<StateFolder> {
    /// Opens the mailbox in `state_dir` (made if missing) for the volume with this serial number.
    /// A second mailbox on the same folder, in this process or another, is refused.
    pub fn open(state_dir: &Path, volume_serial: u32) -> Result<Self, MailboxError> {
        Self::open_on(
            StateFolder::open(state_dir, &[STORE_FOLDER])?,
            volume_serial,
        )
    }
}

impl<D: Disk> Mailbox<D> {
    /// Opens the mailbox on any disk: what [`open`](Mailbox::open) does after taking the lock.
    pub fn open_on(mut disk: D, volume_serial: u32) -> Result<Self, MailboxError> {
        let mut ledger = Ledger::open(&mut disk, volume_serial)?;
        let store = Store::open(&mut disk, ledger.state())
            .map_err(MailboxError::io("look through the stored responses"))?;
        // One that was about to be published may be on the volume: `resolve_intents` finds out.
        let lost = lost_answers(&store, ledger.state(), false);
        ledger.append(&mut disk, &lost)?;
        let good = disk
            .read(GOOD_SETTINGS_NAME, SETTINGS_LIMIT_BYTES)
            .map_err(MailboxError::io("read the last good settings"))?;
        // Another volume's settings are not in force on this one.
        let good = good.filter(|_| matches!(ledger.history(), History::Resumed { .. }));
        let complained = complaint_entry(ledger.state()).map(|(_, digest)| digest);
        let settings = SettingsState::resume(good.as_deref(), complained);
        let good_settings = good.as_deref().map(Digest::of);
        Ok(Self {
            disk,
            ledger,
            store,
            settings,
            good_settings,
        })
    }

    /// How the ledger was found, for the log.
    pub fn history(&self) -> History {
        self.ledger.history()
    }

    /// How many jobs are in which state.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in self.ledger.state().jobs.values() {
            match entry.phase {
                Phase::Queued => counts.queued += 1,
                Phase::Answered { .. } => counts.ready += 1,
                Phase::Published { .. } => counts.published += 1,
            }
        }
        counts
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

    /// Takes in which prompts are on the volume now. All of them have to be given each time.
    /// `exists` says whether a file has that path on the volume now, in any case.
    pub fn reconcile(
        &mut self,
        sightings: &[Sighting],
        exists: &dyn Fn(&str) -> bool,
    ) -> Result<Changes, MailboxError> {
        let plan = plan(self.ledger.state(), sightings, exists);
        self.ledger.append(&mut self.disk, &plan.records)?;
        let lost = lost_answers(&self.store, self.ledger.state(), true);
        self.ledger.append(&mut self.disk, &lost)?;
        if !plan.records.is_empty() {
            self.prune();
        }
        Ok(plan.changes)
    }

    /// The job that has waited longest for its answer.
    pub fn next(&self) -> Option<Job> {
        let mut jobs = self.ledger.state().jobs.iter();
        jobs.find(|(_, entry)| entry.phase == Phase::Queued)
            .map(|(id, entry)| entry.job(*id))
    }

    /// A job that is not forgotten, whatever its state.
    pub fn job(&self, id: JobId) -> Option<Job> {
        self.ledger.state().jobs.get(&id).map(|entry| entry.job(id))
    }

    /// The prompt at `path`, in any case, as it was when it was last given to
    /// [`reconcile`](Self::reconcile), its path included: to be given again where it cannot be told
    /// yet what is there now.
    pub fn remembered(&self, path: &str) -> Option<Sighting> {
        let folded = fold(path);
        // Some hosts keep names apart that are the same folded: the same name goes first.
        self.there()
            .find(|entry| entry.path == path)
            .or_else(|| self.there().find(|entry| fold(&entry.path) == folded))
            .map(Entry::sighting)
    }

    /// All [`remembered`](Self::remembered) prompts that lie in `folder` itself (in any case; `""`
    /// is the root): to be given again where the folder cannot be read at the moment.
    pub fn remembered_under(&self, folder: &str) -> Vec<Sighting> {
        let folded = fold(folder);
        self.there()
            .filter(|entry| fold(split_path(&entry.path).0) == folded)
            .map(Entry::sighting)
            .collect()
    }

    /// The jobs whose prompts were on the volume when it was last read.
    fn there(&self) -> impl Iterator<Item = &Entry> {
        let is_there = |entry: &&Entry| {
            let gone = matches!(entry.phase, Phase::Published { gone: true, .. });
            entry.source != Source::Settings && !gone
        };
        self.ledger.state().jobs.values().filter(is_there)
    }

    /// Whether the answer of a job that is not forgotten lies, or was last to lie, at `path` (in any
    /// case): it counts as being there still where its folder cannot be read at the moment.
    pub fn is_published_path(&self, path: &str) -> bool {
        let state = self.ledger.state();
        let folded = fold(path);
        let is_there = |entry: &Entry| {
            let intent = entry.intent().map(|(_, path)| path);
            let path = entry.response().or(intent);
            path.is_some_and(|path| fold(path) == folded)
        };
        state.is_used(path) && state.jobs.values().any(is_there)
    }

    /// Stores a job's answer. An answer to a job that was dropped or is answered is discarded; one
    /// that is larger than is kept becomes an error file.
    pub fn answered(&mut self, id: JobId, outcome: &Outcome) -> Result<(), MailboxError> {
        let is_wanted = self
            .ledger
            .state()
            .jobs
            .get(&id)
            .is_some_and(|entry| entry.phase == Phase::Queued);
        if !is_wanted {
            return Ok(());
        }
        let record = match too_large(outcome) {
            Some(complaint) => self.store_answer(id, &complaint)?,
            None => self.store_answer(id, outcome)?,
        };
        self.ledger.append(&mut self.disk, &[record])
    }

    /// Makes an answer's bytes durable; the record that says so is still to be appended.
    fn store_answer(&mut self, id: JobId, outcome: &Outcome) -> Result<Record, MailboxError> {
        let bytes = outcome.bytes();
        self.store
            .put(&mut self.disk, id, bytes)
            .map_err(MailboxError::io("store a response"))?;
        let answer = Answer {
            kind: outcome.kind(),
            digest: Digest::of(bytes),
            len_bytes: bytes.len() as u64,
        };
        Ok(Record::Answered { id, answer })
    }

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

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        self.settings.settings()
    }

    /// Takes in `SETTINGS.TOML` as it is now. One that cannot be used changes nothing and becomes a
    /// [`ready`](Self::ready) error, once; that is withdrawn when the file is mended first.
    pub fn feed_settings(&mut self, file: SettingsFile<'_>) -> Result<Feedback, MailboxError> {
        let content = match file {
            SettingsFile::Content(bytes) => Some(bytes),
            _ => None,
        };
        let mut settings = self.settings.clone();
        let feedback = settings.feed(file);
        let mut records = Vec::new();
        let is_settled = settings.complained() == self.settings.complained();
        if let Some((id, _)) = complaint_entry(self.ledger.state()).filter(|_| !is_settled) {
            records.push(Record::Dropped { id });
        }
        if let (Some(error), Some(digest)) = (&feedback.error, settings.complained()) {
            let id = self.ledger.state().next_id();
            let (source, stamp) = (Source::Settings, Stamp::default());
            records.push(Record::Added {
                id,
                source,
                digest,
                stamp,
                path: SETTINGS_PATH.into(),
            });
            records.push(self.store_answer(
                id,
                &Outcome::Error {
                    bytes: error.clone(),
                },
            )?);
        } else if settings.complained().is_none() {
            self.keep_good_settings(content)?;
        }
        self.ledger.append(&mut self.disk, &records)?;
        if !records.is_empty() {
            self.prune();
        }
        self.settings = settings;
        Ok(feedback)
    }

    fn keep_good_settings(&mut self, content: Option<&[u8]>) -> Result<(), MailboxError> {
        let digest = content.map(Digest::of);
        if digest == self.good_settings {
            return Ok(());
        }
        // No file means the defaults, and so does an empty one.
        self.disk
            .write_durably(GOOD_SETTINGS_NAME, content.unwrap_or_default())
            .map_err(MailboxError::io("keep the settings"))?;
        self.good_settings = digest;
        Ok(())
    }

    fn prune(&mut self) {
        // Whatever could not be removed now is tried again at the next change and the next start;
        // the change that was just made durable must not fail for it.
        let _ = self.store.prune(&mut self.disk, self.ledger.state());
    }
}

/// The error that takes the place of an outcome that is too large.
fn too_large(outcome: &Outcome) -> Option<Outcome> {
    let (bytes, limit_bytes) = (outcome.bytes().len() as u64, RESPONSE_LIMIT_BYTES as u64);
    let complaint = Complaint::ResponseLimit { bytes, limit_bytes };
    let error = || Outcome::Error {
        bytes: encode(&complaint.text(), TextForm::default()),
    };
    (bytes > limit_bytes).then(error)
}

/// The job that stands for settings that cannot be used, and their digest.
fn complaint_entry(state: &State) -> Option<(JobId, Digest)> {
    let mut jobs = state.jobs.iter().rev();
    jobs.find(|(_, entry)| entry.source == Source::Settings)
        .map(|(id, entry)| (*id, entry.digest))
}

/// Answers that the ledger counts on and the store has lost: to be made again. A complaint about
/// settings is forgotten instead; the settings bring it back.
fn lost_answers(store: &Store, state: &State, intended_too: bool) -> Vec<Record> {
    let is_lost = |id: JobId, phase: &Phase| match phase {
        Phase::Answered { intent, .. } => !store.has(id) && (intended_too || intent.is_none()),
        _ => false,
    };
    let lost = state
        .jobs
        .iter()
        .filter(|(id, entry)| is_lost(**id, &entry.phase));
    lost.map(|(id, entry)| match entry.source {
        Source::Settings => Record::Dropped { id: *id },
        Source::Content | Source::Name => Record::Requeued { id: *id },
    })
    .collect()
}
