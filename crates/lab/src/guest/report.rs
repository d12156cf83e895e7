//! What came of a run, and how a person reads it. Used by `tests/lab`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use labhost::protocol::Line;

use super::places::Folder;
use crate::kernel::Series;

/// Lines of each log that a failure shows; the whole logs stay where they are.
const SHOWN_LINES: usize = 40;

/// How a run went.
#[derive(Debug)]
pub struct Report {
    /// What was run.
    pub scenario: String,
    /// On which kernel.
    pub series: Series,
    /// What the guest told.
    pub lines: Vec<Line>,
    /// The stick's files as they were at the end, by name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// From the start of QEMU to its end.
    pub wall: Duration,
    /// It was stopped because it took too long.
    pub late: bool,
    emulator: PathBuf,
    console: PathBuf,
    daemon: PathBuf,
}

impl Report {
    pub(super) fn new(scenario: &str, series: Series, folder: &Folder) -> Self {
        Self {
            scenario: scenario.to_owned(),
            series,
            lines: Vec::new(),
            files: BTreeMap::new(),
            wall: Duration::ZERO,
            late: false,
            emulator: folder.emulator(),
            console: folder.console(),
            daemon: folder.daemon(),
        }
    }

    /// Whether the scenario ended as it should; otherwise why not.
    ///
    /// # Errors
    /// What it said, or that it fell silent.
    pub fn verdict(&self) -> Result<(), String> {
        let verdict = self.lines.iter().rev().find_map(|line| match line {
            Line::Pass => Some(Ok(())),
            Line::Fail(text) => Some(Err(text.clone())),
            _ => None,
        });
        match verdict {
            Some(verdict) => verdict,
            None if self.late => Err("it took too long and was stopped".into()),
            None => Err("the guest ended without a verdict".into()),
        }
    }

    /// Files that the host had flushed and not touched again: path and SHA-256.
    pub fn flushed(&self) -> BTreeMap<String, String> {
        let mut flushed = BTreeMap::new();
        for line in &self.lines {
            match line {
                Line::Flushed { sha256, path } => {
                    flushed.insert(path.clone(), sha256.clone());
                }
                Line::Gone { path } => {
                    flushed.remove(path);
                }
                _ => {}
            }
        }
        flushed
    }

    /// Prompts that must have exactly one answer.
    pub fn asked(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| match line {
            Line::Asked { path } => Some(path.as_str()),
            _ => None,
        })
    }

    /// Milliseconds that the scenario measured under `name`, the last time.
    pub fn measured_ms(&self, name: &str) -> Option<u64> {
        self.lines.iter().rev().find_map(|line| match line {
            Line::Measured { name: known, ms } if known == name => Some(*ms),
            _ => None,
        })
    }

    /// Kibibytes that the scenario reported under `name`, the last time.
    pub fn memory_kib(&self, name: &str) -> Option<u64> {
        self.lines.iter().rev().find_map(|line| match line {
            Line::Memory { name: known, kib } if known == name => Some(*kib),
            _ => None,
        })
    }

    /// The daemon's log: its own line's, or what came of it by the protocol.
    pub fn daemon_log(&self) -> String {
        if self.daemon.is_file() {
            return read(&self.daemon);
        }
        let texts = self.lines.iter().filter_map(|line| match line {
            Line::Log(text) => Some(format!("{text}\n")),
            _ => None,
        });
        texts.collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scenario, series) = (&self.scenario, self.series.name());
        writeln!(
            out,
            "{scenario} on {series}, {:.1} s",
            self.wall.as_secs_f64()
        )?;
        for line in self
            .lines
            .iter()
            .filter(|line| !matches!(line, Line::Log(_)))
        {
            writeln!(out, "  {line}")?;
        }
        tail(out, "QEMU", &self.emulator, &read(&self.emulator))?;
        tail(out, "console", &self.console, &read(&self.console))?;
        tail(out, "daemon", &self.daemon, &self.daemon_log())
    }
}

fn tail(out: &mut fmt::Formatter<'_>, name: &str, path: &Path, text: &str) -> fmt::Result {
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    writeln!(
        out,
        "{name}, the last {} lines of {}:",
        shown.len(),
        path.display()
    )?;
    shown.iter().try_for_each(|line| writeln!(out, "  {line}"))
}

fn read(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: Vec<Line>) -> Report {
        Report {
            scenario: "x".into(),
            series: Series::V6_1,
            lines,
            files: BTreeMap::new(),
            wall: Duration::ZERO,
            late: false,
            emulator: PathBuf::from("/nowhere/qemu.log"),
            console: PathBuf::from("/nowhere/console.log"),
            daemon: PathBuf::from("/nowhere/daemon.log"),
        }
    }

    #[test]
    fn silence_is_a_failure() {
        assert!(report(vec![Line::Exported]).verdict().is_err());
        assert!(report(vec![Line::Pass]).verdict().is_ok());
        let failed = report(vec![Line::Fail("why".into())]);
        assert_eq!(failed.verdict(), Err("why".into()));
        assert!(failed.to_string().contains("/nowhere/console.log"));
    }

    #[test]
    fn a_promise_ends_when_the_host_deletes_the_file() {
        let flushed = |path: &str, sha256: &str| Line::Flushed {
            sha256: sha256.into(),
            path: path.into(),
        };
        let gone = Line::Gone { path: "a".into() };
        let report = report(vec![
            flushed("a", "1"),
            flushed("b", "2"),
            gone,
            flushed("b", "3"),
        ]);
        let expected = BTreeMap::from([("b".to_owned(), "3".to_owned())]);
        assert_eq!(report.flushed(), expected);
    }
}
