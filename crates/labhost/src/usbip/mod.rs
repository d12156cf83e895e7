//! A cable that can be pulled: USB/IP within one kernel. The gadget is bound to `usbip-vudc`, whose
//! other end is a socket; `vhci_hcd` on the host's side has the socket's peer. Unlike `dummy_hcd`,
//! both ends see that the peer is gone. Used by scenarios.
//!
//! Attributes as in the kernel's `drivers/usb/usbip/vudc_sysfs.c` and `vhci_sysfs.c`.

pub mod remote;

use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::error::Doing;
use crate::modules::{self, Modules};
use crate::usb::UsbDevice;
use crate::{Result, report, sysfs, wait};

/// The controller of the device's side.
pub const UDC: &str = "usbip-vudc.0";

const DEVICE_SOCKET: &str = "/sys/devices/platform/usbip-vudc.0/usbip_sockfd";
const DEVICE_STATUS: &str = "/sys/devices/platform/usbip-vudc.0/usbip_status";
const HOST_ATTACH: &str = "/sys/devices/platform/vhci_hcd.0/attach";
const HOST_DETACH: &str = "/sys/devices/platform/vhci_hcd.0/detach";

/// `SDEV_ST_AVAILABLE` of `drivers/usb/usbip/usbip_common.h`: the device's end takes a socket.
const AVAILABLE: &str = "1";

/// The first port of the host's hub, any device number (bus 1, device 2), `USB_SPEED_HIGH`.
const HOST_PORT: &str = "0";
const DEVICE_ID: u32 = 0x0001_0002;
const HIGH_SPEED: &str = "3";

/// Longer than either end takes to notice the other.
const LIMIT: Duration = Duration::from_secs(60);

/// Several times what an enumeration takes on a busy machine.
const ENUMERATED_LIMIT: Duration = Duration::from_secs(20);

/// A cable that is plugged in at both ends.
#[derive(Debug)]
pub struct Cable {
    ends: (UnixStream, UnixStream),
}

/// Loads what both ends need.
///
/// # Errors
/// The kernel has no USB/IP.
pub fn load() -> Result<()> {
    Modules::from_list()?.load_all(&modules::USBIP)
}

impl Cable {
    /// Connects the gadget, which is bound to [`UDC`], with the host, and waits until the host has
    /// enumerated it. A kernel whose last connection broke may send the end of that through the
    /// new one, which the host's side then drops ("cannot find a urb"): plugged in again, as a
    /// person would.
    ///
    /// # Errors
    /// One end does not take it.
    pub fn plug() -> Result<Self> {
        const TRIES: usize = 4;
        for _ in 1..TRIES {
            let cable = Self::connect()?;
            let is_there = || UsbDevice::present().is_some();
            if wait::until_true("a USB device", ENUMERATED_LIMIT, is_there).is_ok() {
                report::step("cable plugged in");
                return Ok(cable);
            }
            report::step("the kernel's USB/IP dropped the connection");
        }
        let cable = Self::connect()?;
        UsbDevice::wait()?;
        Ok(cable)
    }

    fn connect() -> Result<Self> {
        let free = || sysfs::read(DEVICE_STATUS).is_ok_and(|status| status == AVAILABLE);
        wait::until_true("the device's end of the cable to be free", LIMIT, free)?;
        let ends = UnixStream::pair().doing("making a cable")?;
        sysfs::write(DEVICE_SOCKET, &ends.0.as_raw_fd().to_string())?;
        let host = ends.1.as_raw_fd();
        let attach = format!("{HOST_PORT} {host} {DEVICE_ID} {HIGH_SPEED}");
        sysfs::write(HOST_ATTACH, &attach)?;
        Ok(Self { ends })
    }

    /// Pulls it, and waits until the host has noticed.
    ///
    /// # Errors
    /// It never does.
    pub fn pull(self) -> Result<()> {
        for end in [&self.ends.0, &self.ends.1] {
            end.shutdown(Shutdown::Both).doing("pulling the cable")?;
        }
        let gone = || UsbDevice::present().is_none();
        wait::until_true("the host to notice", LIMIT, gone)?;
        report::step("cable pulled");
        Ok(())
    }
}
