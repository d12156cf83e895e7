//! `promptstick volume get` and `put`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use volume::{ImageFile, MAX_CHANGE_BYTES, ReadError};

use super::{now, open, tree};
use crate::stick;

/// Copy a file from the volume.
#[derive(Debug, clap::Args)]
pub struct Get {
    /// The image.
    image: PathBuf,
    /// The file on the volume.
    path: String,
    /// Where to write it [default: standard output].
    #[arg(short = 'o')]
    output: Option<PathBuf>,
}

impl Get {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let volume = open(&self.image)?;
        let path = self.path;
        let entry = volume.find(&path)?.ok_or(ReadError::NotFound { path })?;
        match &self.output {
            Some(output) => {
                let naming = || format!("writing {}", output.display());
                let mut file = File::create(output).with_context(naming)?;
                volume.copy_to(&entry, &mut file)?;
            }
            None => {
                let mut out = io::stdout().lock();
                volume.copy_to(&entry, &mut out)?;
                out.flush()?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Copy a file to the volume, whole or not at all, even if the power fails.
#[derive(Debug, clap::Args)]
pub struct Put {
    /// The image.
    image: PathBuf,
    /// The file to copy.
    file: PathBuf,
    /// Its path on the volume, or a folder there for a copy of the same name.
    path: String,
    /// Replace a file of that name.
    #[arg(long)]
    replace: bool,
}

impl Put {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let naming = || format!("reading {}", self.file.display());
        let len_bytes = fs::metadata(&self.file).with_context(naming)?.len();
        if len_bytes > MAX_CHANGE_BYTES {
            bail!(
                "{} has {len_bytes} bytes and one change takes {MAX_CHANGE_BYTES} at most: copy it \
                 with another tool",
                self.file.display()
            );
        }
        let content = fs::read(&self.file).with_context(naming)?;
        stick::change(&self.image, |device| {
            let changes = self.changes(device, &content)?;
            Ok(volume::publish(
                device,
                &stick::journal(&self.image),
                &changes,
            )?)
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn changes(&self, device: &ImageFile, content: &[u8]) -> anyhow::Result<volume::ChangeSet> {
        let volume = volume::Volume::open(device)?;
        ensure!(
            volume.dirty_marks()?.is_clean(),
            "the volume is marked as in use: unmount it, or repair it (`promptstick volume repair`)"
        );
        let mut path = self.path.clone();
        let is_root = path.trim_matches('/').is_empty();
        let found = volume.find(&path)?;
        if is_root || found.as_ref().is_some_and(volume::Entry::is_dir) {
            let name = self.file.file_name().and_then(|name| name.to_str());
            let name = name.with_context(|| format!("{} has no name", self.file.display()))?;
            path = tree::join(&path, name);
        }
        let time = now();
        let mut edit = volume.edit();
        if self.replace && volume.find(&path)?.is_some() {
            edit.replace(&path, content, time)?;
        } else {
            edit.create(&path, content, time)?;
        }
        Ok(edit.finish()?)
    }
}
