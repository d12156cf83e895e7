//! A host that never marks, and locks only when it is told to: its work can be caught half done. It
//! stands for whatever does less than Windows and macOS do, and for the moments in which those are
//! late.

use std::time::Duration;

use super::Host;
use super::unit::{Poll, Unit};
use crate::{Result, report};

/// The host, with LUN 0 in sight.
pub struct Careless {
    unit: Unit,
}

impl Careless {
    /// Waits for the stick, and for the medium in it.
    ///
    /// # Errors
    /// There is none.
    pub fn plug_in(limit: Duration) -> Result<Self> {
        let mut host = Self {
            unit: Unit::wait(0)?,
        };
        host.until("the drive to be ready", limit, |host| {
            Ok(host.is_there().then_some(()))
        })?;
        Ok(host)
    }

    /// Whether the medium is there, as of the host's last look.
    pub fn is_there(&self) -> bool {
        self.unit.volume.is_some()
    }

    /// How often the stick has said that the medium may be another one. It does so also after an
    /// absence that was too short for the host to see.
    pub fn changes(&self) -> u32 {
        self.unit.attentions
    }

    /// Locks the medium, or lets go of it, whatever is unfinished.
    ///
    /// # Errors
    /// The stick refuses.
    pub fn lock(&self, locked: bool) -> Result<()> {
        self.unit.scsi.prevent(locked)
    }

    /// Copies a whole file to the stick; the harness is told.
    ///
    /// # Errors
    /// The stick refuses, or is empty.
    pub fn put(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.unit.mounted()?.create_empty(path)?;
        self.unit.mounted()?.fill(path, content)?;
        report::flushed(path, content);
        Ok(())
    }

    /// Writes a file's entry with its size, and its data, but keeps the table back.
    ///
    /// # Errors
    /// As [`Careless::put`].
    pub fn put_entry_first(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.unit.mounted()?.create_empty(path)?;
        self.unit.mounted()?.fill_keeping_table(path, content)?;
        report::step(format!(
            "the entry of {path} is there, its clusters are not"
        ));
        Ok(())
    }

    /// Sends what [`Careless::put_entry_first`] kept back; the harness is told.
    ///
    /// # Errors
    /// As [`Careless::put`].
    pub fn finish(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.unit.mounted()?.send_metadata()?;
        report::step(format!("{path} is finished"));
        report::flushed(path, content);
        Ok(())
    }

    /// Reads a file; `None` where there is none, or no medium.
    ///
    /// # Errors
    /// The stick refuses; it is damaged.
    pub fn get(&mut self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(volume) = &mut self.unit.volume else {
            return Ok(None);
        };
        match volume.get(path) {
            // It has just left; the next poll notices.
            Err(error) if error.sense().is_some_and(|sense| sense.is_absent()) => Ok(None),
            result => result,
        }
    }
}

impl Host for Careless {
    fn tick(&mut self) -> Result<()> {
        if self.unit.poll()? == Poll::Came {
            self.unit.mount()?;
        }
        Ok(())
    }
}
