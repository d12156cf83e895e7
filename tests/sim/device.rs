//! The device as its power and its kernel leave it: the real session, opened again whenever it
//! ends, with what happens to it delivered as the daemon's loop would.

use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use engine::Backend;
use promptstick::config::{Config, Gadget};
use promptstick::daemon::{self, Mode, Session, Step, Woken};

use super::world::Stick;

/// Steps that a session may take at one instant: more would be a loop that never rests.
const STEPS_MAX: usize = 20_000;

static CONFIG: LazyLock<Config> = LazyLock::new(config);

/// The device's software, whether it runs or not.
pub struct Device {
    stick: Stick,
    session: Option<Session<'static, Stick>>,
    /// When a session is opened, where there is none.
    opens_ms: u64,
    was_ejected: bool,
    written: Written,
    /// Sessions so far.
    pub sessions: u64,
    /// Sessions that could not be opened, or failed.
    pub failures: u64,
    /// Those one after the other.
    in_a_row: u32,
    /// Why the last one did.
    pub trouble: String,
    pub violations: Vec<String>,
}

impl Device {
    /// One that starts now.
    pub fn new(stick: Stick) -> Self {
        Self {
            written: Written::start(&stick),
            stick,
            session: None,
            opens_ms: 0,
            was_ejected: false,
            sessions: 0,
            failures: 0,
            in_a_row: 0,
            trouble: String::new(),
            violations: Vec::new(),
        }
    }

    /// When it does something if nothing happens.
    pub fn next_ms(&self) -> Option<u64> {
        match &self.session {
            Some(session) => {
                let deadlines = [session.deadline_ms(), self.written.told_ms];
                deadlines.into_iter().flatten().min()
            }
            None => Some(self.opens_ms),
        }
    }

    /// The daemon is gone without a word, and starts again at `at_ms`.
    pub fn kill(&mut self, at_ms: u64) {
        self.session = None;
        self.stick.disk.process().start_anew();
        self.was_ejected = false;
        self.opens_ms = at_ms;
        self.stick.engine.forget();
    }

    /// Nothing is queued, in work, or about to be published.
    pub fn is_done(&self) -> bool {
        let is_done = |session: &Session<'_, Stick>| {
            session.is_done() && !session.has_unpublished() && !session.in_use()
        };
        self.session.as_ref().is_some_and(is_done)
    }

    /// Whether the drive is connected and has its medium, or a host has ejected that.
    pub fn has_medium_in_drive(&self) -> bool {
        let is_ejected = self.session.as_ref().is_some_and(Session::is_ejected);
        let usb = &self.stick.usb;
        usb.is_bound() && (usb.is_inserted(0) || is_ejected)
    }

    /// The operator has another configuration: the session is opened anew, and the drive stays.
    pub fn reload(&mut self) {
        let was_ejected = self.session.as_ref().is_some_and(Session::is_ejected);
        self.kill(self.stick.now_ms());
        self.was_ejected = was_ejected;
    }

    /// Whether nothing runs: there is no power, or the process was killed.
    fn is_gone(&self) -> bool {
        self.stick.disk.is_off() || self.stick.disk.process().is_killed()
    }

    /// Does what is due, until there is nothing left at this instant, or it is gone.
    pub fn run(&mut self) {
        if self.is_gone() {
            return;
        }
        if self.session.is_none() {
            if self.opens_ms > self.stick.now_ms() {
                return;
            }
            self.open();
        }
        for _ in 0..STEPS_MAX {
            let step = self.step();
            if self.is_gone() {
                return;
            }
            match step {
                Some(true) => {}
                Some(false) => {
                    self.in_a_row = 0;
                    return;
                }
                None => return self.end(),
            }
        }
        self.violations.push("the session does not rest".into());
    }

    fn open(&mut self) {
        let was_ejected = std::mem::take(&mut self.was_ejected);
        // What happened before is told to nobody.
        self.written = Written::start(&self.stick);
        self.stick.usb.forget_events();
        let opened = Session::open(&CONFIG, self.stick.clone(), was_ejected, Mode::Serve);
        match opened {
            Ok(session) => {
                self.sessions += 1;
                self.session = Some(session);
            }
            Err(error) => {
                self.trouble = format!("{error:#}");
                self.end();
            }
        }
    }

    /// The session failed: the host gets the volume as it is, unless a change of it is half done.
    fn end(&mut self) {
        if self.is_gone() {
            return;
        }
        self.session = None;
        self.stick.engine.forget();
        self.failures += 1;
        self.opens_ms = self.stick.now_ms() + daemon::RECOVERY_MS;
        self.in_a_row += 1;
        daemon::offer(&mut self.stick, self.in_a_row);
    }

    /// One step of the session: whether there is more, or none where it has ended.
    fn step(&mut self) -> Option<bool> {
        let Some(session) = &mut self.session else {
            return Some(false);
        };
        let result = deliver(session, &self.stick, &mut self.written)
            .and_then(|()| ready(session.advance()));
        match result {
            Ok(Step::Again) => Some(true),
            Ok(Step::Rest) => Some(has_news(&self.stick, &mut self.written)),
            Ok(Step::OtherVolume) => {
                self.violations.push("the volume counts as another".into());
                None
            }
            Err(error) => {
                self.trouble = format!("{error:#}");
                None
            }
        }
    }
}

