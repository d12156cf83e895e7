//! The loop that ties image, mailbox, medium and engine together: [`serve`] runs it for ever,
//! [`answer`] until nothing is left to do.
//!
//! A [`Session`] belongs to one volume. Where the image or the state folder fails (gone, full,
//! read-only, replaced), the session ends with the reason, and a new one is opened as soon as that
//! works: every state that matters is on disk, so there is one way to recover, and it is the way
//! that every start takes.

mod answers;
mod board;
mod clock;
mod drive;
mod job;
mod led;
mod looks;
mod pace;
mod polled;
mod publish;
mod question;
mod report;
mod service;
mod session;
mod signals;
mod watch;
mod world;

pub use answers::{Answer, Append, image as answers_image};
pub use drive::description;
pub use led::{LED_CLASS, Sign, give as give_led};
pub use session::{Mode, Offer, Session, Step, offer};
pub use world::{Drives, Found, Storage, Thinking, Woken, World};

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use engine::{Worker, WorkerOptions};
use medium::{ImageLock, Timing};
use tokio::task::yield_now;

use crate::config::{Config, Gadget};
use crate::stick;
use board::{Board, Tools};
use drive::Drive;
use led::Led;
use service::Service;
use signals::{Request, Signals};
use watch::{Seen, Watch};

/// How long to wait before a failed image or state folder is tried again, ms.
pub const RECOVERY_MS: u64 = 2_000;

const _: () = assert!(
    RECOVERY_MS * (session::FAILURES_BEFORE_RETURN as u64 - 1) > Timing::GADGET.absent_ms,
    "a drive that failures keep empty is empty for as long as every host needs to notice"
);

/// Serves the image until SIGTERM or SIGINT. `reload` reads the configuration again.
///
/// # Errors
/// The image cannot be served at the start, or another process serves it. What fails later is
/// logged and waited out.
pub async fn serve(
    config: Config,
    reload: impl Fn() -> anyhow::Result<Config>,
) -> anyhow::Result<()> {
    let _lock = ImageLock::acquire(&config.image)?;
    prepare(&config)?;
    let mut daemon = Daemon {
        worker: worker(&config)?,
        drive: Drive::start(&config)?,
        led: Led::open(Path::new(LED_CLASS), config.led.as_deref()),
        signals: Signals::listen()?,
        service: Service::connect(),
        ready: false,
        was_ejected: false,
        trouble: None,
        failures: 0,
        config,
    };
    let result = daemon.serve(&reload).await;
    daemon.service.stopping();
    daemon.drive.end(result.is_ok());
    daemon.worker.stop().await;
    tracing::info!("stopped");
    result
}

