//! What happens to the cable: reset, unplugging, suspend. Used by scenarios.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Doing;
use crate::{Failure, Result, report, sysfs, wait};

/// Where the kernel lists devices, hubs and interfaces.
const DEVICES: &str = "/sys/bus/usb/devices";

/// Longer than an enumeration takes in an emulated machine that is short of time.
const ENUMERATION_LIMIT: Duration = Duration::from_secs(60);

mod request {
    #![allow(missing_docs, reason = "the macro takes no documentation")]
    nix::ioctl_none!(reset, b'U', 20);
}

/// The stick as the host's USB core sees it: the only device that is no root hub.
#[derive(Debug, Clone)]
pub struct UsbDevice {
    folder: PathBuf,
    /// The port of the hub, which stays when the device goes.
    port: PathBuf,
}

impl UsbDevice {
    /// The device that is there now.
    pub fn present() -> Option<Self> {
        let name = sysfs::names(DEVICES)
            .into_iter()
            .find(|name| is_device(name))?;
        let folder = Path::new(DEVICES).join(name);
        let port = folder.join("port").canonicalize().ok()?;
        Some(Self { folder, port })
    }

    /// Waits until the stick has been enumerated.
    ///
    /// # Errors
    /// It never is.
    pub fn wait() -> Result<Self> {
        let found = || Ok(Self::present());
        Ok(wait::until("a USB device", ENUMERATION_LIMIT, found)?.0)
    }

    /// Resets the device, as a host does after a transfer that failed (`USBDEVFS_RESET`).
    ///
    /// # Errors
    /// The device is gone, or did not come back.
    pub fn reset(&self) -> Result<()> {
        let number = |name| -> Result<u32> {
            let text = sysfs::read(self.folder.join(name))?;
            text.parse()
                .map_err(|_| Failure::Wrong(format!("{name} is {text:?}")))
        };
        let (bus, device) = (number("busnum")?, number("devnum")?);
        let node = format!("/dev/bus/usb/{bus:03}/{device:03}");
        let file = File::options().write(true).open(&node).doing(&node)?;
        // SAFETY: the request takes no argument, and the descriptor is open.
        unsafe { request::reset(file.as_raw_fd()) }.doing("resetting the USB device")?;
        report::step("USB reset");
        Ok(())
    }

    /// Pulls the cable: the port loses its power, so both sides see a disconnection. What the host
    /// had not written is lost, as with a real cable.
    ///
    /// # Errors
    /// The kernel refuses, or the device stays.
    pub fn pull(&self) -> Result<()> {
        sysfs::write(self.port.join("disable"), "1")?;
        wait::until_true("the device to be gone", ENUMERATION_LIMIT, || {
            Self::present().is_none()
        })?;
        report::step("cable pulled");
        Ok(())
    }

    /// Plugs it in again.
    ///
    /// # Errors
    /// It is not enumerated.
    pub fn plug(&self) -> Result<Self> {
        sysfs::write(self.port.join("disable"), "0")?;
        let device = Self::wait()?;
        report::step("cable plugged in");
        Ok(device)
    }

    /// Lets the kernel suspend the device as soon as it is idle, and waits until it does.
    ///
    /// # Errors
    /// It stays awake (an open or polled block device keeps it so).
    pub fn suspend(&self) -> Result<()> {
        let status = self.folder.join("power/runtime_status");
        wait::until("the device to be suspended", ENUMERATION_LIMIT, || {
            // At each look: a disk whose probing ends late sets its own delay, and LUN 1 may appear
            // after LUN 0. Either would keep the device awake.
            self.allow_suspend()?;
            Ok(sysfs::read(&status)
                .is_ok_and(|status| status == "suspended")
                .then_some(()))
        })?;
        report::step("device suspended");
        Ok(())
    }

    fn allow_suspend(&self) -> Result<()> {
        for folder in scsi_devices() {
            sysfs::write(folder.join("power/autosuspend_delay_ms"), "0").ok();
            sysfs::write(folder.join("power/control"), "auto")?;
        }
        sysfs::write(self.folder.join("power/autosuspend_delay_ms"), "0")?;
        sysfs::write(self.folder.join("power/control"), "auto")
    }

    /// Wakes it up and keeps it awake.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn resume(&self) -> Result<()> {
        sysfs::write(self.folder.join("power/control"), "on")?;
        report::step("device resumed");
        Ok(())
    }

    /// "Safely remove" as a file manager's power-off does: the host stops the device for good.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn power_off(&self) -> Result<()> {
        sysfs::write(self.folder.join("remove"), "1")?;
        report::step("device powered off by the host");
        Ok(())
    }
}

/// `1-1`, but neither a root hub (`usb1`) nor an interface (`1-1:1.0`).
fn is_device(name: &str) -> bool {
    name.contains('-') && !name.contains(':')
}

/// Folders of the SCSI devices, which have power settings of their own.
fn scsi_devices() -> Vec<PathBuf> {
    let folders = sysfs::paths("/sys/bus/scsi/devices");
    let is_unit = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(|first: char| first.is_ascii_digit())
    };
    folders.into_iter().filter(is_unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hubs_and_interfaces_are_no_devices() {
        assert!(is_device("1-1") && is_device("2-1.4"));
        assert!(!is_device("usb1") && !is_device("1-0:1.0"));
    }
}
