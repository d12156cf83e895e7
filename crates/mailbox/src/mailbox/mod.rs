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

mod feed;
mod publish;

use std::collections::HashMap;
use std::path::Path;

use self::feed::complaint_entry;
use crate::complaint::Complaint;
use crate::digest::Digest;
use crate::disk::{Disk, StateFolder};
use crate::error::MailboxError;
use crate::job::{Changes, Counts, Job, JobId, Outcome, Sighting};
use crate::ledger::{Answer, Entry, History, Ledger, Phase, Record, Source, State};
use crate::limits::{RESPONSE_LIMIT_BYTES, SETTINGS_LIMIT_BYTES};
use crate::name::{fold, split_path};
use crate::reconcile::plan;
use crate::settings::SettingsState;
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
        Self::open_on(Self::folder(state_dir)?, volume_serial)
    }

    /// The folder for [`open_on`](Mailbox::open_on): made if missing, and locked.
    pub fn folder(state_dir: &Path) -> Result<StateFolder, MailboxError> {
        StateFolder::open(state_dir, &[STORE_FOLDER])
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
        self.queued().next()
    }

    /// The jobs that wait for their answers, the oldest first.
    pub fn queued(&self) -> impl Iterator<Item = Job> {
        let jobs = self.ledger.state().jobs.iter();
        jobs.filter(|(_, entry)| entry.phase == Phase::Queued)
            .map(|(id, entry)| entry.job(*id))
    }

    /// A job that is not forgotten, whatever its state.
    pub fn job(&self, id: JobId) -> Option<Job> {
        self.ledger.state().jobs.get(&id).map(|entry| entry.job(id))
    }

    /// The prompts at `paths`, in any case, as they were when they were last given to
    /// [`reconcile`](Self::reconcile), their paths included: to be given again where it cannot be
    /// told yet what is there now. Paths at which there was none are left out.
    pub fn remembered<'p>(&self, paths: impl IntoIterator<Item = &'p str>) -> Vec<Sighting> {
        let mut by_path = HashMap::new();
        let mut by_fold = HashMap::new();
        for entry in self.there() {
            by_path.entry(entry.path.as_str()).or_insert(entry);
            by_fold.entry(fold(&entry.path)).or_insert(entry);
        }
        // Some hosts keep names apart that are the same folded: the same name goes first.
        let find = |path: &str| by_path.get(path).or_else(|| by_fold.get(&fold(path)));
        let found = paths.into_iter().filter_map(find);
        found.map(|entry| entry.sighting()).collect()
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
