//! The QEMU process of a guest: pure emulation of one processor. It ends when this value is
//! dropped, and when our process dies. Used by [`guest`](crate::guest).

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use labhost::protocol::Line;
use nix::sys::prctl;
use nix::sys::signal::Signal;

use super::places::Folder;
use super::qemu::{self, Wanted};
use crate::error::At;
use crate::{Board, Result, tool};

/// What came from the guest.
#[derive(Debug)]
pub enum Event {
    /// A line of the protocol's serial line.
    Text(String),
    /// The guest has been switched off.
    Ended,
    /// Neither came in time.
    Late,
}

/// A running guest.
#[derive(Debug)]
pub struct Machine {
    child: Child,
    lines: Receiver<String>,
    folder: Folder,
}

impl Machine {
    /// Starts a guest from what lies in `folder`.
    ///
    /// # Errors
    /// QEMU is missing or cannot be started.
    pub fn start(wanted: &Wanted<'_>, folder: &Folder) -> Result<Self> {
        let mut command = qemu::command(wanted, folder);
        end_with_us(&mut command);
        // All that may fail comes before the child, which would run on.
        let console = shared_console(wanted.board, &folder.console())?;
        let emulator = folder.emulator();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&emulator).at(&emulator)?)
            .spawn()
            .map_err(|error| tool::failure(&command, &error))?;
        let (sender, lines) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || pass_on(output, console, &sender));
        }
        Ok(Self {
            child,
            lines,
            folder: folder.clone(),
        })
    }

    /// The next line, or the end, or `Late` when `limit` has passed.
    pub fn next(&self, limit: Duration) -> Event {
        match self.lines.recv_timeout(limit) {
            Ok(text) => Event::Text(text),
            Err(RecvTimeoutError::Timeout) => Event::Late,
            Err(RecvTimeoutError::Disconnected) => Event::Ended,
        }
    }

    /// Where its files are.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn end_with_us(command: &mut Command) {
    // SAFETY: between fork and exec only the system call `prctl` is made.
    unsafe {
        command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?));
    }
}

/// Where what is not the protocol's goes, on a board with one line for both.
fn shared_console(board: Board, path: &Path) -> Result<Option<File>> {
    match board {
        Board::Pc => Ok(None),
        Board::PiZero => Ok(Some(File::create(path).at(path)?)),
    }
}

/// Bytes that are not UTF-8 (noise of a line that just came up) must not end the listening.
fn pass_on(output: ChildStdout, mut console: Option<File>, sender: &Sender<String>) {
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if let (Some(console), None) = (&mut console, Line::parse(&text)) {
            // A log that is cut short must not end the listening either.
            let _ = writeln!(console, "{text}");
        }
        if sender.send(text).is_err() {
            return;
        }
    }
}
