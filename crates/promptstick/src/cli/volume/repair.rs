//! `promptstick volume repair`: puts right what a computer left unfinished, and says what that was.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use volume::RepairLimits;

use super::now;
use crate::output::printable;
use crate::stick;

/// Repair a volume that a computer left unfinished; nothing of the files on it is thrown away.
///
/// What belongs to no file becomes a file FSCK0000.REC and so on.
#[derive(Debug, clap::Args)]
pub struct Repair {
    /// The image.
    image: PathBuf,
}

impl Repair {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let (journal, limits) = (stick::journal(&self.image), RepairLimits::default());
        let report = stick::change(&self.image, |device| {
            Ok(volume::repair(device, &journal, limits, now())?)
        })?;
        let mut out = io::stdout().lock();
        for finding in report.findings() {
            writeln!(out, "{}", printable(&finding.to_string()))?;
        }
        if report.omitted() > 0 {
            writeln!(out, "and {} more", report.omitted())?;
        }
        if report.is_empty() {
            writeln!(out, "nothing is wrong")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
