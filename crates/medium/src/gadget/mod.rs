//! The kernel's USB mass-storage gadget: one drive with several removable media (LUNs).
//!
//! The daemon's edge to configfs and sysfs; the state machines never see it. Invariants:
//! a LUN's `file` is only changed when the host lets go (a polite eject) or, for read-only LUNs,
//! when the operator allowed force; what was written is read back; one process at a time serves
//! the gadget. A [`Gadget`] that is dropped leaves the drive as it is: the next
//! [`Gadget::start`] adopts it, and a computer that has it mounted notices nothing.
//!
//! [`Description`] is the drive as the host sees it, `controller` finds the hardware, `register`
//! makes and removes the gadget, `adopt` judges one that was found, `lun` changes media.

mod adopt;
mod attributes;
mod bus;
mod controller;
mod description;
mod error;
mod lun;
mod paths;
mod register;
mod serial;

use std::cell::RefCell;
use std::fs::File;
use std::path::{Path, PathBuf};

pub use bus::Bus;
pub use controller::choose_udc;
pub use description::{
    Description, DescriptionError, INQUIRY_CHARS, LunDescription, MAX_LUNS, MAX_POWER_MA,
    SERIAL_DIGITS, STRING_BYTES,
};
pub use error::GadgetError;
pub use lun::Ejection;
pub use paths::Paths;

use adopt::Leftover;
use attributes::Attribute;
use lun::Lun;
use register::GadgetsLock;

/// The drive, served by this process.
#[derive(Debug)]
pub struct Gadget {
    paths: Paths,
    udc: String,
    luns: usize,
    /// The controller's state as it was when we bound to it, until it is set anew.
    stale_state: RefCell<Option<File>>,
    _lock: GadgetsLock,
}

/// How a gadget came to be ours.
#[derive(Debug)]
pub enum Started {
    /// It was there, bound, with this image or nothing in LUN 0: a computer may have it mounted.
    /// The other LUNs are as they were left; nothing was written.
    Adopted(Gadget),
    /// It was made anew, or emptied: not bound, all LUNs empty.
    Fresh(Gadget),
}

/// Who may serve the drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What the gadget is to be.
struct Plan<'a> {
    description: &'a Description,
    serial: String,
    wanted: Vec<Attribute>,
}

impl<'a> Plan<'a> {
    fn new(description: &'a Description, paths: &Paths) -> Self {
        let own_serial = || serial::of_board(paths);
        let serial = description.serial.clone().unwrap_or_else(own_serial);
        Self {
            wanted: attributes::of(description, &serial),
            description,
            serial,
        }
    }

    fn leftover(&self, paths: &Paths, image: &Path) -> Result<Option<Leftover>, GadgetError> {
        adopt::read(
            &paths.gadget(),
            &self.wanted,
            self.description.luns.len(),
            image,
        )
    }

    /// In the place of whatever is left of ours.
    fn make(&self, paths: &Paths) -> Result<(), GadgetError> {
        register::remove(paths)?;
        register::register(paths, self.description, &self.serial, &self.wanted)
    }
}

impl Gadget {
    /// Adopts the gadget that a daemon of this `image` left behind, or removes whatever is left of
    /// ours and makes a new one; where this process may not, it empties one that is as described.
    /// `udc` names the controller; without it one is found ([`choose_udc`]).
    ///
    /// # Errors
    /// The kernel lacks something, the controller is not to be had, another promptstick serves
    /// the gadget, or the kernel refused. What was left of a gadget may be gone then.
    pub fn start(
        description: &Description,
        paths: &Paths,
        udc: Option<&str>,
        image: &Path,
    ) -> Result<Started, GadgetError> {
        let lock = register::acquire(paths)?;
        let plan = Plan::new(description, paths);
        let gadget = Self {
            udc: choose_udc(paths, udc)?,
            paths: paths.clone(),
            luns: description.luns.len(),
            stale_state: RefCell::new(None),
            _lock: lock,
        };
        let leftover = plan.leftover(paths, image)?;
        if leftover
            .as_ref()
            .is_some_and(|leftover| adopt::is_adoptable(leftover, &gadget.udc))
        {
            return Ok(Started::Adopted(gadget));
        }
        let as_described = leftover.is_some_and(|leftover| leftover.as_described);
        match plan.make(paths) {
            Err(GadgetError::PermissionDenied(_)) if as_described && gadget.reset()? => {}
            made => made?,
        }
        Ok(Started::Fresh(gadget))
    }

