//! One volume, from its first reading until it is gone: events in, readings, answers and
//! publications out. The state machines (`medium`, `mailbox`) decide; this module carries out.
//!
//! Invariants: inference never waits for the medium nor the medium for inference; nothing is
//! written to the image except by [`publish`](super::publish), while the medium is ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use anyhow::Context;
use engine::{Event as EngineEvent, Worker};
use mailbox::{Job, Mailbox, Outcome, SettingsState, Sighting};
use medium::{Event, Machine, Medium, PlainFile, Refusal, Take, Timing, View};
use volume::{ImageFile, Volume};

use super::clock::Clock;
use super::job::{self, Reply};
use super::publish;
use super::report::Report;
use super::scan::{self, Scan};
use crate::config::{Config, beside};

/// Everything that belongs to one volume.
pub struct Session<'a> {
    config: &'a Config,
    worker: &'a mut Worker,
    report: Report,
    clock: Clock,
    machine: Machine,
    medium: PlainFile,
    mailbox: Mailbox,
    settings: SettingsState,
    running: Option<Running>,
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
        let serial = recover(config)?;
        let mailbox = Mailbox::open(&config.state, serial)
            .with_context(|| format!("in the state folder {}", config.state.display()))?;
        let clock = Clock::start();
        Ok(Self {
            machine: Machine::new(timing, clock.now_ms()),
            medium: PlainFile::new(&config.image),
            settings: SettingsState::default(),
            running: None,
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
        self.start_next().await
    }

    /// A host may have written.
    pub fn wrote(&mut self) {
        self.machine.handle(self.clock.now_ms(), Event::Wrote);
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

    /// Nothing is queued, running, waiting to be published, or still settling.
    pub fn is_done(&self) -> bool {
        self.running.is_none()
            && self.mailbox.next().is_none()
            && self.machine.deadline_ms().is_none()
    }

    /// Takes note of what the engine said.
    ///
    /// # Errors
    /// The answer cannot be stored.
    pub fn engine_said(&mut self, event: EngineEvent) -> anyhow::Result<()> {
        match event {
            EngineEvent::Text(text) => {
                if let Some(running) = &mut self.running {
                    running.text.push_str(&text);
                }
            }
            EngineEvent::Finished(summary) => {
                if let Some(running) = self.running.take() {
                    let outcome = job::respond(&running.text, &summary, &running.reply);
                    self.report.answered(&running.job, &summary);
                    self.answered(&running.job, outcome)?;
                }
            }
            EngineEvent::Failed(failure) => {
                if let Some(running) = self.running.take() {
                    self.report.failed(&running.job, &failure);
                    let outcome = job::complain(&job::complaint(&failure));
                    self.answered(&running.job, outcome)?;
                }
            }
            EngineEvent::Loaded(model) => self.report.loaded(&model),
            _ => {}
        }
        Ok(())
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let image = ImageFile::open_read_only(&self.config.image)?;
        let volume = Volume::open(image)?;
        let scan = Scan::read(&volume)?;
        let event = Event::Read { in_use: scan.in_use, found: scan.observations() };
        let view = self.machine.handle(self.clock.now_ms(), event).unwrap_or_default();
        self.believe(&scan, &view).await
    }

    /// Hands what has settled to the mailbox.
    async fn believe(&mut self, scan: &Scan, view: &View) -> anyhow::Result<()> {
        let sightings = scan.sightings(view);
        self.feed_settings(scan, view);
        let exists = |path: &str| scan.exists(path);
        let changes = self.mailbox.reconcile(&sightings, &view.unsettled, &exists)?;
        if let Some(running) = self.running.take_if(|run| changes.dropped.contains(&run.job.id)) {
            self.report.dropped(&running.job);
            self.worker.cancel().await;
        }
        self.update_wants();
        Ok(())
    }

    fn feed_settings(&mut self, scan: &Scan, view: &View) {
        if view.unsettled.contains(mailbox::SETTINGS_PATH) {
            return;
        }
        let bytes = scan.settings.as_ref().and_then(|found| found.bytes.as_deref());
        self.settings.feed(bytes);
        self.report.settings(self.settings.in_force(), self.settings.complaint());
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
        match result? {
            Used::Published => {
                self.machine.handle(self.clock.now_ms(), Event::Returned);
                self.update_wants();
            }
            Used::InUse => self.refused(Refusal::InUse),
        }
        Ok(())
    }

    fn refused(&mut self, refusal: Refusal) {
        self.machine.handle(self.clock.now_ms(), Event::Refused(refusal));
    }

    /// The medium is granted; it is ours if the volume says so as well.
    async fn use_medium(&mut self, image: &File) -> anyhow::Result<Used> {
        let mut device = ImageFile::from_file(image.try_clone()?)?;
        let scan = Scan::read(&Volume::open(&device)?)?;
        if scan.in_use {
            return Ok(Used::InUse);
        }
        self.machine.handle(self.clock.now_ms(), Event::Taken);
        // Nobody else can write now: what is there is what there is.
        self.believe(&scan, &scan.as_view()).await?;
        let journal = beside(&self.config.image, ".journal");
        publish::publish(&mut device, &journal, &scan, &mut self.mailbox, &mut self.settings)?;
        Ok(Used::Published)
    }
}
