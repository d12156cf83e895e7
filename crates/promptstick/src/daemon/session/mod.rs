//! One volume, from its first reading until it is gone: events in, readings, answers and
//! publications out. The state machines (`medium`, `mailbox`) decide; this module carries out.
//!
//! Invariants: inference never waits for the medium nor the medium for inference; nothing is
//! written to the image except while the medium is ours (`take`); one step of [`Session::advance`]
//! handles one prompt at most, so that signals and the watchdog get their turn.

mod answer;
mod believe;
mod shelf;
mod take;

use std::collections::BTreeSet;
use std::fs::File;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use engine::{Event as EngineEvent, Worker};
use mailbox::{Job, Mailbox};
use medium::{Event, Machine, ShelfAction, ShelfEvent, Timing};
use volume::{FatTime, ImageFile, Volume};

use super::clock::Clock;
use super::drive::{BusWatch, Drive, Found};
use super::job::Reply;
use super::led::{Led, Sign};
use super::looks::Looks;
use super::pace::Pace;
use super::report::Report;
use crate::config::Config;
use crate::stick;
use shelf::Answers;

/// How often a host that sleeps is looked at while something waits for it.
const WAKING: Duration = Duration::from_secs(2);

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
    drive: &'a mut Drive,
    led: &'a mut Led,
    mode: Mode,
    report: Report,
    clock: Clock,
    /// Which volume this is.
    serial: u32,
    machine: Machine,
    bus_watch: BusWatch,
    looks: Looks,
    answers: Answers,
    mailbox: Mailbox,
    running: Option<Running>,
    /// Prompts that stay inconsistent on a volume that nobody uses, as of the last reading.
    damaged: BTreeSet<String>,
    /// Paths about which nothing is known yet, as of the last reading.
    unsettled: BTreeSet<String>,
    /// A host had not finished a file, as of the last reading.
    unfinished: bool,
    /// The time that the next file on the volume gets.
    time: FatTime,
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
    /// Where its response is cut, in tokens.
    max_tokens: u32,
    pace: Pace,
}

/// What a session works with that outlives it.
pub struct Tools<'a> {
    /// The process with the model.
    pub worker: &'a mut Worker,
    /// The drive that the host sees.
    pub drive: &'a mut Drive,
    /// The LED.
    pub led: &'a mut Led,
    /// The session before this one ended with a medium that the host had ejected.
    pub was_ejected: bool,
}

impl<'a> Session<'a> {
    /// Finishes or discards what a crash left in the journal, repairs the volume if a host left it
    /// in the middle of its work and cannot reach it now, opens the ledger, and connects the drive.
    ///
    /// # Errors
    /// The image, the state folder or the drive cannot be used: what is wrong and what to do.
    pub fn open(config: &'a Config, tools: Tools<'a>, mode: Mode) -> anyhow::Result<Self> {
        let Tools {
            worker,
            drive,
            led,
            was_ejected,
        } = tools;
        let found = mend(config, drive)?;
        let volume = open_volume(config)?;
        let serial = volume.serial();
        let mut mailbox = Mailbox::open(&config.state, serial)
            .with_context(|| format!("in the state folder {}", config.state.display()))?;
        if matches!(drive, Drive::Usb(_)) && found != Found::Held {
            // What an interrupted publication came to, before a host can change it.
            mailbox.resolve_intents(&|path| take::digest(&volume, path))?;
        }
        drop(volume);
        if found == Found::Alone {
            drive.connect(&config.image)?;
        }
        let bus_watch = BusWatch::start(drive)?;
        let clock = Clock::start();
        let (now_ms, bus) = (clock.now_ms(), drive.bus());
        let (timing, report) = match mode {
            Mode::Serve => (drive.timing(), Report::to_log(config.log_prompts)),
            Mode::Once => (Timing::ONCE, Report::to_terminal()),
        };
        let mut machine = match found {
            Found::Absent if !was_ejected => Machine::taken_over(timing, now_ms, bus),
            _ => Machine::new(timing, now_ms, bus),
        };
        if found == Found::Absent && was_ejected {
            machine.handle(now_ms, Event::Ejected);
        }
        let answers = Answers::new(config, drive, timing, now_ms)?;
        machine.found_shown(answers.shown_before(&mailbox));
        Ok(Self {
            answers,
            machine,
            bus_watch,
            looks: Looks::default(),
            running: None,
            damaged: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            unfinished: false,
            time: FatTime::FIRST,
            stale: false,
            no_room: false,
            read_at: None,
            config,
            worker,
            drive,
            led,
            mode,
            report,
            clock,
            serial,
            mailbox,
        })
    }

    /// Does what is due now.
    ///
    /// # Errors
    /// The image or the state folder failed; the session must be opened again.
    pub async fn advance(&mut self) -> anyhow::Result<Step> {
        self.tick();
        let step = match self.due() {
            Some(medium::Action::Read) => self.read().await?,
            Some(medium::Action::Take(how)) => self.take(how).await?,
            Some(medium::Action::Insert) => self.insert(),
            Some(medium::Action::Rebind) => self.rebind().await?,
            Some(medium::Action::Show) => self.show(),
            None => match self.due_for_answers() {
                Some(action) => self.change_answers(action),
                None => self.start_next()?,
            },
        };
        self.watch_for_reads();
        self.led.show(self.sign());
        Ok(step)
    }

