//! Making the gadget, and removing it: what the `usb-gadget` library does. Everything else is
//! done on the files themselves, because the library neither empties a LUN nor reads one.

use std::fs::File;
use std::io;
use std::os::unix::fs::chown;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statfs::{FsType, statfs};
use usb_gadget::function::msd;
use usb_gadget::{Class, Config, Id, RegGadget, Strings};

use super::Owner;
use super::attributes::{self, Attribute};
use super::description::{Description, LunDescription};
use super::error::GadgetError;
use super::paths::{GADGET_NAME, Paths};

/// `CONFIGFS_MAGIC` of the kernel's `fs/configfs/mount.c`.
const CONFIGFS_MAGIC: u32 = 0x6265_6570;

/// Held for as long as this process serves the gadget: `flock(2)` on the folder of all gadgets,
/// so that a second daemon, of whatever image, does not take the drive from the first.
pub(super) type GadgetsLock = Flock<File>;

/// Checks that the kernel can do gadgets, loading what the library loads, and takes the lock.
pub(super) fn acquire(paths: &Paths) -> Result<GadgetsLock, GadgetError> {
    let configfs = &paths.configfs;
    let kind = match statfs(configfs.as_path()) {
        Err(Errno::ENOENT) => return Err(GadgetError::ConfigfsMissing(configfs.clone())),
        kind => kind.map_err(|error| GadgetError::access(configfs, error.into()))?,
    };
    if !is_configfs(kind.filesystem_type()) {
        return Err(GadgetError::ConfigfsNotMounted(configfs.clone()));
    }
    let gadgets = paths.gadgets();
    if !gadgets.is_dir() {
        // Asks for libcomposite by itself; what came of it is seen next.
        let _ = usb_gadget::registered();
    }
    let folder = match File::open(&gadgets) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(GadgetError::LibcompositeMissing(gadgets));
        }
        folder => folder.map_err(|error| GadgetError::access(&gadgets, error))?,
    };
    match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, Errno::EWOULDBLOCK)) => Err(GadgetError::InUse),
        Err((_, error)) => Err(GadgetError::access(&gadgets, error.into())),
    }
}

/// Makes the gadget: not bound, all LUNs empty. Nothing is left of one that fails.
pub(super) fn register(
    paths: &Paths,
    description: &Description,
    serial: &str,
    wanted: &[Attribute],
) -> Result<(), GadgetError> {
    let path = paths.gadget();
    let mut gadget = definition(description, serial)
        .register()
        .map_err(|source| registration_error(paths, source))?;
    if gadget.path() != path {
        // `gadget` removes itself when it is dropped.
        return Err(GadgetError::ConfigfsNotMounted(paths.configfs.clone()));
    }
    if let Some((attribute, found)) = attributes::read_mismatch(&path, wanted)? {
        return Err(GadgetError::ReadBack {
            path: path.join(attribute.path),
            wanted: attribute.value,
            found,
        });
    }
    gadget.detach();
    Ok(())
}

