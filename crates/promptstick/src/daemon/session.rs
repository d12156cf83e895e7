//! One volume, from its first reading until it is gone: events in, readings, answers and
//! publications out. The state machines (`medium`, `mailbox`) decide; this module carries out.
//!
//! Invariants: inference never waits for the medium nor the medium for inference; nothing is
//! written to the image except by [`publish`], while the medium is ours.

use std::collections::BTreeSet;
use std::fs::File;
use std::time::SystemTime;

use anyhow::Context;
use engine::{Event as EngineEvent, Worker};
use mailbox::{Job, Mailbox, Outcome};
use medium::{Event, Machine, Medium, PlainFile, Refusal, Take, Timing, View};
use volume::{ImageFile, Volume};

use super::clock::Clock;
use super::job::{self, Reply};
use super::publish::publish;
use super::question::{self, Question};
use super::report::Report;
use super::scan::Scan;
use crate::config::Config;
use crate::stick;

/// Everything that belongs to one volume.
pub struct Session<'a> {
    config: &'a Config,
    worker: &'a mut Worker,
    report: Report,
    clock: Clock,
    machine: Machine,
    medium: PlainFile,
    mailbox: Mailbox,
    running: Option<Running>,
    /// The next prompt is not what it was when it was accepted; a reading will tell.
    stale: bool,
    /// Some answers did not fit at the last attempt; a change of the volume may make room.
    no_room: bool,
    /// The image's time of change before the last reading.
    read_at: Option<SystemTime>,
}

/// The prompt that the engine works on.
struct Running {
    job: Job,
    reply: Reply,
    text: String,
}

impl<'a> Session<'a> {
    /// Finishes or discards what a crash left in the journal, and opens the ledger.
    ///
    /// # Errors
    /// The image or the state folder cannot be used: what is wrong and what to do.
    pub fn open(
        config: &'a Config,
        worker: &'a mut Worker,
        timing: Timing,
        report: Report,
    ) -> anyhow::Result<Self> {
        let mut medium = PlainFile::new(&config.image);
        stick::recover(&config.image, &mut medium)?;
        let serial = open(config)?.serial();
        let mailbox = Mailbox::open(&config.state, serial)
            .with_context(|| format!("in the state folder {}", config.state.display()))?;
        let clock = Clock::start();
        Ok(Self {
            machine: Machine::new(timing, clock.now_ms()),
            medium,
            running: None,
            stale: false,
            no_room: false,
            read_at: None,
            config,
            worker,
            report,
            clock,
            mailbox,
        })
    }

    /// Does everything that is due now.
    ///
    /// # Errors
    /// The image or the state folder failed; the session must be opened again.
    pub async fn advance(&mut self) -> anyhow::Result<()> {
        while let Some(action) = self.machine.poll(self.clock.now_ms()) {
            match action {
                medium::Action::Read => self.read().await?,
                medium::Action::Take => self.take().await?,
            }
        }
        self.start_next()
    }

    /// A host may have written.
    pub fn wrote(&mut self) {
        self.machine.handle(self.clock.now_ms(), Event::Wrote);
    }

    /// Whether the image's time of change says that it was written since the last reading began.
    pub fn is_modified(&self) -> bool {
        modified(self.config) != self.read_at
    }

    /// Waits for the engine or for the next deadline. Dropping the future loses nothing.
    pub async fn wait(&mut self) -> Option<EngineEvent> {
        let deadline = self.clock.reach(self.machine.deadline_ms());
        if self.running.is_none() {
            deadline.await;
            return None;
        }
        tokio::select! {
            event = self.worker.event() => Some(event),
            () = deadline => None,
        }
    }

    /// The volume's marks said at the last reading that a host uses it.
    pub fn in_use(&self) -> bool {
        self.machine.in_use()
    }

    /// Nothing is queued, running, settling, or about to be published.
    pub fn is_done(&self) -> bool {
        self.running.is_none()
            && self.mailbox.next().is_none()
            && self.machine.deadline_ms().is_none()
    }

    /// Whether there are answers that are not on the volume.
    pub fn has_unpublished(&self) -> bool {
        !self.mailbox.ready().is_empty()
    }

    /// How many answers this session has put onto the volume.
    pub fn published(&self) -> usize {
        self.report.published_count()
    }

