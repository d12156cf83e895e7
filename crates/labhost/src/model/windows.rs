//! A Windows-like host: it holds PREVENT and the dirty marks only while it has something to write,
//! lets go 1.5 s after the last change, and reads the medium again only after it saw it absent.

use std::time::{Duration, Instant};

use super::Host;
use super::unit::{Poll, Unit};
use super::volume::Marks;
use crate::{Result, report};

/// From the last change of metadata to the clean volume (FASTFAT's clean-volume timer).
pub const CLEAN_AFTER_MS: u64 = 1500;

/// The host, with LUN 0 in sight.
pub struct Windows {
    unit: Unit,
    /// When metadata was last written, while the volume is dirty.
    changed: Option<Instant>,
    names: Vec<String>,
}

impl Windows {
    /// Waits for the stick, and for the medium in it.
    ///
    /// # Errors
    /// There is none.
    pub fn plug_in(limit: Duration) -> Result<Self> {
        let mut host = Self {
            unit: Unit::wait(0)?,
            changed: None,
            names: Vec::new(),
        };
        host.until("the drive to be ready", limit, |host| {
            Ok(host.unit.volume.is_some().then_some(()))
        })?;
        Ok(host)
    }

    /// Copies a file to the stick, as the file manager does: the entry with no length, the data,
    /// the entry. The harness is told when everything has been written.
    ///
    /// # Errors
    /// The stick refuses, or is empty.
    pub fn put(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.begin_change()?;
        self.unit.mounted()?.create_empty(path)?;
        self.unit.mounted()?.fill(path, content)?;
        self.changed = Some(Instant::now());
        report::step(format!("wrote {path}, {} bytes", content.len()));
        report::flushed(path, content);
        Ok(())
    }

    /// Names in the top folder, as the host shows them: from when it last read the medium.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Reads a file as the host has it in its cache, or else from the medium.
    ///
    /// # Errors
    /// The stick refuses; it is damaged.
    pub fn get(&mut self, path: &str) -> Result<Option<Vec<u8>>> {
        match &mut self.unit.volume {
            Some(volume) => volume.get(path),
            None => Ok(None),
        }
    }

    /// Whether the volume is marked dirty, and so locked.
    pub fn is_dirty(&self) -> bool {
        self.changed.is_some()
    }

    fn begin_change(&mut self) -> Result<()> {
        if self.changed.is_none() {
            self.unit.scsi.prevent(true)?;
            self.unit.mounted()?.mark(Marks::Both, true)?;
        }
        self.changed = Some(Instant::now());
        Ok(())
    }

    fn end_change(&mut self) -> Result<()> {
        self.unit.mounted()?.mark(Marks::Both, false)?;
        self.unit.scsi.synchronize_cache()?;
        self.unit.scsi.prevent(false)?;
        self.changed = None;
        report::step("the host let go of the volume");
        Ok(())
    }
}

impl Host for Windows {
    fn tick(&mut self) -> Result<()> {
        let clean_after = Duration::from_millis(CLEAN_AFTER_MS);
        if self.changed.is_some_and(|at| at.elapsed() >= clean_after) {
            self.end_change()?;
        }
        match self.unit.poll()? {
            Poll::Came => {
                self.unit.mount()?;
                self.names = self.unit.mounted()?.list()?;
                report::step(format!("the host lists {:?}", self.names));
            }
            Poll::Went => self.names.clear(),
            Poll::Nothing => {}
        }
        Ok(())
    }
}