    /// Makes the gadget where there is none of this description, and gives the files by which it
    /// is served to a user, so that the process that serves it needs no rights of root. One that
    /// is there stays as it is, connected or not.
    ///
    /// # Errors
    /// As [`Gadget::start`]; a controller is not needed yet.
    pub fn prepare(
        description: &Description,
        paths: &Paths,
        owner: Owner,
    ) -> Result<(), GadgetError> {
        let _lock = register::acquire(paths)?;
        let plan = Plan::new(description, paths);
        let leftover = plan.leftover(paths, Path::new(""))?;
        if !leftover.is_some_and(|leftover| leftover.as_described) {
            plan.make(paths)?;
        }
        register::give(paths, description.luns.len(), owner)
    }

    /// Removes the gadget from configfs, whoever made it and whatever it holds: for the end of a
    /// process that was not allowed to.
    ///
    /// # Errors
    /// The kernel refused, or a promptstick serves it.
    pub fn clear(paths: &Paths) -> Result<(), GadgetError> {
        let _lock = register::acquire(paths)?;
        register::remove(paths)
    }

    /// The controller's name.
    #[must_use]
    pub fn udc(&self) -> &str {
        &self.udc
    }

    /// How many LUNs the drive has.
    #[must_use]
    pub fn luns(&self) -> usize {
        self.luns
    }

    /// Connects the drive to the bus. Nothing happens if it is.
    ///
    /// # Errors
    /// The controller is gone or in use by others, or the kernel refused.
    pub fn bind(&self) -> Result<(), GadgetError> {
        let path = self.paths.gadget().join("UDC");
        if self.is_bound()? {
            return Ok(());
        }
        // Without the controller's folder there is nothing to open and nothing to bind to.
        let state = self.bus_file()?;
        lun::write(&path, self.udc.as_bytes()).map_err(|source| {
            // The kernel says EBUSY for a controller that is gone, too.
            match choose_udc(&self.paths, Some(&self.udc)) {
                Err(error) => error,
                Ok(_) => GadgetError::access(&path, source),
            }
        })?;
        self.stale_state.replace(Some(state));
        Ok(())
    }

