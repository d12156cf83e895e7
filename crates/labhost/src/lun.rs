//! The logical units of the stick as the host's kernel knows them. Used by scenarios, the models
//! and the desktop's polling.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Doing;
use crate::scsi::Scsi;
use crate::{Failure, Result, report, sysfs, wait};

/// Where the kernel lists SCSI devices, as `HOST:CHANNEL:TARGET:LUN`.
const DEVICES: &str = "/sys/bus/scsi/devices";

/// Longer than enumeration and scan take in an emulated machine that is short of time.
const SCAN_LIMIT: Duration = Duration::from_secs(60);

/// A logical unit that the host's kernel has found.
#[derive(Debug, Clone)]
pub struct Lun {
    /// Its number on the stick: 0 PROMPTSTICK, 1 ANSWERS, 2 the spare.
    pub number: u8,
    folder: PathBuf,
}

impl Lun {
    /// Waits until the unit has been found (which says nothing about a medium in it).
    ///
    /// # Errors
    /// It never is.
    pub fn wait(number: u8) -> Result<Self> {
        let what = format!("LUN {number}");
        Ok(wait::until(&what, SCAN_LIMIT, || Ok(Self::present(number)))?.0)
    }

    /// The unit, where it is there now.
    pub fn present(number: u8) -> Option<Self> {
        let name = sysfs::names(DEVICES)
            .into_iter()
            .find(|name| lun_of(name) == Some(number))?;
        let folder = Path::new(DEVICES).join(name);
        Some(Self { number, folder })
    }

    /// Waits for its block device (`/dev/sdX`).
    ///
    /// # Errors
    /// There is none: `sd_mod` is not loaded, or the unit is gone.
    pub fn block(&self) -> Result<PathBuf> {
        self.child("block")
    }

    /// Waits for the first partition of its medium (`/dev/sdX1`).
    ///
    /// # Errors
    /// There is none: the medium has no partition table, or was not looked at.
    pub fn partition(&self) -> Result<PathBuf> {
        let mut name = self.block()?.into_os_string();
        name.push("1");
        let node = PathBuf::from(name);
        let what = format!("{}", node.display());
        wait::until_true(&what, SCAN_LIMIT, || node.exists())?;
        Ok(node)
    }

    /// Waits for its raw SCSI device (`/dev/sgN`) and opens it.
    ///
    /// # Errors
    /// There is none: `sg` is not loaded, or the unit is gone.
    pub fn scsi(&self) -> Result<Scsi> {
        Scsi::open(&self.child("scsi_generic")?)
    }

    fn child(&self, kind: &str) -> Result<PathBuf> {
        let what = format!("the {kind} device of LUN {}", self.number);
        let (node, _) = wait::until(&what, SCAN_LIMIT, || {
            let name = sysfs::names(self.folder.join(kind)).into_iter().next();
            let node = name.map(|name| Path::new("/dev").join(name));
            Ok(node.filter(|node| node.exists()))
        })?;
        Ok(node)
    }

    /// Bytes of the medium as the host's kernel last saw it, 0 for none, or for a disk that is only
    /// just being made or taken away.
    ///
    /// # Errors
    /// The unit is gone.
    pub fn medium_bytes(&self) -> Result<u64> {
        /// The attribute counts in these whatever the unit's blocks are.
        const SECTOR_BYTES: u64 = 512;
        let Ok(text) = sysfs::read(self.attribute("size")?) else {
            return Ok(0);
        };
        let sectors: u64 = text
            .parse()
            .map_err(|_| Failure::Wrong(format!("a block device's size is {text:?}")))?;
        Ok(sectors * SECTOR_BYTES)
    }

    /// Whether the host's kernel knows of a medium; false also where the unit is gone. Does not
    /// wait, and does not look at the device itself.
    pub fn sees_medium(number: u8) -> bool {
        let Some(lun) = Self::present(number) else {
            return false;
        };
        let block = sysfs::names(lun.folder.join("block")).into_iter().next();
        let size = block.map(|name| Path::new("/sys/block").join(name).join("size"));
        size.and_then(|path| sysfs::read(path).ok())
            .is_some_and(|size| size != "0")
    }

    /// A number that the host's kernel never gives to two media (attribute `diskseq` of the block
    /// device): it stays as long as the medium does.
    ///
    /// # Errors
    /// The unit is gone.
    pub fn medium_number(&self) -> Result<String> {
        sysfs::read(self.attribute("diskseq")?)
    }

    /// The path of an attribute of its block device.
    fn attribute(&self, name: &str) -> Result<PathBuf> {
        let block = self.block()?;
        let block = block.file_name().unwrap_or_default();
        Ok(Path::new("/sys/block").join(block).join(name))
    }

    /// Waits until the host's kernel has noticed a medium. On a host that does not poll, something
    /// must open the device first ([`Lun::touch`]).
    ///
    /// # Errors
    /// It never does.
    pub fn wait_medium(&self, limit: Duration) -> Result<Duration> {
        let what = format!("a medium in LUN {}", self.number);
        let looked = || Ok((self.medium_bytes()? > 0).then_some(()));
        let ((), took) = wait::until(&what, limit, looked)?;
        report::step(format!("{what} after {} ms", took.as_millis()));
        Ok(took)
    }

    /// Opens the block device for a moment, as a prober does; whether there was a medium.
    ///
    /// # Errors
    /// The unit is gone.
    pub fn touch(&self) -> Result<bool> {
        let block = self.block()?;
        let what = format!("opening {}", block.display());
        let look = || match File::open(&block) {
            Ok(_) => Ok(Some(true)),
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOMEDIUM) => Ok(Some(false)),
                // The node is there a moment before the disk can be opened.
                Some(libc::ENXIO) => Ok(None),
                _ => Err(error).doing(&what),
            },
        };
        Ok(wait::until(&what, SCAN_LIMIT, look)?.0)
    }

    /// Ejects the medium as a desktop's button does.
    ///
    /// # Errors
    /// The device refuses.
    pub fn eject(&self) -> Result<()> {
        self.scsi()?.eject()?;
        report::step(format!("LUN {} ejected by the host", self.number));
        Ok(())
    }
}

/// The number after the last colon of a device's name; targets and hosts have other names.
fn lun_of(name: &str) -> Option<u8> {
    let mut parts = name.split(':');
    let lun = parts.nth(3)?;
    lun.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_units_have_a_number() {
        assert_eq!(lun_of("0:0:0:2"), Some(2));
        assert_eq!(lun_of("target0:0:0"), None);
        assert_eq!(lun_of("host0"), None);
    }
}
