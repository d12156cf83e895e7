//! `promptstick volume repair`: puts right what a computer left unfinished, and says what that was.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::bail;
use medium::{ImageLock, Medium, PlainFile, Take};
use volume::{FatTime, ImageFile, RepairLimits};

use super::printable;
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
        let _lock = ImageLock::acquire(&self.image)?;
        let mut medium = PlainFile::new(&self.image);
        stick::recover(&self.image, &mut medium)?;
        let Take::Granted(image) = medium.try_take()? else {
            bail!(
                "another program has {} open; close it first",
                self.image.display()
            );
        };
        let mut device = ImageFile::from_file(image.try_clone()?)?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let time = FatTime::from_unix_seconds(now.as_secs());
        let journal = stick::journal(&self.image);
        let report = volume::repair(&mut device, &journal, RepairLimits::default(), time)?;
        medium.give_back(image)?;
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
