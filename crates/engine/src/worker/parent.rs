//! [`Worker`]: a model in a child process, as futures.
//!
//! All state is in the worker and none in a future, so any future may be dropped at any await and
//! called again: nothing is lost and nothing is done twice. Idle, [`Worker::event`] waits on the
//! child's pipes and wakes nobody.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{ChildEnd, EngineError, Failure};
use crate::fit::{check_addresses, inspect};
use crate::memory;
use crate::options::ModelOptions;
use crate::report::{Event, ModelInfo};
use crate::request::Request;
use crate::wire::{ToWorker, encode};
use crate::worker::process::{Process, Progress, StderrPolicy};
use crate::worker::supervise::{Step, Supervisor};

/// The usual [`WorkerOptions::cancel_grace`]. The abort is seen between two
/// operations of a step; the longest on the board (the output matrix of a 135M model) takes about
/// 0.4 s.
pub const CANCEL_GRACE: Duration = Duration::from_millis(1_000);
/// How long a child that closed its pipe may take to end before it is killed. A core dump is off.
const END_GRACE: Duration = Duration::from_millis(500);

/// The usual [`WorkerOptions::silence_limit`]. A word comes with each token and each step of a
/// prompt; on the board a step of 32 tokens of a 135M model takes half a minute. Only a hang, or a
/// model far too large for the machine, takes this long.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(600);

/// Names the program to run as the child in the place of the running one: a script that starts the
/// child under an emulator or a debugger too.
pub const PROGRAM_VARIABLE: &str = "PROMPTSTICK_WORKER";

/// How to run the child.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The program: normally the running one.
    pub program: PathBuf,
    /// Its arguments: normally `worker`.
    pub args: Vec<OsString>,
    /// How much lower its priority is, 0 to 19.
    pub nice: i32,
    /// Most memory that it may use, the mapped model included. Never more than the machine has
    /// available when the child is started, which is the limit with `None`.
    pub memory_limit_bytes: Option<u64>,
    /// Where its stderr goes.
    pub stderr: StderrPolicy,
    /// Where the kernel says how much memory there is.
    pub memory: memory::Sources,
    /// How long a child with something to do may say nothing before it is killed.
    pub silence_limit: Duration,
    /// How long a child may take to stop a request before it is killed.
    pub cancel_grace: Duration,
}

impl WorkerOptions {
    /// This very program as the child, or the one that [`PROGRAM_VARIABLE`] names, at a priority
    /// below everything else.
    ///
    /// # Errors
    /// When the running program's path cannot be found out.
    pub fn this_program() -> std::io::Result<Self> {
        const DEFAULT_NICE: i32 = 10;
        Ok(Self {
            program: match std::env::var_os(PROGRAM_VARIABLE) {
                Some(program) => program.into(),
                None => std::env::current_exe()?,
            },
            args: vec!["worker".into()],
            nice: DEFAULT_NICE,
            memory_limit_bytes: None,
            stderr: StderrPolicy::default(),
            memory: memory::Sources::default(),
            silence_limit: SILENCE_LIMIT,
            cancel_grace: CANCEL_GRACE,
        })
    }
}

/// Which file lies under a name, and in which state.
#[derive(Debug, PartialEq, Eq)]
struct FileIdentity {
    path: PathBuf,
    /// Device, inode, length, time of change in seconds and nanoseconds.
    state: (u64, u64, u64, i64, i64),
}

impl FileIdentity {
    fn of(model: &ModelOptions) -> Option<Self> {
        let path = model.path.clone();
        let m = std::fs::metadata(&path).ok()?;
        Some(Self {
            path,
            state: (m.dev(), m.ino(), m.len(), m.mtime(), m.mtime_nsec()),
        })
    }

    /// Whether it is still that file, if the model is in it at all.
    fn is_current(&self, model: &ModelOptions) -> bool {
        model.path != self.path || Self::of(model).as_ref() == Some(self)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Worker {
    options: WorkerOptions,
    supervisor: Supervisor,
    process: Option<Process>,
    /// Events that have happened and were not yet taken.
    events: VecDeque<Event>,
    /// When the child is killed if it does not obey the cancel.
    cancel_deadline: Option<Instant>,
    /// When the child was last told or said something.
    last_heard: Option<Instant>,
    /// What the child has mapped.
    resident_file: Option<FileIdentity>,
}

impl Worker {
    /// A worker without a process; the first request starts one.
    #[must_use]
    pub fn new(options: WorkerOptions) -> Self {
        Self {
            options,
            supervisor: Supervisor::default(),
            process: None,
            events: VecDeque::new(),
            cancel_deadline: None,
            last_heard: None,
            resident_file: None,
        }
    }

    /// Accepts a request; [`Self::event`] carries it out and reports on it. The model is loaded
    /// when it is not resident, or resident with other options.
    ///
    /// # Errors
    /// [`EngineError`]; nothing has changed then. What goes wrong with the request itself comes as
    /// [`Event::Failed`].
    pub fn start(&mut self, model: &ModelOptions, request: Request) -> Result<(), EngineError> {
        if !self.is_idle() {
            return Err(EngineError::Busy);
        }
        if let Err(failure) = request.validate() {
            self.events.push_back(Event::Failed(failure));
            return Ok(());
        }
        if self
            .resident_file
            .as_ref()
            .is_some_and(|file| !file.is_current(model))
        {
            // The file was replaced or written to: what the child has mapped is not it any more.
            self.supervisor.give_up_on_child();
        }
        self.supervisor.begin(model, request)
    }

    /// The next event of the running request; without one, waits for ever. Cancel-safe.
    pub async fn event(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            self.turn().await;
        }
    }

    /// Stops the running request, if any: within the grace, by killing the child if need be.
    /// Afterwards no event of it is seen. Dropped before it is done, it is done by the next call
    /// of anything; no event of the request is seen either way.
    pub async fn cancel(&mut self) {
        self.events.clear();
        if let Some(frame) = self.supervisor.cancel() {
            self.cancel_deadline = Some(Instant::now() + self.options.cancel_grace);
            if let Some(process) = self.process.as_mut() {
                process.send(&frame);
            }
        }
        while self.supervisor.is_cancelling() || self.supervisor.step() == Step::Kill {
            self.turn().await;
        }
        self.cancel_deadline = None;
    }

    /// Cancels what is running and ends the child. The worker can be used again.
    pub async fn stop(&mut self) {
        self.events.clear();
        self.supervisor.cancel();
        if self.process.is_some() {
            self.supervisor.give_up_on_child();
        }
        while self.supervisor.step() == Step::Kill {
            self.turn().await;
        }
        self.cancel_deadline = None;
    }

    /// Whether no request is running and no event is waiting to be taken.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.supervisor.is_active() && self.events.is_empty()
    }

