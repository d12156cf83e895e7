//! The loop that ties image, mailbox, medium and engine together: [`serve`] runs it for ever,
//! [`answer`] until nothing is left to do.
//!
//! A [`Session`] belongs to one volume. Where the image or the state folder fails (gone, full,
//! read-only, replaced), the session ends with the reason, and a new one is opened as soon as that
//! works: every state that matters is on disk, so there is one way to recover, and it is the way
//! that every start takes.

mod clock;
mod job;
mod publish;
mod question;
mod report;
mod scan;
mod service;
mod session;
mod signals;
mod watch;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use engine::{Worker, WorkerOptions};
use medium::{ImageLock, Timing};

use crate::config::Config;
use crate::stick;
use report::Report;
use service::Service;
use session::Session;
use signals::{Request, Signals};
use watch::{Seen, Watch};

/// How long to wait before a failed image or state folder is tried again.
const RECOVERY: Duration = Duration::from_secs(2);

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
    if !config.image.exists() {
        tracing::info!(image = %config.image.display(), "there is no image yet; making one");
        stick::create(&config.image, config.image_bytes, &stick::options())?;
    }
    let mut daemon = Daemon {
        worker: worker(&config)?,
        signals: Signals::listen()?,
        service: Service::connect(),
        ready: false,
        trouble: None,
        config,
    };
    while daemon.turn(&reload).await? {}
    daemon.service.stopping();
    daemon.worker.stop().await;
    tracing::info!("stopped");
    Ok(())
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
    let mut session = Session::open(&config, &mut worker, Timing::ONCE, Report::to_terminal())?;
    let result = answer_all(&mut session, &mut signals).await;
    let published = session.published();
    drop(session);
    worker.stop().await;
    result.map(|()| published)
}

async fn answer_all(session: &mut Session<'_>, signals: &mut Signals) -> anyhow::Result<()> {
    loop {
        session.advance().await?;
        ensure!(
            !session.in_use(),
            "the volume is marked as in use: unmount it, or, if nobody uses it, repair it with \
             `fsck.fat -a`"
        );
        if session.is_done() {
            break;
        }
        tokio::select! {
            request = signals.next() => {
                if request == Request::End {
                    bail!("interrupted; run it again to finish");
                }
            }
            event = session.wait() => if let Some(event) = event {
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
    signals: Signals,
    service: Service,
    /// A session was open at least once: failures are waited out from then on.
    ready: bool,
    /// The failure that was reported last.
    trouble: Option<String>,
}

/// Why a session ended without a failure.
enum Ended {
    Asked(Request),
    /// The image of that name is another one, or is gone.
    Replaced,
}

impl Daemon {
    /// One session and what follows its end; false when it is time to end.
    async fn turn(&mut self, reload: &impl Fn() -> anyhow::Result<Config>) -> anyhow::Result<bool> {
        let ended = self.session().await;
        self.worker.cancel().await;
        let request = match ended {
            Ok(Ended::Asked(request)) => Some(request),
            Ok(Ended::Replaced) => None,
            Err(error) if !self.ready => return Err(error),
            Err(error) => {
                self.report_trouble(&error);
                self.wait_out().await
            }
        };
        match request {
            Some(Request::End) => return Ok(false),
            Some(Request::Reload) => self.reload(reload).await,
            None => {}
        }
        Ok(true)
    }

    /// Serves one volume until it fails, is replaced, or somebody asks for something.
    async fn session(&mut self) -> anyhow::Result<Ended> {
        let Self {
            config,
            worker,
            signals,
            service,
            ready,
            trouble,
        } = self;
        let missing = || format!("the image {} cannot be watched", config.image.display());
        let watch = Watch::start(&config.image).with_context(missing)?;
        let identity = identity(&config.image).with_context(missing)?;
        let report = Report::to_log(config.log_prompts);
        let mut session = Session::open(config, worker, Timing::PLAIN_FILE, report)?;
        *ready = true;
        *trouble = None;
        service.ready();
        tracing::info!(image = %config.image.display(), "ready for prompts");
        loop {
            session.advance().await?;
            tokio::select! {
                request = signals.next() => return Ok(Ended::Asked(request)),
                Seen { wrote, closed, replaced } = watch.next() => {
                    if replaced && self::identity(&config.image).ok() != Some(identity) {
                        return Ok(Ended::Replaced);
                    }
                    if wrote || (closed && session.is_modified()) {
                        session.wrote();
                    }
                }
                event = session.wait() => if let Some(event) = event {
                    session.engine_said(event)?;
                },
                () = service.watchdog() => {}
            }
        }
    }

    fn report_trouble(&mut self, error: &anyhow::Error) {
        let text = format!("{error:#}");
        if self.trouble.as_ref() != Some(&text) {
            tracing::error!("{text}; trying again until it is mended");
            self.service.trouble(&text);
            self.trouble = Some(text);
        }
    }

    async fn wait_out(&mut self) -> Option<Request> {
        let over = tokio::time::sleep(RECOVERY);
        tokio::pin!(over);
        loop {
            tokio::select! {
                request = self.signals.next() => return Some(request),
                () = &mut over => return None,
                () = self.service.watchdog() => {}
            }
        }
    }

    /// Takes over what can change in a running daemon; the image and the state folder cannot.
    async fn reload(&mut self, read: &impl Fn() -> anyhow::Result<Config>) {
        self.service.reloading();
        match read().and_then(|config| {
            ensure!(
                config.image == self.config.image && config.state == self.config.state,
                "`image` and `state` cannot change while it runs; restart it"
            );
            let worker = worker(&config)?;
            Ok((config, worker))
        }) {
            Ok((config, worker)) => {
                std::mem::replace(&mut self.worker, worker).stop().await;
                self.config = config;
                tracing::info!("configuration read again");
            }
            Err(error) => tracing::error!("the old configuration stays in force: {error:#}"),
        }
    }
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
