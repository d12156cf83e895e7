//! One volume, from its first reading until it is gone: events in, readings, answers and
//! publications out. The state machines (`medium`, `mailbox`) decide; this module carries out.
//!
//! Invariants: inference never waits for the medium nor the medium for inference; nothing is
//! written to the image except while the medium is ours (`take`); one step of [`Session::advance`]
//! handles one prompt at most, so that signals and the watchdog get their turn; whatever is outside
//! is reached through a [`World`].

mod answer;
mod believe;
mod mend;
mod shelf;
mod take;

use std::collections::BTreeSet;
use std::time::SystemTime;

use anyhow::Context;
use engine::Event as EngineEvent;
use mailbox::{Job, Mailbox};
use medium::{Event, Machine, ShelfAction, ShelfEvent, Timing};
use volume::{FatTime, Volume};

use super::job::Reply;
use super::led::Sign;
use super::pace::Pace;
use super::report::Report;
use super::world::{Found, Woken, World};
use crate::config::Config;
pub(super) use mend::FAILURES_BEFORE_RETURN;
pub use mend::{Offer, offer};
use mend::{has_journal, mend};
use shelf::Answers;

/// How often a host that sleeps is looked at while something waits for it, and the bus while it is
/// not known whether there is one.
const WAKING_MS: u64 = 2_000;

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
pub struct Session<'a, W: World> {
    config: &'a Config,
    world: W,
    mode: Mode,
    report: Report,
    /// Which volume this is.
    serial: u32,
    machine: Machine,
    answers: Answers,
    mailbox: Mailbox<W::State>,
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
    /// None of the answers that wait did fit; a change of the volume may make room, and another
    /// answer may fit.
    no_room: bool,
    /// The image's time of change before the last reading.
    read_at: Option<SystemTime>,
    /// The state of the connection could not be read when it was last looked at.
    is_bus_unknown: bool,
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