/// Gives the files that serving the drive writes to `owner`: they connect it and change media.
/// configfs remembers that for as long as the gadget is there.
pub(super) fn give(paths: &Paths, luns: usize, owner: Owner) -> Result<(), GadgetError> {
    let gadget = paths.gadget();
    let of_luns = (0..luns).flat_map(|index| {
        let folder = gadget.join(attributes::lun(index));
        ["file", "forced_eject"].map(|name| folder.join(name))
    });
    for path in [gadget.join("UDC")].into_iter().chain(of_luns) {
        match chown(&path, Some(owner.uid), Some(owner.gid)) {
            // An older kernel has no `forced_eject`.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(GadgetError::access(&path, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Unbinds our gadget and removes it, whoever made it. Nothing happens where there is none. The
/// library's order is the one that configfs demands: links, configuration, LUNs, function,
/// strings, gadget.
pub(super) fn remove(paths: &Paths) -> Result<(), GadgetError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::PermissionDenied => GadgetError::PermissionDenied(paths.gadget()),
        _ => GadgetError::Remove {
            path: paths.gadget(),
            source,
        },
    };
    let ours = |gadget: &RegGadget| gadget.name() == GADGET_NAME;
    match usb_gadget::registered()
        .map_err(failed)?
        .into_iter()
        .find(ours)
    {
        None => Ok(()),
        Some(gadget) => gadget.remove().map_err(failed),
    }
}

fn definition(description: &Description, serial: &str) -> usb_gadget::Gadget {
    let mut function = msd::Msd::builder();
    function.stall = Some(description.stall);
    function.luns = description.luns.iter().map(lun).collect();
    let (_, function) = function.build();
    let mut config = Config::new(&description.product).with_function(function);
    config.max_power = description.max_power_ma;
    let strings = Strings::new(&description.manufacturer, &description.product, serial);
    let id = Id::new(description.vendor_id, description.product_id);
    let mut gadget = usb_gadget::Gadget::new(Class::INTERFACE_SPECIFIC, id, strings);
    gadget.name = Some(GADGET_NAME.to_owned());
    gadget.device_release = release();
    gadget.with_config(config)
}

fn lun(description: &LunDescription) -> msd::Lun {
    let mut lun = msd::Lun::empty();
    lun.read_only = description.read_only;
    lun.cdrom = description.cdrom;
    lun.no_fua = description.nofua;
    lun.removable = description.removable;
    lun.inquiry_string = description.inquiry_string.clone();
    lun
}

fn release() -> u16 {
    let digits = |text: &str| text.parse().unwrap_or(0);
    attributes::release(
        digits(env!("CARGO_PKG_VERSION_MAJOR")),
        digits(env!("CARGO_PKG_VERSION_MINOR")),
        digits(env!("CARGO_PKG_VERSION_PATCH")),
    )
}

fn registration_error(paths: &Paths, source: io::Error) -> GadgetError {
    let path = paths.gadget();
    match source.raw_os_error() {
        // Only a function whose driver cannot be loaded fails so.
        Some(libc::ENOENT) => GadgetError::FunctionMissing,
        Some(libc::EACCES | libc::EPERM) => GadgetError::PermissionDenied(path),
        _ => GadgetError::Register { path, source },
    }
}

fn is_configfs(kind: FsType) -> bool {
    // The width and sign of the number are the architecture's; the magic has 32 bits.
    kind == FsType(CONFIGFS_MAGIC as _)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(configfs: &std::path::Path) -> Paths {
        Paths {
            configfs: configfs.to_owned(),
            ..Paths::default()
        }
    }

    #[test]
    fn without_configfs_it_says_what_to_load_or_mount() {
        let root = tempfile::tempdir().unwrap();
        let error = acquire(&paths(root.path())).unwrap_err();
        assert!(
            matches!(error, GadgetError::ConfigfsNotMounted(_)),
            "{error}"
        );
        let mount = format!("mount -t configfs none {}", root.path().display());
        assert!(error.to_string().contains(&mount), "{error}");
        let error = acquire(&paths(&root.path().join("none"))).unwrap_err();
        assert!(matches!(error, GadgetError::ConfigfsMissing(_)), "{error}");
    }

    #[test]
    fn what_the_kernel_says_to_a_new_gadget_is_explained() {
        let explained = |errno| {
            let source = io::Error::from_raw_os_error(errno);
            registration_error(&Paths::default(), source)
        };
        assert!(matches!(
            explained(libc::ENOENT),
            GadgetError::FunctionMissing
        ));
        assert!(matches!(
            explained(libc::EACCES),
            GadgetError::PermissionDenied(_)
        ));
        assert!(matches!(
            explained(libc::EPERM),
            GadgetError::PermissionDenied(_)
        ));
        assert!(matches!(
            explained(libc::EINVAL),
            GadgetError::Register { .. }
        ));
    }

    #[test]
    fn the_library_gets_the_description() {
        let description = Description::built_in();
        let gadget = definition(&description, "00000000DEADBEEF");
        assert_eq!(gadget.name.as_deref(), Some(GADGET_NAME));
        assert_eq!((gadget.id.vendor, gadget.id.product), (0x1d6b, 0x0104));
        assert_eq!(gadget.configs.len(), 1);
        assert_eq!(gadget.configs[0].max_power, 500);
        assert!(!gadget.configs[0].self_powered);
        let luns: Vec<_> = description.luns.iter().map(lun).collect();
        let flags = |lun: &msd::Lun| (lun.read_only, lun.removable, lun.cdrom, lun.no_fua);
        assert_eq!(flags(&luns[0]), (false, true, false, false));
        assert_eq!(flags(&luns[1]), (true, true, false, false));
        assert_eq!(luns[2].inquiry_string, "PROMPT  ANSWERS 2       0001");
    }
}