    /// The model in memory.
    #[must_use]
    pub fn model(&self) -> Option<&ModelInfo> {
        self.supervisor.model()
    }

    /// The child's process id, while there is one.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::id)
    }

    /// Does the next thing: one step of the supervisor, or one wait.
    async fn turn(&mut self) {
        match self.supervisor.step() {
            Step::Spawn(model) => {
                if let Err(failure) = self.spawn(model) {
                    self.events.extend(self.supervisor.refused(failure));
                }
            }
            Step::Kill => self.kill().await,
            Step::Send(frame) => self.send(&frame),
            Step::Listen => self.listen().await,
        }
    }

    fn spawn(&mut self, model: ModelOptions) -> Result<(), Failure> {
        let file = FileIdentity::of(&model);
        let info = inspect(&model)?;
        let available_bytes = self.available_bytes();
        info.need.check(available_bytes)?;
        check_addresses(&info)?;
        let broken = |why: String| Failure::Worker { why };
        let load = ToWorker::Load {
            parent_pid: std::process::id(),
            nice: self.options.nice,
            memory_limit_bytes: available_bytes,
            model: model.clone(),
        };
        let load = encode(&load).map_err(|error| broken(error.to_string()))?;
        let options = &self.options;
        let mut process = Process::spawn(&options.program, &options.args, options.stderr)
            .map_err(|error| broken(error.to_string()))?;
        process.send(&load);
        self.process = Some(process);
        self.last_heard = Some(Instant::now());
        self.resident_file = file;
        let (path, file_bytes) = (model.path.clone(), info.file_bytes);
        self.events.push_back(Event::Loading { path, file_bytes });
        self.supervisor.spawned(model, info);
        Ok(())
    }

    /// What a child may use now: at most what there is, so that a file which needs more than its
    /// header says costs one answer and not the machine.
    fn available_bytes(&self) -> u64 {
        let limit = self.options.memory_limit_bytes.unwrap_or(u64::MAX);
        memory::available_bytes(&self.options.memory).min(limit)
    }

    async fn kill(&mut self) {
        let (how, out_of_memory) = match self.process.as_mut() {
            Some(process) => process.end().await,
            None => (ChildEnd::Unknown, false),
        };
        self.ended(how, out_of_memory);
    }

    fn send(&mut self, frame: &[u8]) {
        if let Some(process) = self.process.as_mut()
            && !process.has_ended()
        {
            process.send(frame);
            self.last_heard = Some(Instant::now());
            self.supervisor.sent();
        } else {
            // It ended while it was idle: that is no fault of this request.
            tracing::debug!("the idle child has ended; another is started");
            self.process = None;
            self.supervisor.found_dead();
        }
    }

    /// Waits for the child, and for the cancel's deadline when there is one.
    async fn listen(&mut self) {
        let deadline = self.deadline();
        let Some(process) = self.process.as_mut() else {
            return std::future::pending().await;
        };
        let progress = match deadline {
            None => process.progress().await,
            Some(deadline) => match tokio::time::timeout_at(deadline, process.progress()).await {
                Ok(progress) => progress,
                Err(_) => return self.on_deadline(),
            },
        };
        match progress {
            Progress::Moved => self.take_frames(),
            Progress::Closed => {
                let (how, out_of_memory) = process.end_by_itself(END_GRACE).await;
                self.ended(how, out_of_memory);
            }
        }
    }

    /// When waiting for the child ends; never while nothing is asked of it.
    fn deadline(&self) -> Option<Instant> {
        if self.supervisor.is_cancelling() {
            return self.cancel_deadline;
        }
        let limit = self.options.silence_limit;
        self.last_heard
            .filter(|_| self.supervisor.is_active())
            .map(|heard| heard + limit)
    }

    fn on_deadline(&mut self) {
        if self.supervisor.is_cancelling() {
            self.supervisor.give_up_on_child();
        } else {
            let seconds = self.options.silence_limit.as_secs();
            self.events.extend(self.supervisor.on_silence(seconds));
        }
    }

    fn take_frames(&mut self) {
        while let Some(process) = self.process.as_mut() {
            match process.frame() {
                Ok(Some(frame)) => {
                    self.last_heard = Some(Instant::now());
                    self.events.extend(self.supervisor.on_frame(frame));
                }
                Ok(None) => break,
                Err(error) => {
                    self.events.extend(self.supervisor.on_violation(&error));
                    break;
                }
            }
        }
    }

    fn ended(&mut self, how: ChildEnd, out_of_memory: bool) {
        tracing::debug!(%how, "the child has ended");
        self.process = None;
        self.events.extend(self.supervisor.gone(how, out_of_memory));
    }
}
