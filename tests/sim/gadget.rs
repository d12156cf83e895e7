//! What the daemon asks the kernel about its drives, as `medium::gadget` does: each change is read
//! back, so that it may fail and have happened. Used by `world`.

use std::io;

use medium::Bus;
use medium::gadget::Ejection;

use super::process::{Of, Process};
use super::usb::{Medium, Usb};

/// The gadget, for that process.
pub struct Gadget {
    usb: Usb,
    process: Process,
}

impl Gadget {
    pub fn new(usb: Usb, process: Process) -> Self {
        Self { usb, process }
    }

    pub fn is_inserted(&self, lun: usize) -> io::Result<bool> {
        self.look(|usb| usb.is_inserted(lun))
    }

    pub fn is_bound(&self) -> io::Result<bool> {
        self.look(Usb::is_bound)
    }

    pub fn bus(&self) -> io::Result<Bus> {
        self.process.look(Of::Bus, || Ok(self.usb.bus()))
    }

    /// Nothing happens if it is in.
    pub fn insert(&self, lun: usize, medium: Medium) -> io::Result<()> {
        if self.is_inserted(lun)? {
            return Ok(());
        }
        self.change(|usb| usb.insert(lun, medium))?;
        self.is_inserted(lun).map(drop)
    }

    /// EBUSY says that the host needs it.
    pub fn eject(&self, lun: usize) -> io::Result<Ejection> {
        match self.change(|usb| usb.eject(lun)) {
            Ok(Ejection::Granted) => self.is_inserted(lun).map(|_| Ejection::Granted),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(Ejection::Busy),
            answer => answer,
        }
    }

    pub fn force_eject(&self, lun: usize) -> io::Result<()> {
        self.change(|usb| usb.force_eject(lun))
    }

    pub fn bind(&self) -> io::Result<()> {
        if self.is_bound()? {
            return Ok(());
        }
        self.change(Usb::bind)
    }

    pub fn unbind(&self) -> io::Result<()> {
        self.change(Usb::unbind)
    }

    fn look<T>(&self, work: impl FnOnce(&Usb) -> T) -> io::Result<T> {
        self.process.look(Of::Drive, || Ok(work(&self.usb)))
    }

    fn change<T>(&self, work: impl FnOnce(&Usb) -> T) -> io::Result<T> {
        self.process.change(Of::Drive, || Ok(work(&self.usb)))
    }
}
