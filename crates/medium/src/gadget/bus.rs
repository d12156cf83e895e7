//! What the USB bus does: whether a computer is there, and awake.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::error::GadgetError;

/// The connection to a computer, as the controller reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// Nobody is there, or the gadget is not bound.
    Detached,
    /// A computer is there and has not chosen the configuration (yet, or any more).
    Enumerating,
    /// A computer uses the drive.
    Configured,
    /// The computer sleeps, or has stopped talking: some controllers cannot tell that from a
    /// pulled cable.
    Suspended,
}

/// Longest state name that is looked at; the kernel's longest has 15 letters.
const STATE_BYTES: u64 = 64;

/// What the controller's `state` and the gadget's `suspended` attribute mean together. The names
/// are those of `usb_state_string` in the kernel's `drivers/usb/common/common.c`.
pub(super) fn decide(state: &str, suspended: Option<bool>) -> Bus {
    match state.trim() {
        "configured" if suspended == Some(true) => Bus::Suspended,
        "configured" => Bus::Configured,
        "suspended" => Bus::Suspended,
        "attached" | "powered" | "reconnecting" | "unauthenticated" | "default" | "addressed" => {
            Bus::Enumerating
        }
        _ => Bus::Detached,
    }
}

/// Reads the bus of the controller in the folder `udc`.
pub(super) fn read(udc: &Path) -> Result<Bus, GadgetError> {
    let path = udc.join("state");
    let state = std::fs::read_to_string(&path).map_err(|e| GadgetError::access(&path, e))?;
    Ok(decide(&state, suspended(udc)))
}

/// Opens the controller's `state` so that the next change of it wakes a poller (see
/// [`super::Gadget::bus_file`]): a file of sysfs that was never read is always ready.
pub(super) fn open_state(udc: &Path) -> Result<File, GadgetError> {
    let path = udc.join("state");
    let failed = |e| GadgetError::access(&path, e);
    let file = File::open(&path).map_err(failed)?;
    let mut state = String::new();
    (&file)
        .take(STATE_BYTES)
        .read_to_string(&mut state)
        .map_err(failed)?;
    Ok(file)
}

/// Whether the state has been set since `file` was opened or read.
pub(super) fn has_changed(file: &File) -> bool {
    let mut polled = [PollFd::new(file.as_fd(), PollFlags::POLLPRI)];
    // An error of poll(2) says nothing about the bus; the state itself is then the best guess.
    poll(&mut polled, PollTimeout::ZERO).map_or(true, |ready| ready > 0)
}

/// The gadget's own `suspended` attribute; `None` while no gadget is bound and on kernels
/// without it. The folder is `gadget`, with a number after it on newer kernels (6.1, 6.12).
/// `dummy_hcd` reports suspension here alone, and never in its state.
fn suspended(udc: &Path) -> Option<bool> {
    let device = udc.join("device");
    let folders = std::fs::read_dir(&device).ok()?;
    let gadget = |name: &str| name == "gadget" || name.starts_with("gadget.");
    let values = folders
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(gadget))
        .map(|entry| entry.path().join("suspended"));
    values.filter_map(flag).next()
}

fn flag(path: PathBuf) -> Option<bool> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim() == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_the_controller() {
        let cases = [
            ("not attached\n", Bus::Detached),
            ("UNKNOWN\n", Bus::Detached),
            ("", Bus::Detached),
            ("attached\n", Bus::Enumerating),
            ("powered\n", Bus::Enumerating),
            ("default\n", Bus::Enumerating),
            ("addressed\n", Bus::Enumerating),
            ("configured\n", Bus::Configured),
            ("suspended\n", Bus::Suspended),
        ];
        for (state, expected) in cases {
            assert_eq!(decide(state, None), expected, "{state:?}");
            assert_eq!(decide(state, Some(false)), expected, "{state:?}");
        }
        assert_eq!(decide("configured\n", Some(true)), Bus::Suspended);
        assert_eq!(decide("not attached\n", Some(true)), Bus::Detached);
    }

    #[test]
    fn suspension_is_read_under_both_names_of_the_folder() {
        for folder in ["device/gadget", "device/gadget.0"] {
            let udc = tempfile::tempdir().unwrap();
            std::fs::write(udc.path().join("state"), "configured\n").unwrap();
            assert_eq!(read(udc.path()).unwrap(), Bus::Configured);
            std::fs::create_dir_all(udc.path().join(folder)).unwrap();
            assert_eq!(read(udc.path()).unwrap(), Bus::Configured, "not bound");
            std::fs::write(udc.path().join(folder).join("suspended"), "1\n").unwrap();
            assert_eq!(read(udc.path()).unwrap(), Bus::Suspended);
        }
    }
}
