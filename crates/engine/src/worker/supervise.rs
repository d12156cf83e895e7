//! What the parent does with requests, frames and deaths: a state machine without I/O.
//!
//! Invariants: at most one request is active; every request that was begun ends in exactly one of
//! `Finished`, `Failed` and a cancel; after a cancel nothing of that request comes out; a model is
//! changed only by a new process; a request is sent to a second child at most, and only if the
//! first died before it said anything of it.

use crate::error::{ChildEnd, EngineError, Failure};
use crate::options::ModelOptions;
use crate::report::{Event, ModelInfo};
use crate::request::Request;
use crate::wire::{FromWorker, MAX_FRAME_BYTES, ToWorker, WireError, encode};

/// What is to be done next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Wait for frames or the child's end (if there is a child).
    Listen,
    /// End the child, then report [`Supervisor::gone`].
    Kill,
    /// Check that this model fits and start a child for it, then report [`Supervisor::spawned`] or
    /// [`Supervisor::refused`].
    Spawn(ModelOptions),
    /// Make sure the child lives, and write this to it.
    Send(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Needs a child with its model, or its frame to be sent.
    Waiting,
    /// The child computes.
    Running,
}

#[derive(Debug)]
struct Active {
    id: u64,
    model: ModelOptions,
    frame: Vec<u8>,
    phase: Phase,
    /// The child has said something of it.
    is_known: bool,
    /// It was sent before, to a child that died without a word of it.
    is_second_try: bool,
    load_ms: f64,
}

#[derive(Debug)]
struct Resident {
    options: ModelOptions,
    info: ModelInfo,
    is_loaded: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Supervisor {
    last_id: u64,
    active: Option<Active>,
    resident: Option<Resident>,
    /// The request that the child was told to stop and has not yet ended.
    cancelling: Option<u64>,
    /// The child is of no use any more.
    must_kill: bool,
}

impl Supervisor {
    /// Accepts a request.
    ///
    /// # Errors
    /// [`EngineError`] when it cannot be accepted; nothing has changed then.
    pub fn begin(&mut self, model: &ModelOptions, request: Request) -> Result<(), EngineError> {
        if self.active.is_some() {
            return Err(EngineError::Busy);
        }
        let id = self.last_id + 1;
        let frame = encode(&ToWorker::Run { id, request }).map_err(engine_error)?;
        self.last_id = id;
        self.active = Some(Active {
            id,
            model: model.clone(),
            frame,
            phase: Phase::Waiting,
            is_known: false,
            is_second_try: false,
            load_ms: 0.0,
        });
        Ok(())
    }

    /// What to do now.
    #[must_use]
    pub fn step(&self) -> Step {
        if self.must_kill {
            return Step::Kill;
        }
        let Some(active) = self
            .active
            .as_ref()
            .filter(|active| active.phase == Phase::Waiting)
        else {
            return Step::Listen;
        };
        match &self.resident {
            None => Step::Spawn(active.model.clone()),
            Some(resident) if resident.options != active.model => Step::Kill,
            Some(resident) if !resident.is_loaded || self.cancelling.is_some() => Step::Listen,
            Some(_) => Step::Send(active.frame.clone()),
        }
    }

    /// A child was started for the model.
    pub fn spawned(&mut self, options: ModelOptions, info: ModelInfo) {
        self.must_kill = false;
        self.cancelling = None;
        self.resident = Some(Resident {
            options,
            info,
            is_loaded: false,
        });
    }

    /// No child can be started for the active request.
    pub fn refused(&mut self, failure: Failure) -> Option<Event> {
        self.active.take().map(|_| Event::Failed(failure))
    }

    /// What [`Step::Send`] asked for was done.
    pub fn sent(&mut self) {
        if let Some(active) = self.active.as_mut() {
            active.phase = Phase::Running;
        }
    }

    /// A frame came from the child. `None`: nothing that anybody is to know.
    pub fn on_frame(&mut self, frame: FromWorker) -> Option<Event> {
        match frame {
            FromWorker::Loaded {
                prompt_style,
                context_tokens,
                backend,
                load_ms,
            } => {
                let resident = self.resident.as_mut()?;
                resident.is_loaded = true;
                resident.info.prompt_style = prompt_style;
                resident.info.context_tokens = context_tokens;
                resident.info.backend = backend;
                let active = self.active.as_mut()?;
                active.load_ms = load_ms;
                Some(Event::Loaded(resident.info.clone()))
            }
            FromWorker::LoadFailed { failure } => {
                self.must_kill = true;
                self.active.take().map(|_| Event::Failed(failure))
            }
            FromWorker::Started { id, prompt_tokens } => self
                .hears_of(id)
                .then_some(Event::Started { prompt_tokens }),
            FromWorker::Prefilled { id, tokens } => {
                self.hears_of(id).then_some(Event::Prefilled { tokens })
            }
            FromWorker::Text { id, text } => {
                (self.hears_of(id) && !text.is_empty()).then_some(Event::Text(text))
            }
            FromWorker::Finished { id, mut summary } => {
                let active = self.end(id)?;
                summary.load_ms = active.load_ms;
                Some(Event::Finished(summary))
            }
            FromWorker::Failed { id, failure } => self.end(id).map(|_| Event::Failed(failure)),
            FromWorker::Cancelled { id } => {
                // Only a child that misbehaves cancels by itself.
                self.end(id).map(|_| {
                    self.must_kill = true;
                    Event::Failed(Failure::Worker {
                        why: "it cancelled the request".into(),
                    })
                })
            }
        }
    }

