//! A running child: its pipes, its frames, its end. Every await may be dropped and taken up again.

use std::io;
use std::process::{ExitStatus, Stdio};

use gguf::foreign_text;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::error::ChildEnd;
use crate::llama::is_out_of_memory;
use crate::wire::{FrameBuffer, FromWorker, WireError};

const READ_BYTES: usize = 64 << 10;
/// Longest line of the child's stderr that is kept.
const MAX_LINE_BYTES: usize = 1_024;
/// Lines that one child may have logged; the rest is dropped.
const MAX_LINES: u32 = 10_000;
/// Reads of stderr after the child's end.
const MAX_DRAIN_READS: u32 = 16;
/// Variables that are for the daemon and not for its child.
const DAEMON_VARIABLES: [&str; 5] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_PID",
];

/// What becomes of the child's stderr (its log, llama.cpp's, and what a crash prints).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StderrPolicy {
    /// To `tracing` at debug level, line by line, bounded.
    #[default]
    Log,
    /// To the parent's stderr as it is.
    Inherit,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    frames: FrameBuffer,
    lines: Lines,
    out_chunk: Box<[u8]>,
    err_chunk: Box<[u8]>,
    /// What is still to be written to the child.
    pending: Vec<u8>,
}

/// What [`Process::progress`] came to.
#[derive(Debug)]
pub(super) enum Progress {
    /// Something moved; take the frames.
    Moved,
    /// The child closed its stdout: it has ended or is about to.
    Closed,
}

impl Process {
    /// Starts a child. Must be called in a tokio runtime with I/O, on a thread that lives as long
    /// as the child is to live (`PR_SET_PDEATHSIG` is about the thread).
    pub(super) fn spawn(
        program: &std::path::Path,
        args: &[std::ffi::OsString],
        stderr: StderrPolicy,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command.stderr(match stderr {
            StderrPolicy::Log => Stdio::piped(),
            StderrPolicy::Inherit => Stdio::inherit(),
        });
        for variable in DAEMON_VARIABLES {
            command.env_remove(variable);
        }
        let mut child = command.spawn()?;
        let stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        Ok(Self {
            child,
            stdin,
            stdout,
            stderr,
            frames: FrameBuffer::default(),
            lines: Lines::default(),
            out_chunk: vec![0; READ_BYTES].into_boxed_slice(),
            err_chunk: vec![0; READ_BYTES].into_boxed_slice(),
            pending: Vec::new(),
        })
    }

    /// Queues bytes for the child; [`Self::progress`] writes them.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The process id, while it is not reaped.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The next frame that has arrived whole.
    pub(super) fn frame(&mut self) -> Result<Option<FromWorker>, WireError> {
        self.frames.take()
    }

    /// Whether it has ended without anybody noticing.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until something moves. Cancel-safe.
    pub(super) async fn progress(&mut self) -> Progress {
        let Some(stdout) = self.stdout.as_mut() else {
            return Progress::Closed;
        };
        tokio::select! {
            read = stdout.read(&mut self.out_chunk) => match read {
                Ok(count) if count > 0 => self.frames.push(&self.out_chunk[..count]),
                _ => {
                    self.stdout = None;
                    return Progress::Closed;
                }
            },
            read = read_some(self.stderr.as_mut(), &mut self.err_chunk) => match read {
                Ok(count) if count > 0 => self.lines.push(&self.err_chunk[..count]),
                _ => self.stderr = None,
            },
            written = self.stdin.write(&self.pending), if !self.pending.is_empty() => {
                match written {
                    Ok(count) => drop(self.pending.drain(..count)),
                    // It has ended; stdout will say so.
                    Err(_) => self.pending.clear(),
                }
            }
        }
        Progress::Moved
    }

    /// Kills it if it still runs, reaps it, and reads the rest of its stderr. Cancel-safe.
    /// Gives how it ended and whether it said that memory ran out.
    pub(super) async fn end(&mut self) -> (ChildEnd, bool) {
        // An error means that it has ended already.
        let _ = self.child.start_kill();
        let status = self.child.wait().await;
        for _ in 0..MAX_DRAIN_READS {
            let Some(stderr) = self.stderr.as_mut() else {
                break;
            };
            match stderr.read(&mut self.err_chunk).await {
                Ok(count) if count > 0 => self.lines.push(&self.err_chunk[..count]),
                _ => self.stderr = None,
            }
        }
        self.lines.flush();
        (
            status.map_or(ChildEnd::Unknown, child_end),
            self.lines.out_of_memory,
        )
    }

    /// Like [`Self::end`] for a child that closed its stdout: it is about to end by itself, and how
    /// is worth knowing, so it gets `grace` before it is killed, which is then said. Cancel-safe.
    pub(super) async fn end_by_itself(&mut self, grace: std::time::Duration) -> (ChildEnd, bool) {
        let waited = tokio::time::timeout(grace, self.child.wait()).await;
        match (waited, self.end().await) {
            (Err(_), (ChildEnd::Signal(libc::SIGKILL), out_of_memory)) => {
                (ChildEnd::ClosedPipe, out_of_memory)
            }
            (_, end) => end,
        }
    }
}

/// Reads, or waits for ever when there is nothing to read from.
async fn read_some(from: Option<&mut ChildStderr>, chunk: &mut [u8]) -> io::Result<usize> {
    match from {
        Some(stderr) => stderr.read(chunk).await,
        None => std::future::pending().await,
    }
}

fn child_end(status: ExitStatus) -> ChildEnd {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(signal), _) => ChildEnd::Signal(signal),
        (None, Some(code)) => ChildEnd::Exit(code),
        (None, None) => ChildEnd::Unknown,
    }
}

/// Lines of the child's stderr on their way to the log.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
    logged: u32,
    out_of_memory: bool,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.flush();
            } else if self.partial.len() < MAX_LINE_BYTES {
                self.partial.push(byte);
            }
        }
    }

    fn flush(&mut self) {
        let line = String::from_utf8_lossy(&self.partial).into_owned();
        self.partial.clear();
        self.out_of_memory |= is_out_of_memory(&line);
        if !line.is_empty() && self.logged < MAX_LINES {
            self.logged += 1;
            tracing::debug!(target: "worker", "{}", foreign_text(&line));
        }
    }
}