    /// Looks out for the host's reads while that matters. Where that cannot be done, a host that
    /// reads is taken for granted.
    fn watch_for_reads(&mut self) {
        let wanted = self.machine.watches_for_reads();
        self.looks.set(wanted, &self.config.image);
        if wanted && !self.looks.is_watching() {
            self.machine.handle(self.clock.now_ms(), Event::Looked);
        }
    }

    /// What is due for the medium. Whether the host is there and awake is looked at before it is
    /// asked for anything: not every controller tells when that changes.
    fn due(&mut self) -> Option<medium::Action> {
        let action = self.machine.poll(self.clock.now_ms())?;
        if action == medium::Action::Read {
            return Some(action);
        }
        self.look_at_bus();
        self.machine.poll(self.clock.now_ms())
    }

    /// The same for the media with answers.
    fn due_for_answers(&mut self) -> Option<ShelfAction> {
        self.answers.shelf.poll(self.clock.now_ms())?;
        self.look_at_bus();
        self.answers.shelf.poll(self.clock.now_ms())
    }

    /// A host may have written.
    pub fn wrote(&mut self) {
        self.machine.handle(self.clock.now_ms(), Event::Wrote);
    }

    /// Whether the image's time of change says that it was written since the last reading began.
    pub fn is_modified(&self) -> bool {
        modified(self.config) != self.read_at
    }

    /// Somebody who had the image open for writing closed it: another program, or the drive,
    /// because the host ejected the medium.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn closed(&mut self) -> anyhow::Result<()> {
        if self.is_modified() {
            self.wrote();
        }
        if !self.machine.is_ours() && self.drive.is_empty()? {
            tracing::info!("the host ejected the drive");
            self.machine.handle(self.clock.now_ms(), Event::Ejected);
        }
        Ok(())
    }

    /// Waits for the engine, the host or the next deadline. Dropping the future loses nothing. An
    /// engine that is idle reports nothing, but is looked after.
    pub async fn wait(&mut self) -> Option<EngineEvent> {
        let waking = self.machine.awaits_waking().then_some(WAKING);
        let deadlines = [
            self.machine.deadline_ms(),
            self.answers.deadline_ms(self.running.is_some()),
        ];
        let deadline = self.clock.reach(deadlines.into_iter().flatten().min());
        tokio::select! {
            biased;
            // A read that came in time counts, though the deadline has passed meanwhile.
            () = self.looks.next() => {
                self.looks.forget();
                self.machine.handle(self.clock.now_ms(), Event::Looked);
            }
            () = self.bus_watch.next() => self.look_at_bus(),
            event = self.worker.event() => return Some(event),
            () = sleep(waking) => self.look_at_bus(),
            () = deadline => {}
        }
        None
    }

    fn look_at_bus(&mut self) {
        if let Drive::Plain(_) = self.drive {
            return;
        }
        let (now_ms, bus) = (self.clock.now_ms(), self.drive.bus());
        self.report.bus(now_ms, bus);
        self.machine.handle(now_ms, Event::Bus(bus));
        self.answers.shelf.handle(now_ms, ShelfEvent::Bus(bus));
    }

    /// What the LED is to show.
    fn sign(&self) -> Sign {
        if self.running.is_some() {
            Sign::Thinking
        } else if self.machine.is_kept() || (self.no_room && self.has_unpublished()) {
            Sign::AnswerWaiting
        } else if self.report.is_in_trouble() {
            Sign::Error
        } else {
            Sign::Ready
        }
    }

    /// The volume's marks said at the last reading that a host uses it.
    pub fn in_use(&self) -> bool {
        self.machine.in_use()
    }

    /// The host has ejected the medium, and it is still out.
    pub fn is_ejected(&self) -> bool {
        self.machine.is_ejected()
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
        let ready = self.mailbox.ready();
        let newest = ready.iter().map(|ready| ready.id.0).max();
        let newest = newest.filter(|_| !self.no_room);
        if newest.is_some() && self.machine.in_use() {
            self.report.held();
        }
        if ready.is_empty() && self.config.progress.is_none() {
            let now_ms = self.clock.now_ms();
            self.answers.shelf.handle(now_ms, ShelfEvent::Stale);
        }
        self.machine
            .handle(self.clock.now_ms(), Event::Wants(newest));
    }
}

/// What has to be done to the image before a host gets it, where no host has it.
fn mend(config: &Config, drive: &mut Drive) -> anyhow::Result<Found> {
    if let Drive::Plain(medium) = drive {
        stick::recover(&config.image, medium)?;
        return Ok(Found::Alone);
    }
    let mut found = drive.found(&config.image)?;
    if found == Found::Held && stick::journal(&config.image).exists() {
        // A publication was interrupted, and the medium put back by somebody else.
        drive.disconnect()?;
        found = Found::Alone;
    }
    if found != Found::Held {
        let naming = || format!("cannot use the image {}", config.image.display());
        let file = File::options().read(true).write(true).open(&config.image);
        let mut device = ImageFile::from_file(file.with_context(naming)?)?;
        stick::recover_on(&config.image, &mut device)?;
        if let Err(error) = stick::repair(&config.image, &mut device) {
            ensure!(!stick::journal(&config.image).exists(), error);
            tracing::error!("{error:#}; the host gets it as it is");
        }
    }
    Ok(found)
}

/// Sleeps, for ever where there is nothing to wait for.
async fn sleep(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
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