impl<'a, W: World> Session<'a, W> {
    /// Finishes or discards what a crash left in the journal, repairs the volume of a drive if no
    /// host can reach it now, opens the ledger, and connects the drive.
    /// `was_ejected`: the session before this one ended with a medium that the host had ejected.
    ///
    /// # Errors
    /// The image, the state folder or the drive cannot be used: what is wrong and what to do.
    pub fn open(
        config: &'a Config,
        mut world: W,
        was_ejected: bool,
        mode: Mode,
    ) -> anyhow::Result<Self> {
        let found = mend(&mut world)?;
        let volume = open_volume(&world)?;
        let serial = volume.serial();
        let mut mailbox = (world.open_state())
            .and_then(|state| Mailbox::open_on(state, serial))
            .with_context(|| format!("in the state folder {}", config.state.display()))?;
        if world.is_usb() && found != Found::Held {
            // What an interrupted publication came to, before a host can change it.
            take::resolve_intents(&mut mailbox, &volume)?;
        }
        drop(volume);
        if found == Found::Alone {
            world.connect()?;
        }
        let (now_ms, bus) = (world.now_ms(), world.bus()?);
        let (timing, report) = match mode {
            Mode::Serve => (world.timing(), Report::to_log(config.log_prompts)),
            Mode::Once => (Timing::ONCE, Report::to_terminal()),
        };
        let mut machine = match found {
            Found::Absent if !was_ejected => Machine::taken_over(timing, now_ms, bus),
            _ => Machine::new(timing, now_ms, bus),
        };
        if found == Found::Absent && was_ejected {
            machine.handle(now_ms, Event::Ejected);
        }
        let answers = Answers::new(config, &world, timing)?;
        machine.found_shown(answers.shown_before(&mailbox));
        Ok(Self {
            answers,
            machine,
            running: None,
            damaged: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            unfinished: false,
            time: FatTime::FIRST,
            stale: false,
            no_room: false,
            read_at: None,
            is_bus_unknown: false,
            config,
            world,
            mode,
            report,
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
        let step = match self.due()? {
            Some(medium::Action::Read) => self.read().await?,
            Some(medium::Action::Take(how)) => self.take(how).await?,
            Some(medium::Action::Insert) => self.insert(),
            Some(medium::Action::Rebind) => self.rebind().await?,
            Some(medium::Action::Show) => self.show(),
            None => match self.due_for_answers()? {
                Some(action) => self.change_answers(action),
                None => self.start_next()?,
            },
        };
        self.watch_for_reads();
        self.world.show(self.sign());
        Ok(step)
    }

    /// Looks out for the host's reads while that matters. Where that cannot be done, a host that
    /// reads is taken for granted.
    fn watch_for_reads(&mut self) {
        let wanted = self.machine.watches_for_reads();
        let is_watching = self.world.watch_reads(wanted);
        if wanted && !is_watching {
            self.machine.handle(self.world.now_ms(), Event::Looked);
        }
    }

    /// What is due for the medium. Whether the host is there and awake is looked at before it is
    /// asked for anything: not every controller tells when that changes.
    ///
    /// # Errors
    /// That cannot be told, so nothing may be done.
    fn due(&mut self) -> anyhow::Result<Option<medium::Action>> {
        let action = self.machine.poll(self.world.now_ms());
        if matches!(action, None | Some(medium::Action::Read)) {
            return Ok(action);
        }
        self.look_at_bus()?;
        Ok(self.machine.poll(self.world.now_ms()))
    }

    /// The same for the media with answers.
    fn due_for_answers(&mut self) -> anyhow::Result<Option<ShelfAction>> {
        if self.answers.shelf.poll(self.world.now_ms()).is_some() {
            self.look_at_bus()?;
        }
        Ok(self.answers.shelf.poll(self.world.now_ms()))
    }

    /// A host may have written.
    pub fn wrote(&mut self) {
        self.machine.handle(self.world.now_ms(), Event::Wrote);
    }

    /// Whether the image's time of change says that it was written since the last reading began.
    pub fn is_modified(&self) -> bool {
        self.world.modified() != self.read_at
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
        if !self.machine.is_ours() && self.world.is_empty()? {
            tracing::info!("the host ejected the drive");
            self.machine.handle(self.world.now_ms(), Event::Ejected);
        }
        Ok(())
    }

    /// When something is due if nothing happens, in milliseconds of the world's clock.
    pub fn deadline_ms(&self) -> Option<u64> {
        let waking_ms = self.world.now_ms() + WAKING_MS;
        let deadlines = [
            self.machine.deadline_ms(),
            self.answers.deadline_ms(self.running.is_some()),
            self.must_look_at_bus().then_some(waking_ms),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Waits for the engine, the host or the next deadline. Dropping the future loses nothing. An
    /// engine that is idle reports nothing, but is looked after.
    pub async fn wait(&mut self) -> Option<EngineEvent> {
        let deadline_ms = self.deadline_ms();
        let woken = self.world.wait(deadline_ms).await;
        self.woken(woken)
    }

    /// Takes note of what [`World::wait`] waited for; hands on what the engine said.
    pub fn woken(&mut self, woken: Woken) -> Option<EngineEvent> {
        match woken {
            Woken::Engine(event) => return Some(event),
            Woken::Looked => {
                self.machine.handle(self.world.now_ms(), Event::Looked);
            }
            Woken::Bus => self.try_look_at_bus(),
            Woken::Time if self.must_look_at_bus() => self.try_look_at_bus(),
            Woken::Time => {}
        }
        None
    }

    /// Not every controller tells that its host wakes.
    fn must_look_at_bus(&self) -> bool {
        self.is_bus_unknown || self.machine.awaits_waking()
    }

    /// What cannot be told now is looked at again, in any case before anything is done.
    fn try_look_at_bus(&mut self) {
        if let Err(error) = self.look_at_bus() {
            tracing::warn!("{error:#}");
        }
    }

    fn look_at_bus(&mut self) -> anyhow::Result<()> {
        if self.world.is_usb() {
            let bus = self.world.bus();
            self.is_bus_unknown = bus.is_err();
            let (now_ms, bus) = (self.world.now_ms(), bus?);
            self.report.bus(now_ms, bus);
            self.machine.handle(now_ms, Event::Bus(bus));
            self.answers.shelf.handle(now_ms, ShelfEvent::Bus(bus));
        }
        Ok(())
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
            let now_ms = self.world.now_ms();
            self.answers.shelf.handle(now_ms, ShelfEvent::Stale);
        }
        self.machine
            .handle(self.world.now_ms(), Event::Wants(newest));
    }
}

fn open_volume<W: World>(world: &W) -> anyhow::Result<Volume<W::Image>> {
    let unreadable = || format!("cannot read the image {}", world.image_name());
    let image = world.read_image().with_context(unreadable)?;
    Volume::open(image).with_context(unreadable)
}