    /// Disconnects the drive, as pulling the plug does, but for the power. Media stay in their
    /// LUNs. Nothing happens if it is not connected.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn unbind(&self) -> Result<(), GadgetError> {
        let path = self.paths.gadget().join("UDC");
        match lun::write(&path, b"\n") {
            Err(error) if error.raw_os_error() != Some(libc::ENODEV) => {
                Err(GadgetError::access(&path, error))
            }
            _ => Ok(()),
        }
    }

    /// Whether the drive is bound to its controller.
    ///
    /// # Errors
    /// configfs cannot be read.
    pub fn is_bound(&self) -> Result<bool, GadgetError> {
        let bound = controller::bound_to(&self.paths.gadget())?;
        Ok(bound.as_deref() == Some(self.udc.as_str()))
    }

    /// What the bus does now. `Detached` while the drive is not bound, and after
    /// [`Gadget::bind`] until a host is there: the kernel goes on showing the state from before.
    ///
    /// # Errors
    /// The controller is gone, or the kernel's files cannot be read.
    pub fn bus(&self) -> Result<Bus, GadgetError> {
        if !self.is_bound()? {
            return Ok(Bus::Detached);
        }
        let mut stale = self.stale_state.borrow_mut();
        if stale.as_ref().is_some_and(|file| !bus::has_changed(file)) {
            return Ok(Bus::Detached);
        }
        *stale = None;
        bus::read(&self.udc_folder()).map_err(|error| self.explained(error))
    }

    /// A file that a poller waits on with POLLPRI. After each wake-up, read it from its start
    /// (`pread`), or it stays ready. It wakes for a reset by the host (which drops the host's lock
    /// on the media), for a configuration, and, where the controller tells, for a disconnection.
    /// It does not wake for suspension and resumption: ask [`Gadget::bus`] when that matters.
    ///
    /// # Errors
    /// sysfs cannot be read.
    pub fn bus_file(&self) -> Result<File, GadgetError> {
        bus::open_state(&self.udc_folder()).map_err(|error| self.explained(error))
    }

    /// Asks the host to let go of a LUN's medium, once and politely. An empty LUN is granted.
    ///
    /// # Errors
    /// The kernel refused for another reason than that the host needs the medium.
    pub fn eject(&self, lun: usize) -> Result<Ejection, GadgetError> {
        self.lun(lun)?.eject()
    }

    /// Takes the medium of a read-only LUN, whatever the host does with it. Only where the
    /// operator allowed that.
    ///
    /// # Errors
    /// It is LUN 0, the kernel is too old, or it refused.
    pub fn force_eject(&self, lun: usize) -> Result<(), GadgetError> {
        self.lun(lun)?.force_eject()
    }

    /// Puts an image into an empty LUN. Nothing happens if that very file is in it.
    ///
    /// # Errors
    /// Another medium is in, the kernel does not take the file, or, for LUN 0, can only read it.
    pub fn insert(&self, lun: usize, image: &Path) -> Result<(), GadgetError> {
        self.lun(lun)?.insert(image)
    }

    /// What is in a LUN, as the kernel names it: where the file is now, ` (deleted)` added when it
    /// has no name any more. The path is cut at its mount point when the process that put the file
    /// in had a namespace of its own and has ended: compare with [`Gadget::holds`].
    ///
    /// # Errors
    /// configfs cannot be read.
    pub fn inserted(&self, lun: usize) -> Result<Option<PathBuf>, GadgetError> {
        self.lun(lun)?.inserted()
    }

    /// Whether a LUN holds the file that is at `image` now.
    ///
    /// # Errors
    /// configfs cannot be read.
    pub fn holds(&self, lun: usize, image: &Path) -> Result<bool, GadgetError> {
        self.lun(lun)?.holds(image)
    }

    /// The LUN's `file` attribute.
    ///
    /// # Errors
    /// There is no such LUN.
    pub fn lun_file(&self, lun: usize) -> Result<PathBuf, GadgetError> {
        Ok(self.lun(lun)?.folder.join("file"))
    }

    /// Disconnects the drive and removes it from configfs: nothing is left. Where this process may
    /// not remove it, it stays there, disconnected and empty.
    ///
    /// # Errors
    /// The kernel refused. [`Gadget::start`] removes what is left then.
    pub fn remove(self) -> Result<(), GadgetError> {
        match register::remove(&self.paths) {
            Err(GadgetError::PermissionDenied(_)) => self.reset().map(drop),
            result => result,
        }
    }

    /// Disconnects the drive and empties it; whether the kernel let go of all media.
    fn reset(&self) -> Result<bool, GadgetError> {
        self.unbind()?;
        for lun in 0..self.luns {
            if self.eject(lun)? == Ejection::Busy {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn lun(&self, index: usize) -> Result<Lun, GadgetError> {
        if index >= self.luns {
            return Err(GadgetError::NoSuchLun {
                lun: index,
                count: self.luns,
            });
        }
        let folder = self.paths.gadget().join(attributes::lun(index));
        Ok(Lun { index, folder })
    }

    /// A controller that has gone away says more than a file that is missing.
    fn explained(&self, error: GadgetError) -> GadgetError {
        let gone = !self.udc_folder().exists();
        match choose_udc(&self.paths, Some(&self.udc)) {
            Err(reason) if gone => reason,
            _ => error,
        }
    }

    fn udc_folder(&self) -> PathBuf {
        self.paths.udc_class.join(&self.udc)
    }
}
