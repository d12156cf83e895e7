//! The drives that show answers: what is put onto them, when `medium::Shelf` says so.
//!
//! Invariant: an image is written only while no drive holds it. What goes wrong here costs a
//! convenience and no answer: it is logged and tried again.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use mailbox::disk::Disk;
use mailbox::{JobId, Mailbox};
use medium::{Event, Shelf, ShelfAction, ShelfEvent, Timing};
use volume::Volume;

use super::{Session, Step, open_volume};
use crate::config::Config;
use crate::daemon::answers::{self, Answer, Append, Status, last_number, name_of};
use crate::daemon::report::Part;
use crate::daemon::world::World;

/// The drives for answers, and what is on their media.
pub(super) struct Answers {
    pub(super) shelf: Shelf,
    media: Vec<Answered>,
    /// Published since this session began.
    published: BTreeSet<JobId>,
    /// The files that were in the drives when this session began, name and length.
    found: Vec<(String, u64)>,
    /// Numbers of the files that are told apart by a number.
    status_number: u32,
    partial_number: u32,
    progress_ms: Option<u64>,
    next_progress_ms: u64,
}

/// One medium.
#[derive(Default)]
struct Answered {
    /// The answers on it.
    ids: BTreeSet<JobId>,
}

/// What an insertion would put onto a medium, the oldest first.
struct News {
    answers: Vec<(JobId, Answer)>,
    /// The status file, and the response in work.
    notes: Vec<Answer>,
}

impl Answers {
    /// Empty drives, or those that an earlier daemon has filled, as they are.
    pub(super) fn new(config: &Config, world: &impl World, timing: Timing) -> anyhow::Result<Self> {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (now_ms, count) = (world.now_ms(), world.answer_drives());
        let force_ms = config.force_answers.map(millis);
        let mut shelf = Shelf::new(timing, now_ms, count, world.bus()?, force_ms);
        let mut found = Vec::new();
        let mut media = Vec::new();
        for at in 0..count {
            if !world.is_answers_empty(at)? {
                shelf.found(now_ms, at);
                found.extend(world.answers_files(at).unwrap_or_default());
            }
            media.push(Answered::default());
        }
        Ok(Self {
            shelf,
            media,
            published: BTreeSet::new(),
            status_number: last_number(found.iter().map(|(name, _)| name.as_str())),
            found,
            partial_number: 0,
            progress_ms: config.progress.map(millis).filter(|_| count > 0),
            next_progress_ms: 0,
        })
    }

    /// The newest answer of those that an earlier daemon has shown already: showing it again
    /// would take the spare away from the next one.
    pub(super) fn shown_before<S: Disk>(&self, mailbox: &Mailbox<S>) -> Option<u64> {
        let ready = mailbox.ready();
        let ids: Vec<JobId> = ready.iter().map(|ready| ready.id).collect();
        let named = mailbox.names_for(&ids, &|_| false);
        let is_found = |id: JobId, len_bytes: u64| {
            let name = named.iter().find(|(named, _)| *named == id);
            let is_this = |(_, path): &(JobId, String)| {
                let file = (name_of(path).to_owned(), len_bytes);
                self.found.contains(&file)
            };
            name.is_some_and(is_this)
        };
        let shown = ready.iter();
        let shown = shown.take_while(|ready| is_found(ready.id, ready.len_bytes));
        shown.last().map(|ready| ready.id.0)
    }

    /// These are on the volume now.
    pub(super) fn published(&mut self, ids: &[JobId]) {
        self.published.extend(ids);
    }

    /// The engine begins with a prompt.
    pub(super) fn running(&mut self, now_ms: u64) {
        self.next_progress_ms = now_ms + self.progress_ms.unwrap_or_default();
    }

    /// When there is something to do.
    pub(super) fn deadline_ms(&self, is_running: bool) -> Option<u64> {
        let progress_ms = self.progress_ms.filter(|_| is_running);
        let progress_ms = progress_ms.map(|_| self.next_progress_ms);
        let deadlines = [self.shelf.deadline_ms(), progress_ms];
        deadlines.into_iter().flatten().min()
    }

