//! `promptstick volume`: work on an image with the stick's own FAT code. Thin: what the commands do
//! is in the crate `volume`; here are arguments, files and printing.

mod check;
mod format;
mod list;
mod repair;
mod transfer;
mod tree;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use volume::{FatTime, ImageFile};

use crate::wall_clock;

/// Work on a volume image with the stick's own FAT code.
#[derive(Debug, clap::Args)]
pub struct Volume {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Format(format::Format),
    Ls(list::Ls),
    Get(transfer::Get),
    Put(transfer::Put),
    Check(check::Check),
    Repair(repair::Repair),
}

impl Volume {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Format(command) => command.run(),
            Command::Ls(command) => command.run(),
            Command::Get(command) => command.run(),
            Command::Put(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Repair(command) => command.run(),
        }
    }
}

/// Opens the volume on an image for reading.
fn open(image: &Path) -> anyhow::Result<volume::Volume<ImageFile>> {
    let device =
        ImageFile::open_read_only(image).with_context(|| format!("opening {}", image.display()))?;
    volume::Volume::open(device).with_context(|| image.display().to_string())
}

/// The time that changed entries get.
fn now() -> FatTime {
    FatTime::from_unix_seconds(wall_clock::since_1970().as_secs())
}
