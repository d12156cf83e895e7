//! The QEMU process of a guest: pure emulation of one processor, no network. It ends when this
//! value is dropped, and when our process dies. Used by [`guest`](crate::guest).

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::Signal;

use super::places::Folder;
use crate::{Result, tool};

/// The emulator.
pub const QEMU: &str = "qemu-system-x86_64";

/// Room for a kernel, the archive that it boots from, two images of 64 MiB, a small model.
const MEMORY_MB: u64 = 1024;

/// A model lies in the archive, is unpacked from there, and is copied as llama.cpp repacks it.
const COPIES_OF_MODEL: u64 = 3;

/// The memory of a guest that runs a model of this size.
pub fn memory_mb(model_bytes: u64) -> u64 {
    MEMORY_MB.saturating_add((model_bytes >> 20).saturating_mul(COPIES_OF_MODEL))
}

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
    /// Starts a guest that boots `kernel` with the archive in `folder` and has this much memory.
    ///
    /// # Errors
    /// QEMU is missing or cannot be started.
    pub fn start(
        kernel: &Path,
        command_line: &str,
        memory_mb: u64,
        folder: &Folder,
    ) -> Result<Self> {
        let mut command = command(kernel, command_line, memory_mb, folder);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| tool::failure(&command, &error))?;
        let (sender, lines) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || pass_on(output, &sender));
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

/// Bytes that are not UTF-8 (noise of a line that just came up) must not end the listening.
fn pass_on(output: ChildStdout, sender: &Sender<String>) {
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if sender.send(text).is_err() {
            return;
        }
    }
}

fn command(kernel: &Path, command_line: &str, memory_mb: u64, folder: &Folder) -> Command {
    let mut command = tool::command(QEMU);
    command
        .args(["-accel", "tcg", "-M", "q35", "-cpu", "max", "-smp", "1"])
        .args(["-m", &memory_mb.to_string()])
        .args(["-display", "none", "-no-reboot", "-nodefaults"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(folder.initrd())
        .args(["-append", command_line])
        // ttyS0: the kernel's console. ttyS1: the protocol.
        .arg("-chardev")
        .arg(with_path("file,id=console,path=", &folder.console()))
        .args(["-serial", "chardev:console"])
        .args(["-chardev", "stdio,id=protocol,signal=off"])
        .args(["-serial", "chardev:protocol"])
        // /dev/vport0p1 or later: the daemon's log.
        .arg("-chardev")
        .arg(with_path("file,id=daemon,path=", &folder.daemon()))
        .args(["-device", "virtio-serial-pci"])
        .args(["-device", "virtserialport,chardev=daemon,name=daemon"])
        // /dev/vda: the export.
        .arg("-drive")
        .arg(with_path(
            "if=none,id=export,format=raw,file=",
            &folder.export(),
        ))
        .args(["-device", "virtio-blk-pci,drive=export"]);
    // SAFETY: between fork and exec only the system call `prctl` is made.
    unsafe {
        command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?));
    }
    command
}

/// QEMU's options take a comma in a value as two of them.
fn with_path(option: &str, path: &Path) -> OsString {
    let path = path.to_string_lossy().replace(',', ",,");
    format!("{option}{path}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_a_path_stays_one() {
        assert_eq!(with_path("path=", Path::new("/a,b")), "path=/a,,b");
    }
}
