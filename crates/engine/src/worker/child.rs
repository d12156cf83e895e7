//! The child's side: `promptstick worker`.
//!
//! Two threads. This one loads the model and answers requests, one after the other; the other
//! blocks on stdin and passes requests on, sets the cancel flag, and ends the process when the pipe
//! closes. Idle, both are blocked in the kernel. Frames go out on a private copy of stdout;
//! descriptor 1 itself points at stderr, so that nothing llama.cpp prints can get between them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use crate::cancel::CancelFlag;
use crate::error::Failure;
use crate::gguf::read_card;
use crate::options::ModelOptions;
use crate::request::Request;
use crate::session::{Model, Outcome, Progress, Session};
use crate::wire::{FrameBuffer, FromWorker, ToWorker, WireError, encode};
use crate::worker::limits;

const READ_BYTES: usize = 64 << 10;

/// Runs until the pipe closes, the parent dies or the model cannot be loaded.
#[must_use]
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("promptstick worker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Why the child ends with a failure of its own.
#[derive(Debug, thiserror::Error)]
enum ChildError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("it is started by promptstick itself; the first frame must say what to load")]
    NoLoadFrame,
    #[error("the process that started it is gone")]
    Orphaned,
    #[error("{0}")]
    Load(Failure),
}

fn serve() -> Result<(), ChildError> {
    limits::close_inherited();
    limits::die_with_parent()?;
    limits::ignore_group_signals()?;
    let mut output = take_stdout()?;
    let mut input = Input::new(take_stdin()?);
    let Some(ToWorker::Load {
        parent_pid,
        nice,
        memory_limit_bytes,
        model,
    }) = input.frame()?
    else {
        return Err(ChildError::NoLoadFrame);
    };
    if !limits::has_parent(parent_pid) {
        return Err(ChildError::Orphaned);
    }
    limits::step_back(nice);

    let (requests, receiver) = channel();
    let cancel = Arc::new(CancelFlag::default());
    let listener_cancel = cancel.clone();
    std::thread::Builder::new()
        .name("listener".into())
        .spawn(move || listen(input, &requests, &listener_cancel))?;

    let began = Instant::now();
    let loaded = bound(&model, memory_limit_bytes).and_then(|()| Model::load(&model));
    let outcome = loaded.and_then(|loaded| {
        let session = Session::new(&loaded, &model, cancel)?;
        Ok(answer_all(session, &receiver, &mut output, began))
    });
    match outcome {
        Ok(result) => result,
        Err(failure) => {
            send(
                &mut output,
                &FromWorker::LoadFailed {
                    failure: failure.clone(),
                },
            )?;
            Err(ChildError::Load(failure))
        }
    }
}

fn bound(model: &ModelOptions, memory_limit_bytes: u64) -> Result<(), Failure> {
    // Read again here: the parent's check may be about a file that has been replaced since.
    let card = read_card(&model.path).map_err(|error| Failure::ModelUnreadable {
        why: error.to_string(),
    })?;
    let bytes = limits::data_limit_bytes(
        memory_limit_bytes,
        model.backend.mapped_bytes(&card),
        model.effective_threads(),
    );
    limits::bound_memory(bytes).map_err(|error| Failure::Worker {
        why: error.to_string(),
    })
}

fn answer_all(
    mut session: Session<'_>,
    requests: &Receiver<(u64, Request)>,
    output: &mut File,
    began: Instant,
) -> Result<(), ChildError> {
    const MS_PER_SECOND: f64 = 1_000.0;
    send(
        output,
        &FromWorker::Loaded {
            prompt_style: session.prompt_style(),
            context_tokens: session.context_tokens(),
            backend: session.backend(),
            load_ms: began.elapsed().as_secs_f64() * MS_PER_SECOND,
        },
    )?;
    while let Ok((id, request)) = requests.recv() {
        let mut broken = None;
        let outcome = session.run(id, &request, &mut |progress| {
            let frame = match progress {
                Progress::Started(prompt_tokens) => FromWorker::Started { id, prompt_tokens },
                Progress::Prefilled(tokens) => FromWorker::Prefilled { id, tokens },
                Progress::Text(text) => FromWorker::Text { id, text },
            };
            if let Err(error) = send(output, &frame) {
                broken.get_or_insert(error);
            }
        });
        if let Some(error) = broken {
            return Err(error);
        }
        let frame = match outcome {
            Ok(Outcome::Finished(summary)) => FromWorker::Finished { id, summary },
            Ok(Outcome::Cancelled) => FromWorker::Cancelled { id },
            Err(failure) => FromWorker::Failed { id, failure },
        };
        send(output, &frame)?;
    }
    Ok(())
}

fn send(output: &mut File, frame: &FromWorker) -> Result<(), ChildError> {
    Ok(output.write_all(&encode(frame)?)?)
}

/// The listening thread. Never returns: the process ends with the pipe.
fn listen(mut input: Input, requests: &Sender<(u64, Request)>, cancel: &CancelFlag) {
    let code = loop {
        match input.frame() {
            Ok(Some(ToWorker::Run { id, request })) => {
                if requests.send((id, request)).is_err() {
                    break libc::EXIT_SUCCESS;
                }
            }
            Ok(Some(ToWorker::Cancel { id })) => cancel.cancel(id),
            Ok(None) => break libc::EXIT_SUCCESS,
            Ok(Some(ToWorker::Load { .. })) | Err(_) => break libc::EXIT_FAILURE,
        }
    };
    // SAFETY: ends the process at once. Nothing in it needs to be put in order, and exit handlers
    // must not run while the other thread computes.
    unsafe { libc::_exit(code) }
}

/// Frames from a pipe.
struct Input {
    file: File,
    buffer: FrameBuffer,
    chunk: Box<[u8]>,
}

impl Input {
    fn new(file: File) -> Self {
        Self {
            file,
            buffer: FrameBuffer::default(),
            chunk: vec![0; READ_BYTES].into_boxed_slice(),
        }
    }

    /// The next frame; `None` at the end of the pipe.
    fn frame(&mut self) -> Result<Option<ToWorker>, ChildError> {
        loop {
            if let Some(frame) = self.buffer.take()? {
                return Ok(Some(frame));
            }
            match self.file.read(&mut self.chunk) {
                Ok(0) => return Ok(None),
                Ok(count) => self.buffer.push(&self.chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A private copy of stdout; descriptor 1 becomes stderr.
fn take_stdout() -> io::Result<File> {
    let copy = io::stdout().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdout(io::stderr())?;
    Ok(copy.into())
}

/// A private copy of stdin; descriptor 0 becomes empty.
fn take_stdin() -> io::Result<File> {
    let copy = io::stdin().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    Ok(copy.into())
}