    fn tick(&mut self, now_ms: u64) {
        if let Some(progress_ms) = self.progress_ms
            && now_ms >= self.next_progress_ms
        {
            self.next_progress_ms = now_ms + progress_ms;
            self.shelf.handle(now_ms, ShelfEvent::News);
        }
    }
}

impl<W: World> Session<'_, W> {
    /// A response in work is news from time to time, where the operator wants that.
    pub(super) fn tick(&mut self) {
        if self.running.is_some() {
            self.answers.tick(self.world.now_ms());
        }
    }

    /// The host keeps the volume, or it cannot be written, and answers wait.
    pub(super) fn show(&mut self) -> Step {
        let now_ms = self.world.now_ms();
        if !self.machine.is_ejected() {
            self.report.held();
        }
        self.notice_ejected_answers();
        self.answers.shelf.handle(now_ms, ShelfEvent::News);
        self.machine.handle(now_ms, Event::Showing);
        Step::Again
    }

    /// Nothing tells that a viewer has ejected answers; it matters once there are others to show.
    /// Called when an answer is ready, too, so that the drive's absence does not begin only when
    /// the medium is wanted back.
    pub(super) fn notice_ejected_answers(&mut self) {
        let now_ms = self.world.now_ms();
        let filled: Vec<usize> = self.answers.shelf.filled().collect();
        for at in filled {
            if matches!(self.world.is_answers_empty(at), Ok(true)) {
                self.answers.shelf.handle(now_ms, ShelfEvent::Ejected(at));
            }
        }
    }

    /// Answers wait for room on the volume: they are news, unless a drive has them all.
    pub(super) fn show_elsewhere(&mut self) {
        let waiting: BTreeSet<JobId> = self.mailbox.ready().iter().map(|ready| ready.id).collect();
        let media = &self.answers.media;
        let has_all = |medium: &Answered| waiting.is_subset(&medium.ids);
        let is_shown = (self.answers.shelf.filled())
            .filter_map(|at| media.get(at))
            .any(has_all);
        if !is_shown {
            let now_ms = self.world.now_ms();
            self.answers.shelf.handle(now_ms, ShelfEvent::News);
        }
    }

    /// Carries out what the shelf wants.
    pub(super) fn change_answers(&mut self, action: ShelfAction) -> Step {
        let done = match action {
            ShelfAction::Insert(at) => self.insert_answers(at).map(|()| ShelfEvent::Inserted(at)),
            ShelfAction::Eject(at) => self.world.eject_answers(at).map(|left| match left {
                true => ShelfEvent::Left(at),
                false => ShelfEvent::Kept(at),
            }),
            ShelfAction::Force(at) => self
                .world
                .force_answers(at)
                .inspect(|()| tracing::warn!("took the answers from a viewer, as configured"))
                .map(|()| ShelfEvent::Left(at)),
        };
        let event = match done {
            Ok(event) => {
                self.report.went_well(Part::Answers);
                event
            }
            Err(error) => {
                self.report.put_off(Part::Answers, &error);
                self.find_answers(action);
                let (ShelfAction::Insert(at) | ShelfAction::Eject(at) | ShelfAction::Force(at)) =
                    action;
                ShelfEvent::Failed(at)
            }
        };
        self.answers.shelf.handle(self.world.now_ms(), event);
        Step::Again
    }

    /// After a failed insertion: the medium may be in the drive all the same, and has to be taken
    /// out before it can be changed.
    fn find_answers(&mut self, failed: ShelfAction) {
        if let ShelfAction::Insert(at) = failed
            && matches!(self.world.is_answers_empty(at), Ok(false))
        {
            let now_ms = self.world.now_ms();
            self.answers.shelf.found(now_ms, at);
        }
    }

    /// Whether no host holds on to a medium with answers. Those that it does not hold are taken
    /// out; they come back with the next news.
    pub(super) fn answers_are_free(&mut self) -> bool {
        let filled: Vec<usize> = self.answers.shelf.filled().collect();
        filled.into_iter().all(|at| {
            let left = matches!(self.world.eject_answers(at), Ok(true));
            if left {
                let now_ms = self.world.now_ms();
                self.answers.shelf.handle(now_ms, ShelfEvent::Left(at));
            }
            left
        })
    }

    fn insert_answers(&mut self, at: usize) -> anyhow::Result<()> {
        // The free space is read from the volume.
        self.world.forget_reads();
        let news = self.news(at)?;
        self.fill(at, &news)?;
        self.world.insert_answers(at)?;
        let files = news.answers.len();
        tracing::info!(
            drive = at + 1,
            files,
            "answers are to be read on the second drive"
        );
        Ok(())
    }

    /// Writes what is new onto the medium, or makes another one.
    fn fill(&mut self, at: usize, news: &News) -> anyhow::Result<()> {
        let medium = self.answers.media.get_mut(at).context("no such drive")?;
        let fresh = news
            .answers
            .iter()
            .filter(|(id, _)| !medium.ids.contains(id));
        let files: Vec<Answer> = fresh
            .map(|(_, answer)| answer.clone())
            .chain(news.notes.iter().cloned())
            .collect();
        match self.world.add_answers(at, &files) {
            Ok(Append::Done(_)) => {
                medium.ids.extend(news.answers.iter().map(|(id, _)| *id));
                return Ok(());
            }
            Ok(Append::Full) => tracing::debug!("a new medium for answers"),
            Err(error) => tracing::warn!("{error:#}; making another one"),
        }
        let newest_first = news.notes.iter().rev().cloned();
        let answers = news.answers.iter().rev().map(|(_, answer)| answer.clone());
        let files = newest_first.chain(answers);
        let count = self.world.make_answers(at, self.serial, files)?;
        let taken = count.saturating_sub(news.notes.len());
        let newest_first = news.answers.iter().rev().take(taken);
        medium.ids = newest_first.map(|(id, _)| *id).collect();
        Ok(())
    }

    /// What there is to show.
    fn news(&mut self, at: usize) -> anyhow::Result<News> {
        let ready = self.mailbox.ready();
        let ids: Vec<JobId> = ready.iter().map(|ready| ready.id).collect();
        let mut named = self.mailbox.names_for(&ids, &|_| false);
        let recent = self.mailbox.recent().into_iter();
        let recent = recent.filter(|recent| self.answers.published.contains(&recent.id));
        named.extend(recent.map(|recent| (recent.id, recent.path)));
        named.sort_unstable_by_key(|(id, _)| *id);
        let mut answers = Vec::new();
        for (id, path) in named {
            let Some(bytes) = self.mailbox.outcome_bytes(id)? else {
                continue;
            };
            let time = self.time;
            answers.push((id, Answer { path, bytes, time }));
        }
        tracing::debug!(drive = at + 1, answers = answers.len(), "collected");
        let notes = self.notes();
        Ok(News { answers, notes })
    }

    fn notes(&mut self) -> Vec<Answer> {
        let mut notes = Vec::new();
        if let Some(running) = &self.running
            && self.answers.progress_ms.is_some()
        {
            self.answers.partial_number += 1;
            notes.extend(answers::partial(
                &running.job.path,
                self.answers.partial_number,
                &running.text,
                running.reply.form(),
                self.time,
            ));
        }
        self.answers.status_number += 1;
        notes.push(Answer {
            path: answers::status_name(self.answers.status_number),
            bytes: self.status().text().into_bytes(),
            time: self.time,
        });
        notes
    }

    fn status(&self) -> Status {
        let running = self.running.as_ref();
        let queue = self.mailbox.queued().map(|job| job.path);
        let in_work = running.map(|running| running.job.path.clone());
        let queue: Vec<String> = queue
            .filter(|path| Some(path) != in_work.as_ref())
            .collect();
        let max_tokens = self.mailbox.settings().max_tokens;
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up: Duration::from_millis(self.world.now_ms()),
            running: running.map(|running| answers::Running {
                name: running.job.path.clone(),
                stage: running.pace.stage(),
                max_tokens: running.max_tokens,
            }),
            queued: queue.len(),
            queue,
            max_tokens,
            tokens_per_s: running
                .and_then(|running| running.pace.tokens_per_s())
                .or(self.report.tokens_per_s()),
            waiting: self.mailbox.ready().len(),
            errors: self.report.errors(),
            model: self.report.model(),
            free_bytes: self.free_bytes(),
        }
    }

    /// Reads the whole table, so only for a status file.
    fn free_bytes(&self) -> Option<u64> {
        let volume = open_volume(&self.world).ok()?;
        Volume::free_bytes(&volume).ok()
    }
}
