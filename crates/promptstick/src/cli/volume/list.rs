//! `promptstick volume ls`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use volume::{Entry, FatTime};

use super::{open, tree};
use crate::output::printable;

/// List files and folders.
#[derive(Debug, clap::Args)]
pub struct Ls {
    /// The image.
    image: PathBuf,
    /// A folder or a file on the volume.
    #[arg(default_value = "")]
    path: String,
    /// Attributes, length and time too.
    #[arg(short = 'l')]
    long: bool,
    /// What is inside the folders too.
    #[arg(short = 'R')]
    recursive: bool,
}

impl Ls {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let volume = open(&self.image)?;
        let mut out = io::stdout().lock();
        if let Some(file) = volume.find(&self.path)?.filter(|entry| !entry.is_dir()) {
            self.print(&mut out, &file, &file.name)?;
            return Ok(ExitCode::SUCCESS);
        }
        tree::visit(&volume, &self.path, self.recursive, &mut |folder| {
            let entries = match &folder.entries {
                Ok(entries) => entries,
                Err(error) => anyhow::bail!("{}: {error}", printable(&folder.path)),
            };
            for entry in entries {
                let name = match self.recursive {
                    true => tree::join(&folder.path, &entry.name),
                    false => entry.name.clone(),
                };
                self.print(&mut out, entry, &name)?;
            }
            Ok(())
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, out: &mut impl Write, entry: &Entry, name: &str) -> io::Result<()> {
        let mark = if entry.is_dir() { "/" } else { "" };
        let name = printable(name);
        if !self.long {
            return writeln!(out, "{name}{mark}");
        }
        let flags: String = [
            (entry.is_dir(), 'd'),
            (entry.is_read_only(), 'r'),
            (entry.is_hidden(), 'h'),
            (entry.is_system(), 's'),
        ]
        .map(|(set, letter)| if set { letter } else { '-' })
        .iter()
        .collect();
        writeln!(
            out,
            "{flags} {:>10} {} {name}{mark}",
            entry.len_bytes,
            time(entry.modified)
        )
    }
}

fn time(time: FatTime) -> String {
    let Some(civil) = time.to_civil() else {
        return "-".repeat(19);
    };
    format!(
        "{}-{:02}-{:02} {:02}:{:02}:{:02}",
        civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.second
    )
}
