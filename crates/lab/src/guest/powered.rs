//! A guest whose power somebody else cuts, which boots again and again from the same folder. Used
//! by [`torture`](crate::torture).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use labhost::protocol::Line;

use super::machine::{Event, Machine};
use super::places::{self, Folder, Turn};
use super::qemu::Wanted;
use super::{Boot, Report, read_export};
use crate::Result;
use crate::error::At;
use crate::kernel::{Kernel, Series};
use crate::programs::Programs;

/// A place to plug in a guest.
pub struct Socket {
    series: Series,
    folder: Folder,
    kernel: Kernel,
    model_bytes: u64,
    _turn: Turn,
}

impl Socket {
    /// Prepares what guests on a PC boot from, in a folder of this name, and waits until there is
    /// room for one.
    ///
    /// # Errors
    /// Something could not be fetched or built.
    pub fn new(scenario: &str, series: Series, name: &str, programs: &Programs) -> Result<Self> {
        let boot = Boot::new(scenario, series);
        boot.fetch(programs)?;
        let turn = places::wait_for_turn(1);
        let folder = Folder::new(name)?;
        let kernel = boot.write_initrd(programs, &folder.initrd())?;
        let model = &programs.model;
        Ok(Self {
            series,
            folder,
            kernel,
            model_bytes: fs::metadata(model).at(model)?.len(),
            _turn: turn,
        })
    }

    /// The path of a file beside the guest's.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.file(name)
    }

    /// Switches a guest on, with a disk that somebody serves at a socket.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub fn switch_on(
        &self,
        scenario: &str,
        parameters: &[(&str, String)],
        disk: &Path,
    ) -> Result<Powered> {
        self.folder.blank_export()?;
        let boot = Boot {
            parameters,
            ..Boot::new(scenario, self.series)
        };
        let wanted = Wanted {
            board: boot.board,
            kernel: &self.kernel,
            command_line: &boot.command_line(),
            model_bytes: self.model_bytes,
            network: boot.network,
            disk: Some(disk),
        };
        Ok(Powered {
            machine: Machine::start(&wanted, &self.folder)?,
            start: Instant::now(),
            report: Report::new(scenario, self.series, &self.folder),
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Only what is large; the next run replaces it in any case.
        let _ = self.folder.tidy_up();
    }
}

/// A guest that runs.
pub struct Powered {
    machine: Machine,
    start: Instant,
    /// What it has told so far.
    pub report: Report,
}

impl Powered {
    /// Its next line of the protocol, its end, or `Late`. Other lines are passed over.
    pub fn next(&mut self, limit: Duration) -> Event {
        let event = self.machine.next(limit);
        if let Event::Text(text) = &event {
            self.report.lines.extend(Line::parse(text));
        }
        self.report.wall = self.start.elapsed();
        event
    }

    /// The files that it has exported.
    ///
    /// # Errors
    /// It has not.
    pub fn exported(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        read_export(&self.machine.folder().export(), 0)
    }

    /// Switches it off, without a word to it.
    pub fn kill(self) -> Report {
        self.report
    }
}