/// There is an image, and a drive's has all its room.
fn prepare(config: &Config) -> anyhow::Result<()> {
    let is_new = !config.image.exists();
    if is_new {
        tracing::info!(image = %config.image.display(), "there is no image yet; making one");
        stick::create(&config.image, config.image_bytes, &stick::options())?;
    }
    if config.gadget == Gadget::None {
        return Ok(());
    }
    match stick::reserve(&config.image) {
        Err(error) if is_new => {
            fs::remove_file(&config.image).context("cannot remove the image again")?;
            bail!("{error:#}; free some there, or set a smaller image_size")
        }
        Err(error) => {
            tracing::warn!("{error:#}; free some there, or a computer's copy may fail half-way");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Answers all prompts on the image, publishes the answers, and returns how many are now there.
///
/// # Errors
/// The image cannot be used, is in use, or had no room for an answer; SIGTERM or SIGINT came. What
/// was done until then stays done.
pub async fn answer(config: Config) -> anyhow::Result<usize> {
    let _lock = ImageLock::acquire(&config.image)?;
    ensure!(
        config.image.exists(),
        "{} does not exist; make it with `promptstick volume format`",
        config.image.display()
    );
    let mut signals = Signals::listen()?;
    let mut worker = worker(&config)?;
    let tools = Tools {
        worker: &mut worker,
        drive: &mut Drive::start(&config)?,
        led: &mut Led::open(Path::new(LED_CLASS), None),
    };
    let board = Board::new(&config, tools)?;
    let mut session = Session::open(&config, board, false, Mode::Once)?;
    let result = answer_all(&mut session, &mut signals).await;
    let published = session.published();
    drop(session);
    worker.stop().await;
    result.map(|()| published)
}

async fn answer_all(
    session: &mut Session<'_, Board<'_>>,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    loop {
        let step = session.advance().await?;
        ensure!(
            step != Step::OtherVolume,
            "somebody formatted the image just now; run it again"
        );
        ensure!(
            !session.in_use(),
            "the volume is marked as in use: unmount it, or, if nobody uses it, repair it with \
             `promptstick volume repair`"
        );
        if step == Step::Rest && session.is_done() {
            break;
        }
        tokio::select! {
            biased;
            request = signals.next() => if request == Request::End {
                bail!("interrupted; run it again to finish");
            },
            () = yield_now(), if step == Step::Again => {}
            event = session.wait(), if step == Step::Rest => if let Some(event) = event {
                session.engine_said(event)?;
            },
        }
    }
    ensure!(
        !session.has_unpublished(),
        "not all answers fit onto the volume; make room and repeat"
    );
    Ok(())
}

/// What outlives a session.
struct Daemon {
    config: Config,
    worker: Worker,
    drive: Drive,
    led: Led,
    signals: Signals,
    service: Service,
    /// A session was open at least once: failures are waited out from then on.
    ready: bool,
    /// The last session ended with a medium that the host had ejected.
    was_ejected: bool,
    /// The failure that was reported last.
    trouble: Option<String>,
    /// Sessions that have failed one after the other.
    failures: u32,
}

/// Why a session ended without a failure.
enum Ended {
    /// Somebody wants the daemon to end.
    Asked,
    /// There is another configuration.
    Reconfigured(Box<Config>),
    /// The image of that name is another one, or is gone, or holds another volume.
    Replaced,
}

impl Daemon {
    async fn serve(&mut self, reload: &impl Fn() -> anyhow::Result<Config>) -> anyhow::Result<()> {
        while self.turn(reload).await? {}
        Ok(())
    }

    /// One session and what follows its end; false when it is time to end.
    async fn turn(&mut self, reload: &impl Fn() -> anyhow::Result<Config>) -> anyhow::Result<bool> {
        match self.session(reload).await {
            Ok(Ended::Asked) => return Ok(false),
            Ok(Ended::Reconfigured(config)) => {
                let worker = worker(&config)?;
                std::mem::replace(&mut self.worker, worker).stop().await;
                self.config = *config;
            }
            Ok(Ended::Replaced) => self.worker.cancel().await,
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                if self.offer() == Offer::Impossible && !self.ready {
                    return Err(error);
                }
                self.worker.cancel().await;
                self.report_trouble(&error);
                return Ok(self.wait_out().await);
            }
        }
        Ok(true)
    }

    /// Serves one volume until it fails, is replaced, or somebody asks for something.
    async fn session(
        &mut self,
        reload: &impl Fn() -> anyhow::Result<Config>,
    ) -> anyhow::Result<Ended> {
        let Self {
            config,
            worker,
            drive,
            led,
            signals,
            service,
            ready,
            was_ejected,
            trouble,
            failures,
        } = self;
        let missing = || format!("the image {} cannot be watched", config.image.display());
        // Before the watch, so that an image that is replaced meanwhile is noticed.
        let identity = identity(&config.image).with_context(missing)?;
        let is_replaced = || self::identity(&config.image).ok() != Some(identity);
        let watch = Watch::start(&config.image).with_context(missing)?;
        let board = Board::new(config, Tools { worker, drive, led })?;
        let was_ejected_before = std::mem::take(was_ejected);
        let mut session = Session::open(config, board, was_ejected_before, Mode::Serve)?;
        if is_replaced() {
            return Ok(Ended::Replaced);
        }
        *ready = true;
        *trouble = None;
        service.ready();
        tracing::info!(image = %config.image.display(), "ready for prompts");
        loop {
            let step = session.advance().await?;
            if step == Step::OtherVolume {
                return Ok(Ended::Replaced);
            }
            if step == Step::Rest {
                *failures = 0;
            }
            tokio::select! {
                biased;
                request = signals.next() => match request {
                    Request::End => return Ok(Ended::Asked),
                    Request::Reload => if let Some(config) = reloaded(service, config, reload) {
                        *was_ejected = session.is_ejected();
                        return Ok(Ended::Reconfigured(config));
                    },
                },
                () = service.watchdog() => {}
                Seen { wrote, closed, replaced } = watch.next() => {
                    if replaced && is_replaced() {
                        return Ok(Ended::Replaced);
                    }
                    if wrote {
                        session.wrote();
                    }
                    if closed {
                        session.closed()?;
                    }
                }
                () = yield_now(), if step == Step::Again => {}
                event = session.wait(), if step == Step::Rest => if let Some(event) = event {
                    session.engine_said(event)?;
                },
            }
        }
    }

    /// Lets the host have a volume that cannot be served.
    fn offer(&mut self) -> Offer {
        let Self {
            config,
            worker,
            drive,
            led,
            ..
        } = self;
        match Board::new(config, Tools { worker, drive, led }) {
            Ok(mut board) => offer(&mut board, self.failures),
            Err(_) => Offer::Impossible,
        }
    }

    fn report_trouble(&mut self, error: &anyhow::Error) {
        let text = format!("{error:#}");
        if self.trouble.as_ref() != Some(&text) {
            tracing::error!("{text}; trying again until it is mended");
            self.led.show(Sign::Error);
            // It is up, and waits: a service manager that takes it for hung would end it, and that
            // pulls the plug.
            self.service.ready();
            self.service.trouble(&text);
            self.trouble = Some(text);
        }
    }

    /// Waits until it is time to try again; false when it is time to end.
    async fn wait_out(&mut self) -> bool {
        let over = tokio::time::sleep(Duration::from_millis(RECOVERY_MS));
        tokio::pin!(over);
        loop {
            tokio::select! {
                request = self.signals.next() => if request == Request::End {
                    return false;
                },
                () = &mut over => return true,
                () = self.service.watchdog() => {}
            }
        }
    }
}

/// The configuration as it is now, if it is valid and another one. What a running daemon holds on
/// to cannot change.
fn reloaded(
    service: &Service,
    config: &Config,
    read: &impl Fn() -> anyhow::Result<Config>,
) -> Option<Box<Config>> {
    service.reloading();
    let checked = read().and_then(|new| {
        ensure!(
            new.hardware() == config.hardware(),
            "{} cannot change while it runs; restart it",
            Config::HARDWARE
        );
        Ok(new)
    });
    match checked {
        Ok(new) if new != *config => {
            tracing::info!("the configuration has changed");
            return Some(Box::new(new));
        }
        Ok(_) => {}
        Err(error) => tracing::error!("the old configuration stays in force: {error:#}"),
    }
    service.ready();
    None
}

/// Which file it is, whatever its name.
fn identity(image: &Path) -> std::io::Result<(u64, u64)> {
    let metadata = image.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

fn worker(config: &Config) -> anyhow::Result<Worker> {
    let program = WorkerOptions::this_program().context("cannot find this program's own file")?;
    Ok(Worker::new(WorkerOptions {
        nice: config.nice,
        memory_limit_bytes: config.memory_limit_bytes,
        ..program
    }))
}