/// inotify tells of writes, the device's own as well, at most this late: the daemon wants to hear
/// of them 20 times a second (`daemon::watch`).
const TOLD_MS: u64 = 50;

/// Writes of which the session has not been told yet.
struct Written {
    modified: u64,
    told_ms: Option<u64>,
}

impl Written {
    /// Nothing, from now on.
    fn start(stick: &Stick) -> Self {
        Self {
            modified: stick.disk.modified(),
            told_ms: None,
        }
    }

    /// Whether it is time to tell of something.
    fn is_due(&mut self, stick: &Stick) -> bool {
        if std::mem::replace(&mut self.modified, stick.disk.modified()) != stick.disk.modified() {
            self.told_ms.get_or_insert(stick.now_ms() + TOLD_MS);
        }
        self.told_ms.is_some_and(|at_ms| at_ms <= stick.now_ms())
    }
}

fn has_news(stick: &Stick, written: &mut Written) -> bool {
    let is_due = stick.engine.next_ms();
    let is_due = is_due.is_some_and(|at_ms| at_ms <= stick.now_ms());
    written.is_due(stick) || is_due
}

/// What has happened, in the order in which the daemon's loop looks.
fn deliver(
    session: &mut Session<'_, Stick>,
    stick: &Stick,
    written: &mut Written,
) -> anyhow::Result<()> {
    if written.is_due(stick) {
        written.told_ms = None;
        session.wrote();
    }
    stick.usb.take_wrote();
    if stick.usb.take_closed() {
        session.closed()?;
    }
    if stick.take_looked() {
        session.woken(Woken::Looked);
    }
    if stick.usb.take_bus_changed() {
        session.woken(Woken::Bus);
    }
    while let Some(event) = stick.engine.take_due(stick.now_ms()) {
        session.engine_said(event)?;
    }
    session.woken(Woken::Time);
    Ok(())
}

/// Nothing of the simulation has to be waited for.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the simulated world never waits"),
    }
}

fn config() -> Config {
    Config {
        image: "stick.img".into(),
        image_bytes: 0,
        state: "stick.img.state".into(),
        gadget: Gadget::Configfs,
        udc: None,
        gadget_description: None,
        force_answers: None,
        // Any file will do: the engine is simulated.
        model: std::env::current_exe().unwrap(),
        models: "models".into(),
        backend: Backend::Cpu,
        threads: 1,
        context_tokens: 2048,
        memory_limit_bytes: None,
        nice: 0,
        log_prompts: false,
        led: None,
        progress: None,
    }
}
