//! A plain mass-storage gadget, made by hand: the device's side where the daemon is not what a
//! scenario is about (the lab's own tests). Written from the kernel's
//! Documentation/ABI/testing/configfs-usb-gadget-mass-storage and -configfs.rst, and independent of
//! the code under test.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::error::Doing;
use crate::{Failure, Result, report, sysfs};

/// The configfs tree of all gadgets.
pub const GADGETS: &str = "/sys/kernel/config/usb_gadget";

/// The device controller of `dummy_hcd`.
pub const UDC: &str = "dummy_udc.0";

/// Units: 0 writable, the others read-only.
pub const LUNS: u8 = 3;

/// A gadget with three removable units, all empty at first.
#[derive(Debug)]
pub struct PlainGadget {
    folder: PathBuf,
}

impl PlainGadget {
    /// Makes the gadget; it is not bound.
    ///
    /// # Errors
    /// The kernel refuses: a module is missing.
    pub fn new() -> Result<Self> {
        Self::named("plain")
    }

    /// As [`PlainGadget::new`], under a name in configfs that may be another program's.
    ///
    /// # Errors
    /// As there.
    pub fn named(name: &str) -> Result<Self> {
        let folder = Path::new(GADGETS).join(name);
        let gadget = Self { folder };
        gadget.make("")?;
        // The Linux Foundation's ids for a gadget that is no product.
        gadget.set("idVendor", "0x1d6b")?;
        gadget.set("idProduct", "0x0104")?;
        gadget.make("strings/0x409")?;
        gadget.set("strings/0x409/product", "plain gadget")?;
        gadget.set("strings/0x409/serialnumber", "0001")?;
        gadget.make("functions/mass_storage.0")?;
        gadget.set("functions/mass_storage.0/stall", "0")?;
        for lun in 0..LUNS {
            gadget.make(&lun_folder(lun))?;
            let read_only = if lun == 0 { "0" } else { "1" };
            gadget.set(&format!("{}/removable", lun_folder(lun)), "1")?;
            gadget.set(&format!("{}/ro", lun_folder(lun)), read_only)?;
        }
        gadget.make("configs/c.1")?;
        let function = gadget.folder.join("functions/mass_storage.0");
        symlink(function, gadget.folder.join("configs/c.1/mass_storage.0"))
            .doing("adding the function to the configuration")?;
        Ok(gadget)
    }

    /// A gadget that is connected to the host and has this image in LUN 0.
    ///
    /// # Errors
    /// As [`PlainGadget::new`]; the kernel cannot open the image.
    pub fn with_stick(image: &Path) -> Result<Self> {
        let gadget = Self::new()?;
        gadget.insert(0, image)?;
        gadget.bind()?;
        Ok(gadget)
    }

    /// Connects it to the host.
    ///
    /// # Errors
    /// The controller is missing or taken.
    pub fn bind(&self) -> Result<()> {
        self.set("UDC", UDC)
    }

    /// Disconnects it.
    ///
    /// # Errors
    /// It was not bound.
    pub fn unbind(&self) -> Result<()> {
        self.set("UDC", "")
    }

    /// Puts a medium into a unit.
    ///
    /// # Errors
    /// The kernel cannot open the image.
    pub fn insert(&self, lun: u8, image: &Path) -> Result<()> {
        self.set(
            &format!("{}/file", lun_folder(lun)),
            &image.to_string_lossy(),
        )?;
        report::step(format!("device: medium put into LUN {lun}"));
        Ok(())
    }

    /// Tries to take the medium away; whether the host let go of it.
    ///
    /// # Errors
    /// Anything but the host's lock is in the way.
    pub fn eject(&self, lun: u8) -> Result<bool> {
        let granted = polite_eject(&self.folder.join(lun_folder(lun)))?;
        let said = if granted { "granted" } else { "refused" };
        report::step(format!("device: polite eject of LUN {lun} {said}"));
        Ok(granted)
    }

    /// The image in a unit, empty for none.
    ///
    /// # Errors
    /// The gadget is gone.
    pub fn file(&self, lun: u8) -> Result<String> {
        sysfs::read(self.folder.join(lun_folder(lun)).join("file"))
    }

    fn make(&self, name: &str) -> Result<()> {
        let folder = self.folder.join(name);
        // The kernel makes `lun.0` itself.
        if folder.is_dir() {
            return Ok(());
        }
        fs::create_dir(&folder).doing(format!("making {}", folder.display()))
    }

    fn set(&self, name: &str, value: &str) -> Result<()> {
        sysfs::write(self.folder.join(name), value)
    }
}

fn lun_folder(lun: u8) -> String {
    format!("functions/mass_storage.0/lun.{lun}")
}

/// Asks for the medium of the unit in this folder of configfs; whether the host let go of it.
///
/// # Errors
/// Anything but the host's lock is in the way.
pub fn polite_eject(lun: &Path) -> Result<bool> {
    match sysfs::write(lun.join("file"), "") {
        Ok(()) => Ok(true),
        Err(Failure::Io { source, .. }) if source.raw_os_error() == Some(libc::EBUSY) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The state of the bus as the device's controller tells it.
///
/// # Errors
/// There is no such controller.
pub fn bus_state() -> Result<String> {
    sysfs::read(Path::new("/sys/class/udc").join(UDC).join("state"))
}

/// Whether the host has suspended the device, as the composite framework was told (attribute
/// `suspended` of the gadget's device); `state` of the controller does not show it everywhere.
///
/// # Errors
/// No gadget is bound.
pub fn is_suspended() -> Result<bool> {
    let gadget = sysfs::paths("/sys/bus/gadget/devices").into_iter().next();
    let gadget = gadget.ok_or_else(|| Failure::Wrong("no gadget is bound".into()))?;
    Ok(sysfs::read(gadget.join("suspended"))? == "1")
}
