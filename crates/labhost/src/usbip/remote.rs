//! A cable between two machines: the gadget's kernel and the host's each have one end of a TCP
//! connection. Each side passes its socket to its kernel, as the tools of USB/IP do; what they say
//! to each other before that is left out, since both ends are ours. Used by scenarios of two guests.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::{
    AVAILABLE, DEVICE_ID, DEVICE_SOCKET, DEVICE_STATUS, HIGH_SPEED, HOST_ATTACH, HOST_DETACH,
    HOST_PORT, LIMIT,
};
use crate::error::Doing;
use crate::modules::Modules;
use crate::usb::UsbDevice;
use crate::{Result, network, report, sysfs, wait};

/// The port of USB/IP (IANA).
const PORT: u16 = 3240;

/// Longer than a host takes to boot and connect, on a machine that is shared.
const CONNECTED_LIMIT: Duration = Duration::from_secs(20 * 60);

/// The gadget's end.
pub struct Socket {
    listener: TcpListener,
}

impl Socket {
    /// Loads the controller that has its cable in a network; from now on a host may connect.
    ///
    /// # Errors
    /// The kernel has no USB/IP, or the guest no network.
    pub fn open() -> Result<Self> {
        Modules::from_list()?.load("usbip_vudc")?;
        network::start()?;
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).doing("listening")?;
        Ok(Self { listener })
    }

    /// Waits for a host, and gives it the gadget, which is bound.
    ///
    /// # Errors
    /// None came, or the kernel does not take it.
    pub fn accept(&self) -> Result<()> {
        let what = "waiting for a host";
        self.listener.set_nonblocking(true).doing(what)?;
        let come = || Ok(self.listener.accept().ok());
        let ((stream, _), _) = wait::until("a host", CONNECTED_LIMIT, come)?;
        stream.set_nonblocking(false).doing(what)?;
        stream.set_nodelay(true).doing(what)?;
        sysfs::write(DEVICE_SOCKET, &stream.as_raw_fd().to_string())?;
        report::step("a host has plugged the cable in");
        Ok(())
    }

    /// Waits until the host has gone.
    ///
    /// # Errors
    /// It stays.
    pub fn wait_closed(&self) -> Result<()> {
        let free = || sysfs::read(DEVICE_STATUS).is_ok_and(|status| status == AVAILABLE);
        wait::until_true("the host to go", CONNECTED_LIMIT, free)?;
        report::step("the host has pulled the cable");
        Ok(())
    }
}

/// The host's end.
pub struct Plug(());

impl Plug {
    /// Connects to the board, which listens on this port of the machine that runs both guests, and
    /// waits until the host's kernel has found the device.
    ///
    /// # Errors
    /// It finds none.
    pub fn insert(port: u16) -> Result<Self> {
        Modules::from_list()?.load("vhci_hcd")?;
        network::start()?;
        let connect = || Ok(TcpStream::connect((network::OUTSIDE, port)).ok());
        let (stream, _) = wait::until("the board", LIMIT, connect)?;
        stream
            .set_nodelay(true)
            .doing("setting up the connection")?;
        let socket = stream.as_raw_fd();
        let attach = format!("{HOST_PORT} {socket} {DEVICE_ID} {HIGH_SPEED}");
        sysfs::write(HOST_ATTACH, &attach)?;
        UsbDevice::wait()?;
        report::step("cable plugged in");
        Ok(Self(()))
    }

    /// Pulls it out.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn pull(self) -> Result<()> {
        sysfs::write(HOST_DETACH, HOST_PORT)?;
        report::step("cable pulled");
        Ok(())
    }
}
