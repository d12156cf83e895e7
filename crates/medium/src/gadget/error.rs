//! What can go wrong between the program and the kernel's gadget. Each text says what to load,
//! enable or run; people read it in the log and on the terminal.

use std::io;
use std::path::{Path, PathBuf};

/// Why the gadget, or one of its LUNs, could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GadgetError {
    /// The kernel has no configfs.
    #[error("this kernel offers no configfs at {}; load it with `modprobe configfs`, or use a \
        kernel that has CONFIG_CONFIGFS_FS", .0.display())]
    ConfigfsMissing(PathBuf),
    /// There is no configfs mounted there.
    #[error("configfs is not mounted at {path}; run `mount -t configfs none {path}` as root",
        path = .0.display())]
    ConfigfsNotMounted(PathBuf),
    /// configfs has no place for gadgets.
    #[error("the kernel's gadget support is not loaded ({} is missing); run `modprobe \
        libcomposite` as root, or add libcomposite to /etc/modules", .0.display())]
    LibcompositeMissing(PathBuf),
    /// The kernel has no mass-storage function.
    #[error(
        "the kernel has no mass-storage function; run `modprobe usb_f_mass_storage` as root, \
        or use a kernel that has CONFIG_USB_CONFIGFS_MASS_STORAGE"
    )]
    FunctionMissing,
    /// There is no USB device controller.
    #[error("there is no USB device controller in {}; on a Raspberry Pi Zero add the line \
        `dtoverlay=dwc2` to config.txt on the boot partition and restart; to try it without a \
        board run `modprobe dummy_hcd`", .0.display())]
    NoUdc(PathBuf),
    /// The controller that was asked for does not exist.
    #[error("there is no USB device controller {name}; there is: {}", list(known))]
    UdcUnknown {
        /// The name that was given.
        name: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// Somebody else has the controller, or all of them.
    #[error(
        "the USB device controller {udc} is in use by {by}; stop that (a gadget of configfs: \
        `echo > /sys/kernel/config/usb_gadget/NAME/UDC`; a module: `modprobe -r NAME`), or name \
        another controller"
    )]
    UdcBusy {
        /// The controller.
        udc: String,
        /// Its user: a gadget in configfs or a driver.
        by: String,
    },
    /// Another promptstick on this machine serves the gadget.
    #[error("another promptstick on this machine is the USB drive already; stop it first")]
    InUse,
    /// The process may not.
    #[error("permission denied at {}; the USB drive can only be set up by root: use `sudo`, or \
        the service that comes with the program", .0.display())]
    PermissionDenied(PathBuf),
    /// The gadget has no such LUN.
    #[error("the drive has no LUN {lun}; it has {count}, numbered from 0")]
    NoSuchLun {
        /// The number that was asked for.
        lun: usize,
        /// How many there are.
        count: usize,
    },
    /// Something else is in the LUN.
    #[error("LUN {lun} still holds {}; it must be empty first", held.display())]
    NotEmpty {
        /// The LUN.
        lun: usize,
        /// What it holds.
        held: PathBuf,
    },
    /// The kernel did not take the image.
    #[error("the kernel does not take {} into LUN {lun}: {source}; it must be an existing file \
        of at least 512 bytes, or a block device", path.display())]
    MediumRefused {
        /// The LUN.
        lun: usize,
        /// The image.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel could open the image of the writable LUN for reading only.
    #[error("the kernel can only read {}, so the drive would be read-only; make the file and \
        its file system writable", .0.display())]
    MediumReadOnly(PathBuf),
    /// The writable LUN is never emptied by force.
    #[error("LUN 0 is never ejected by force: the computer would lose what it has not written yet")]
    ForceRefused,
    /// The kernel has no `forced_eject` (it came with Linux 6.0).
    #[error(
        "this kernel cannot eject by force ({} is missing); Linux 6.0 and later can",
        .0.display()
    )]
    ForceUnsupported(PathBuf),
    /// An attribute does not say what was written to it.
    #[error("the kernel says {found:?} in {}, where {wanted:?} was written", path.display())]
    ReadBack {
        /// The attribute.
        path: PathBuf,
        /// What was written.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// The gadget could not be made.
    #[error("cannot set up the gadget in {}: {source}", path.display())]
    Register {
        /// The gadget's folder in configfs.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The gadget could not be removed.
    #[error("cannot remove the gadget in {}: {source}", path.display())]
    Remove {
        /// The gadget's folder in configfs.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Reading or writing an attribute failed in an unexpected way.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl GadgetError {
    /// What a failed access to `path` means: lack of permission, or anything else.
    pub(super) fn access(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::PermissionDenied(path),
            _ => Self::Io { path, source },
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
