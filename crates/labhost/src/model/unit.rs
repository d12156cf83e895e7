//! One logical unit as a host has it: whether a medium is there, and its volume when it is mounted.
//! Used by the models.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::volume::Volume;
use crate::lun::Lun;
use crate::scsi::{Scsi, Sense};
use crate::{Failure, Result, report};

/// Both hosts ask an idle or empty drive about once a second (sources in docs/LAB.md).
const POLL_MS: u64 = 1000;

/// What a poll found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poll {
    /// It is not time yet, or nothing is new.
    Nothing,
    /// A medium is there that was not.
    Came,
    /// The medium is gone.
    Went,
}

/// A unit.
pub struct Unit {
    number: u8,
    /// Its SCSI device.
    pub scsi: Rc<Scsi>,
    present: bool,
    polled: Option<Instant>,
    /// Unit attentions that polls were answered with: another medium, or the same one again.
    pub attentions: u32,
    /// The volume, while it is mounted.
    pub volume: Option<Volume<Rc<Scsi>>>,
}

impl Unit {
    /// Waits until the unit is there.
    ///
    /// # Errors
    /// It never is.
    pub fn wait(number: u8) -> Result<Self> {
        Ok(Self {
            number,
            scsi: Rc::new(Lun::wait(number)?.scsi()?),
            present: false,
            polled: None,
            attentions: 0,
            volume: None,
        })
    }

    /// Asks with TEST UNIT READY when it is time. A unit attention says nothing to these hosts:
    /// only an absence that they saw makes them read a medium again.
    ///
    /// # Errors
    /// The device is gone.
    pub fn poll(&mut self) -> Result<Poll> {
        let due = self
            .polled
            .is_none_or(|at| at.elapsed() >= Duration::from_millis(POLL_MS));
        if !due {
            return Ok(Poll::Nothing);
        }
        self.polled = Some(Instant::now());
        let mut sense = self.scsi.test_unit_ready()?;
        // Told once, and asked again at once, as hosts' drivers do.
        if sense.is_some_and(|sense| sense.is_unit_attention()) {
            self.attentions += 1;
            sense = self.scsi.test_unit_ready()?;
        }
        let found = match (self.present, sense) {
            (false, None) => Poll::Came,
            (true, Some(sense)) if sense.is_absent() => Poll::Went,
            _ => Poll::Nothing,
        };
        match found {
            Poll::Came => self.present = true,
            Poll::Went => self.forget(),
            Poll::Nothing => return Ok(found),
        }
        report::step(format!("LUN {}: a medium {found:?}", self.number).to_lowercase());
        Ok(found)
    }

    /// The host itself took the medium out.
    pub fn forget(&mut self) {
        self.present = false;
        self.volume = None;
    }

    /// Reads the volume's start.
    ///
    /// # Errors
    /// There is no volume, or the device refuses even after its unit attention was told.
    pub fn mount(&mut self) -> Result<()> {
        // The first command after a change is answered with a unit attention, once.
        let volume = match Volume::open(&self.scsi) {
            Err(Failure::Scsi { sense, .. }) if Sense::is_unit_attention(&sense) => {
                Volume::open(&self.scsi)
            }
            result => result,
        };
        self.volume = Some(volume?);
        Ok(())
    }

    /// The mounted volume.
    ///
    /// # Errors
    /// There is none.
    pub fn mounted(&mut self) -> Result<&mut Volume<Rc<Scsi>>> {
        let number = self.number;
        let volume = self.volume.as_mut();
        volume.ok_or_else(|| Failure::Wrong(format!("LUN {number} has no volume to work on")))
    }
}