    /// The child broke the rules of the pipe.
    pub fn on_violation(&mut self, error: &WireError) -> Option<Event> {
        self.must_kill = true;
        self.active.take().map(|_| {
            Event::Failed(Failure::Worker {
                why: error.to_string(),
            })
        })
    }

    /// The child has said nothing for `seconds` although something is asked of it.
    pub fn on_silence(&mut self, seconds: u64) -> Option<Event> {
        self.must_kill = true;
        self.active
            .take()
            .map(|_| Event::Failed(Failure::Stuck { seconds }))
    }

    /// The child has ended and was reaped.
    pub fn gone(&mut self, how: ChildEnd, is_out_of_memory: bool) -> Option<Event> {
        let was_told_to = std::mem::take(&mut self.must_kill);
        let is_spared = !was_told_to && !is_out_of_memory && self.try_again();
        let ends_active = self.is_computing() || (self.is_loading() && !was_told_to && !is_spared);
        self.resident = None;
        self.cancelling = None;
        if !ends_active {
            // The request that waits, if any, gets another child.
            return None;
        }
        let failure = if is_out_of_memory {
            Failure::OutOfMemory
        } else {
            Failure::Crashed { how }
        };
        self.active.take().map(|_| Event::Failed(failure))
    }

    /// The child had ended before anything was asked of it: forget it, the request goes on.
    pub fn found_dead(&mut self) {
        self.resident = None;
        self.cancelling = None;
        self.must_kill = false;
    }

    /// Drops the active request. Gives what to write to the child, if it must be told.
    pub fn cancel(&mut self) -> Option<Vec<u8>> {
        let active = self.active.take()?;
        if active.phase == Phase::Waiting {
            // A child that is loading cannot be told; one that has loaded knows nothing of it yet.
            self.must_kill |= self
                .resident
                .as_ref()
                .is_some_and(|resident| !resident.is_loaded);
            return None;
        }
        self.cancelling = Some(active.id);
        encode(&ToWorker::Cancel { id: active.id }).ok()
    }

    /// Whether the child still works on a request that was cancelled.
    #[must_use]
    pub fn is_cancelling(&self) -> bool {
        self.cancelling.is_some()
    }

    /// The child did not stop in time.
    pub fn give_up_on_child(&mut self) {
        self.must_kill = true;
    }

    /// Whether a request is active.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// The model in memory.
    #[must_use]
    pub fn model(&self) -> Option<&ModelInfo> {
        self.resident
            .as_ref()
            .filter(|resident| resident.is_loaded)
            .map(|resident| &resident.info)
    }

    /// The child may have died of something else just when the request was sent: whether that is
    /// possible, and then the request waits again.
    fn try_again(&mut self) -> bool {
        let Some(active) = &mut self.active else {
            return false;
        };
        let is_possible =
            active.phase == Phase::Running && !active.is_known && !active.is_second_try;
        if is_possible {
            active.phase = Phase::Waiting;
            active.is_second_try = true;
        }
        is_possible
    }

    fn is_computing(&self) -> bool {
        self.active
            .as_ref()
            .is_some_and(|active| active.phase == Phase::Running)
    }

    /// Whether the child is loading the model that the active request waits for.
    fn is_loading(&self) -> bool {
        match (&self.active, &self.resident) {
            (Some(active), Some(resident)) => {
                !resident.is_loaded && resident.options == active.model
            }
            _ => false,
        }
    }

    fn is_running(&self, id: u64) -> bool {
        self.active
            .as_ref()
            .is_some_and(|a| a.id == id && a.phase == Phase::Running)
    }

    /// As [`Self::is_running`], for a frame that says something of the request.
    fn hears_of(&mut self, id: u64) -> bool {
        let is_running = self.is_running(id);
        if let Some(active) = self.active.as_mut().filter(|_| is_running) {
            active.is_known = true;
        }
        is_running
    }

    /// Ends the active request, or the cancelled one (which gives `None`).
    fn end(&mut self, id: u64) -> Option<Active> {
        if self.cancelling == Some(id) {
            self.cancelling = None;
        }
        if self.is_running(id) {
            self.active.take()
        } else {
            None
        }
    }
}

fn engine_error(error: WireError) -> EngineError {
    match error {
        WireError::Length { bytes } => EngineError::RequestTooLarge {
            bytes,
            limit_bytes: MAX_FRAME_BYTES,
        },
        WireError::Body(error) => EngineError::Encode(error),
    }
}

#[cfg(test)]
mod tests;
