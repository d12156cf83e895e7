//! A macOS-like host: it holds PREVENT and the table's mark from mount to unmount, leaves a `._`
//! file beside each file, and asks empty units each second. A medium that appears is mounted and
//! read.

use std::time::Duration;

use super::Host;
use super::unit::{Poll, Unit};
use super::volume::Marks;
use crate::{Failure, Result, gadget, report};

/// An `AppleDouble` file without content of its own is as long as this on FAT.
const APPLE_DOUBLE_BYTES: usize = 4096;

/// How an `AppleDouble` file begins (RFC 1740, appendix B).
const APPLE_DOUBLE_MAGIC: [u8; 8] = [0, 5, 0x16, 7, 0, 2, 0, 0];

/// The host, with all units in sight.
pub struct MacOs {
    units: Vec<Unit>,
}

impl MacOs {
    /// Waits for the stick, and until its volume is mounted.
    ///
    /// # Errors
    /// It never is.
    pub fn plug_in(limit: Duration) -> Result<Self> {
        let units = (0..gadget::LUNS).map(Unit::wait).collect::<Result<_>>()?;
        let mut host = Self { units };
        host.until("LUN 0 to be mounted", limit, |host| {
            Ok(host.is_mounted(0).then_some(()))
        })?;
        Ok(host)
    }

    /// Whether the volume of a unit is mounted.
    pub fn is_mounted(&self, lun: u8) -> bool {
        let unit = self.units.get(usize::from(lun));
        unit.is_some_and(|unit| unit.volume.is_some())
    }

    /// Copies a file to LUN 0, and its `._` file.
    ///
    /// # Errors
    /// The stick refuses, or is empty.
    pub fn put(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let mut beside = vec![0; APPLE_DOUBLE_BYTES];
        beside[..APPLE_DOUBLE_MAGIC.len()].copy_from_slice(&APPLE_DOUBLE_MAGIC);
        let beside_name = format!("._{name}");
        for (name, content) in [(name, content), (&beside_name, &beside)] {
            let volume = self.unit(0)?.mounted()?;
            volume.create_empty(name)?;
            volume.fill(name, content)?;
            report::step(format!("wrote {name}, {} bytes", content.len()));
            report::flushed(name, content);
        }
        Ok(())
    }

    /// Names in the top folder of a unit; none where nothing is mounted.
    ///
    /// # Errors
    /// The stick refuses; it is damaged.
    pub fn names(&mut self, lun: u8) -> Result<Vec<String>> {
        match &mut self.unit(lun)?.volume {
            Some(volume) => volume.list(),
            None => Ok(Vec::new()),
        }
    }

    /// Reads a file of a unit.
    ///
    /// # Errors
    /// The stick refuses; it is damaged.
    pub fn get(&mut self, lun: u8, path: &str) -> Result<Option<Vec<u8>>> {
        match &mut self.unit(lun)?.volume {
            Some(volume) => volume.get(path),
            None => Ok(None),
        }
    }

    /// The user ejects a volume: the mark is cleared, the lock dropped, the medium ejected.
    ///
    /// # Errors
    /// The stick refuses.
    pub fn eject(&mut self, lun: u8) -> Result<()> {
        let unit = self.unit(lun)?;
        if lun == 0 {
            unit.mounted()?.mark(Marks::Table, false)?;
            unit.scsi.synchronize_cache()?;
        }
        unit.scsi.eject()?;
        unit.forget();
        report::step(format!("the host ejected LUN {lun}"));
        Ok(())
    }

    fn unit(&mut self, lun: u8) -> Result<&mut Unit> {
        let unit = self.units.get_mut(usize::from(lun));
        unit.ok_or_else(|| Failure::Wrong(format!("the stick has no LUN {lun}")))
    }
}

impl Host for MacOs {
    fn tick(&mut self) -> Result<()> {
        for (lun, unit) in self.units.iter_mut().enumerate() {
            // A medium that is mounted is locked: nobody asks whether it is still there.
            if unit.volume.is_some() || unit.poll()? != Poll::Came {
                continue;
            }
            unit.mount()?;
            unit.scsi.prevent(true)?;
            if lun == 0 {
                unit.mounted()?.mark(Marks::Table, true)?;
            }
            let names = unit.mounted()?.list()?;
            report::step(format!("the host mounts LUN {lun} and lists {names:?}"));
        }
        Ok(())
    }
}