    /// Takes note of what the engine said.
    ///
    /// # Errors
    /// The answer cannot be stored.
    pub fn engine_said(&mut self, event: EngineEvent) -> anyhow::Result<()> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        let outcome = match event {
            EngineEvent::Loaded(model) => {
                self.report.loaded(&model);
                return Ok(());
            }
            EngineEvent::Text(text) => {
                running.text.push_str(&text);
                return Ok(());
            }
            EngineEvent::Finished(summary) => {
                self.report.answered(&running.job, &summary);
                running.reply.respond(&running.text, &summary)
            }
            EngineEvent::Failed(failure) => {
                self.report.failed(&running.job, &failure);
                running.reply.fail(&failure)
            }
            _ => return Ok(()),
        };
        let id = running.job.id;
        self.running = None;
        self.mailbox.answered(id, &outcome)?;
        self.want_medium();
        Ok(())
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        self.read_at = modified(self.config);
        let scan = Scan::read(&open(self.config)?)?;
        let event = Event::Read {
            in_use: scan.in_use,
            found: scan.observations(),
        };
        let view = self
            .machine
            .handle(self.clock.now_ms(), event)
            .unwrap_or_default();
        self.no_room = false;
        self.believe(&scan, &view).await
    }

    /// Hands what has settled to the mailbox.
    async fn believe(&mut self, scan: &Scan, view: &View) -> anyhow::Result<()> {
        if !view.unsettled.contains(mailbox::SETTINGS_PATH) {
            let content = scan.settings.as_ref().map(|found| found.content.as_slice());
            self.mailbox.feed_settings(content)?;
        }
        let known = |path: &String| view.settled.contains(path) || view.damaged.contains(path);
        let found = scan.prompts.iter().map(|found| &found.sighting);
        let mut sightings: Vec<_> = found.filter(|seen| known(&seen.path)).cloned().collect();
        // What has not settled is as it was.
        sightings.extend(
            view.unsettled
                .iter()
                .filter_map(|path| self.mailbox.remembered(path)),
        );
        let changes = self
            .mailbox
            .reconcile(&sightings, &|path| scan.exists(path))?;
        let waiting = changes.waiting + scan.waiting;
        self.report.too_many(waiting);
        self.stale = false;
        let dropped: BTreeSet<_> = changes.dropped.into_iter().collect();
        if let Some(running) = self
            .running
            .take_if(|running| dropped.contains(&running.job.id))
        {
            self.report.dropped(&running.job);
            self.worker.cancel().await;
        }
        self.want_medium();
        Ok(())
    }

    fn want_medium(&mut self) {
        let wants = self.has_unpublished() && !self.no_room;
        if wants && self.machine.in_use() {
            self.report.held();
        }
        self.machine
            .handle(self.clock.now_ms(), Event::Wants(wants));
    }

    /// Gives the engine the prompt that has waited longest, if it has nothing to do.
    fn start_next(&mut self) -> anyhow::Result<()> {
        while self.running.is_none() && !self.stale {
            let Some(job) = self.mailbox.next() else {
                break;
            };
            let question = question::read(&open(self.config)?, &job, self.mailbox.settings())?;
            let asked = match question {
                Question::Asks(question) => job::ask(&job, question, self.config),
                Question::Refused(refusal) => Err(refusal),
                Question::Changed => {
                    self.stale = true;
                    self.wrote();
                    break;
                }
            };
            match asked {
                Ok(asked) => {
                    self.report.thinking(&job);
                    self.worker.start(&asked.model, asked.request)?;
                    self.running = Some(Running {
                        job,
                        reply: asked.reply,
                        text: String::new(),
                    });
                }
                Err(refusal) => {
                    self.report.refused(&job);
                    let outcome = Outcome::Error {
                        bytes: refusal.bytes(),
                    };
                    self.mailbox.answered(job.id, &outcome)?;
                    self.want_medium();
                }
            }
        }
        Ok(())
    }

    /// One attempt to take the medium, and, when it is granted, one publication.
    async fn take(&mut self) -> anyhow::Result<()> {
        let image = match self.medium.try_take()? {
            Take::Granted(image) => image,
            Take::Busy => {
                self.report.held();
                self.refused(Refusal::Busy);
                return Ok(());
            }
        };
        let result = self.use_medium(&image).await;
        self.medium.give_back(image)?;
        if result? {
            self.machine.handle(self.clock.now_ms(), Event::Returned);
            self.want_medium();
        } else {
            self.report.held();
            self.refused(Refusal::InUse);
        }
        Ok(())
    }

    fn refused(&mut self, refusal: Refusal) {
        self.machine
            .handle(self.clock.now_ms(), Event::Refused(refusal));
    }

    /// The medium is granted; it is ours if the volume says so as well. False if it does not.
    async fn use_medium(&mut self, image: &File) -> anyhow::Result<bool> {
        let mut device = ImageFile::from_file(image.try_clone()?)?;
        let scan = Scan::read(&Volume::open(&device)?)?;
        if scan.in_use {
            return Ok(false);
        }
        self.machine.handle(self.clock.now_ms(), Event::Taken);
        // Nobody else can write now: what is there is what there is.
        self.believe(&scan, &scan.as_view()).await?;
        let journal = stick::journal(&self.config.image);
        self.no_room = publish(
            &mut device,
            &journal,
            &scan,
            &mut self.mailbox,
            &mut self.report,
        )?;
        Ok(true)
    }
}

fn open(config: &Config) -> anyhow::Result<Volume<ImageFile>> {
    let unreadable = || format!("cannot read the image {}", config.image.display());
    let image = ImageFile::open_read_only(&config.image).with_context(unreadable)?;
    Volume::open(image).with_context(unreadable)
}

fn modified(config: &Config) -> Option<SystemTime> {
    config.image.metadata().ok()?.modified().ok()
}
