//! File leases (`fcntl(2)`, `F_SETLEASE`): what the kernel knows of who else has a file open.
//!
//! A write lease is granted while nobody else has the file open, a read lease while nobody has it
//! open for writing; the kernel's own opens count. Used by [`crate::PlainFile`] as a lock, and by
//! [`crate::gadget`] to see whether a file is the one in the drive.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// `F_SETSIG` of `include/uapi/asm-generic/fcntl.h`, the same on x86 and Arm; `libc` lacks it.
const F_SETSIG: libc::c_int = 10;

/// What is asked for. A read lease needs a file that is open for reading only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    Read,
    Write,
}

/// Asks for a lease, which lasts until the file is closed, and has its break announced by a signal
/// that is ignored by default (the usual SIGIO would end the process).
pub(crate) fn take(file: &File, lease: Lease) -> io::Result<()> {
    let kind = match lease {
        Lease::Read => libc::F_RDLCK,
        Lease::Write => libc::F_WRLCK,
    };
    let fd = file.as_raw_fd();
    // SAFETY: `fd` is open for the whole call, and F_SETSIG takes an int, no pointer.
    check(unsafe { libc::fcntl(fd, F_SETSIG, libc::SIGURG) })?;
    // SAFETY: as above; F_SETLEASE takes an int.
    check(unsafe { libc::fcntl(fd, libc::F_SETLEASE, kind) })
}

/// Whether anybody has the file open for writing; `None` where the kernel cannot tell (a block
/// device, a file system without leases, a file of another owner).
pub(crate) fn is_open_for_writing(path: &Path) -> Option<bool> {
    match take(&File::open(path).ok()?, Lease::Read) {
        Ok(()) => Some(false),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Some(true),
        Err(_) => None,
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_are_seen_and_readers_are_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(is_open_for_writing(file.path()), Some(true));
        let path = file.into_temp_path();
        assert_eq!(is_open_for_writing(&path), Some(false));
        let _reader = File::open(&path).unwrap();
        assert_eq!(is_open_for_writing(&path), Some(false));
    }
}
