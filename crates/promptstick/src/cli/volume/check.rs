//! `promptstick volume check`: prints what the acceptance rules see. Exit status 1 when a file or
//! folder is incomplete or inconsistent.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use volume::{Entry, ImageFile, Inspection, Volume};

use super::{open, tree};
use crate::output::printable;
use crate::stick;

/// How many entries are inspected in one pass over the volume.
const BATCH: usize = 4096;

/// Show the volume as the stick sees it, and whether its files are complete.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The image.
    image: PathBuf,
    /// Only what is wrong.
    #[arg(short, long)]
    quiet: bool,
}

impl Check {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let volume = open(&self.image)?;
        let mut report = Report {
            out: io::stdout().lock(),
            quiet: self.quiet,
            wrong: 0,
            right: 0,
        };
        if !self.quiet {
            summary(&mut report.out, &volume)?;
        }
        if stick::journal(&self.image).exists() {
            writeln!(
                report.out,
                "a journal is waiting: an interrupted change is not complete yet"
            )?;
        }
        let mut batch: Vec<(String, Entry)> = Vec::new();
        tree::visit(&volume, "", true, &mut |folder| {
            match &folder.entries {
                Ok(entries) => batch.extend(
                    entries
                        .iter()
                        .map(|e| (tree::join(&folder.path, &e.name), e.clone())),
                ),
                Err(error) => report.wrong_with(&folder.path, &[error.to_string()])?,
            }
            if batch.len() >= BATCH {
                report.inspect(&volume, &mut batch)?;
            }
            Ok(())
        })?;
        report.inspect(&volume, &mut batch)?;
        report.end()
    }
}

struct Report<W: Write> {
    out: W,
    quiet: bool,
    wrong: u64,
    right: u64,
}

impl<W: Write> Report<W> {
    fn inspect(
        &mut self,
        volume: &Volume<ImageFile>,
        batch: &mut Vec<(String, Entry)>,
    ) -> anyhow::Result<()> {
        let (paths, entries): (Vec<String>, Vec<Entry>) = batch.drain(..).unzip();
        let inspections = volume.inspect(&entries)?;
        for ((path, entry), inspection) in paths.iter().zip(&entries).zip(&inspections) {
            self.entry(path, entry, inspection)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &str, entry: &Entry, inspection: &Inspection) -> io::Result<()> {
        if !inspection.is_consistent() {
            let problems: Vec<String> = inspection
                .problems
                .iter()
                .map(ToString::to_string)
                .collect();
            return self.wrong_with(path, &problems);
        }
        self.right += 1;
        if self.quiet {
            return Ok(());
        }
        let mark = if entry.is_dir() { "/" } else { "" };
        let (clusters, pieces) = (inspection.chain_clusters, inspection.pieces);
        let bytes = inspection.entry_bytes;
        let path = printable(path);
        writeln!(
            self.out,
            "ok     {path}{mark}: {bytes} bytes, {clusters} clusters in {pieces} pieces"
        )
    }

    fn wrong_with(&mut self, path: &str, problems: &[String]) -> io::Result<()> {
        self.wrong += 1;
        writeln!(
            self.out,
            "WRONG  {}: {}",
            printable(path),
            problems.join("; ")
        )
    }

    fn end(mut self) -> anyhow::Result<ExitCode> {
        let Self { wrong, right, .. } = self;
        if !self.quiet {
            writeln!(
                self.out,
                "{right} files and folders are complete and consistent, {wrong} not"
            )?;
        }
        Ok(if wrong == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

fn summary(out: &mut impl Write, volume: &Volume<ImageFile>) -> anyhow::Result<()> {
    let geometry = volume.geometry();
    let (serial, label) = (volume.serial(), volume.label()?);
    let marks = volume.dirty_marks()?;
    let say = |set: bool| if set { "set" } else { "clear" };
    writeln!(
        out,
        "volume {} {:?}, serial {:04X}-{:04X}, {} bytes at byte {}",
        geometry.fat_type,
        label.map(|label| printable(&label)).unwrap_or_default(),
        serial >> 16,
        serial & 0xFFFF,
        geometry.volume_bytes,
        geometry.partition_offset_bytes,
    )?;
    writeln!(
        out,
        "layout {} clusters of {} bytes, sectors of {} bytes, {} allocation tables",
        geometry.clusters, geometry.cluster_bytes, geometry.sector_bytes, geometry.fat_copies
    )?;
    writeln!(out, "free   {} bytes", volume.free_bytes()?)?;
    writeln!(
        out,
        "marks  boot sector {}, allocation table {}, read or write error {}",
        say(marks.boot_sector),
        say(marks.fat_entry),
        say(marks.io_error)
    )?;
    Ok(())
}
