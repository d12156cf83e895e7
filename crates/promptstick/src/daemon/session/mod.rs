//! One volume, from its first reading until it is gone: events in, readings, answers and
//! publications out. The state machines (`medium`, `mailbox`) decide; this module carries out.
//!
//! Invariants: inference never waits for the medium nor the medium for inference; nothing is
//! written to the image except while the medium is ours (`take`); one step of [`Session::advance`]
//! handles one prompt at most, so that signals and the watchdog get their turn.

mod answer;
mod believe;
mod take;

use std::time::SystemTime;

use anyhow::Context;
use engine::{Event as EngineEvent, Worker};
use mailbox::{Job, Mailbox};
use medium::{Event, Machine, PlainFile, Timing};
use volume::{ImageFile, Volume};

use super::clock::Clock;
use super::job::Reply;
use super::report::Report;
use crate::config::Config;
use crate::stick;

/// How long the work goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until somebody ends it; what fails is tried again.
    Serve,
    /// Until nothing is left to do; what fails ends it.
    Once,
}

/// What [`Session::advance`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is nothing to do before the next event.
    Rest,
    /// There is more to do at once.
    Again,
    /// The image holds another volume now: this session is over.
    OtherVolume,
}

/// Everything that belongs to one volume.
pub struct Session<'a> {
    config: &'a Config,
    worker: &'a mut Worker,
    mode: Mode,
    report: Report,
    clock: Clock,
    /// Which volume this is.
    serial: u32,
    machine: Machine,
    medium: PlainFile,
    mailbox: Mailbox,
    running: Option<Running>,
    /// The next prompt is not what it was when it was accepted; a reading will tell.
    stale: bool,
    /// None of the answers that wait did fit; a change of the volume may make room.
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
    pub fn open(config: &'a Config, worker: &'a mut Worker, mode: Mode) -> anyhow::Result<Self> {
        let mut medium = PlainFile::new(&config.image);
        stick::recover(&config.image, &mut medium)?;
        let serial = open_volume(config)?.serial();
        let mailbox = Mailbox::open(&config.state, serial)
            .with_context(|| format!("in the state folder {}", config.state.display()))?;
        let clock = Clock::start();
        let (timing, report) = match mode {
            Mode::Serve => (Timing::PLAIN_FILE, Report::to_log(config.log_prompts)),
            Mode::Once => (Timing::ONCE, Report::to_terminal()),
        };
        Ok(Self {
            machine: Machine::new(timing, clock.now_ms()),
            running: None,
            stale: false,
            no_room: false,
            read_at: None,
            config,
            worker,
            mode,
            report,
            clock,
            serial,
            medium,
            mailbox,
        })
    }

    /// Does what is due now.
    ///
    /// # Errors
    /// The image or the state folder failed; the session must be opened again.
    pub async fn advance(&mut self) -> anyhow::Result<Step> {
        let step = match self.machine.poll(self.clock.now_ms()) {
            Some(medium::Action::Read) => self.read().await?,
            Some(medium::Action::Take) => self.take().await?,
            None => self.start_next()?,
        };
        Ok(step)
    }

    /// A host may have written.
    pub fn wrote(&mut self) {
        self.machine.handle(self.clock.now_ms(), Event::Wrote);
    }

    /// Whether the image's time of change says that it was written since the last reading began.
    pub fn is_modified(&self) -> bool {
        modified(self.config) != self.read_at
    }

    /// Waits for the engine or for the next deadline. Dropping the future loses nothing. An engine
    /// that is idle reports nothing, but is looked after.
    pub async fn wait(&mut self) -> Option<EngineEvent> {
        let deadline = self.clock.reach(self.machine.deadline_ms());
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

    fn want_medium(&mut self) {
        let wants = self.has_unpublished() && !self.no_room;
        if wants && self.machine.in_use() {
            self.report.held();
        }
        self.machine
            .handle(self.clock.now_ms(), Event::Wants(wants));
    }
}

fn open_volume(config: &Config) -> anyhow::Result<Volume<ImageFile>> {
    let unreadable = || format!("cannot read the image {}", config.image.display());
    let image = ImageFile::open_read_only(&config.image).with_context(unreadable)?;
    Volume::open(image).with_context(unreadable)
}

fn modified(config: &Config) -> Option<SystemTime> {
    config.image.metadata().ok()?.modified().ok()
}
