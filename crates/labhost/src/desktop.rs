//! A desktop's way with drives, without the desktop: the kernel polls removable media every two
//! seconds, and each event makes somebody open the device, as udev's rule `60-block` and udisks2
//! do. Used by scenarios; a host without this is the bare one.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread;

use nix::errno::Errno;

use crate::error::Doing;
use crate::{Result, report, sysfs};

/// How often the kernel looks whether a medium changed.
const POLL_MS: &str = "2000";

/// The kernel's default for all drives without a setting of their own.
const POLL_PARAMETER: &str = "/sys/module/block/parameters/events_dfl_poll_msecs";

/// The longest event of the kernel is 2 KiB (`UEVENT_BUFFER_SIZE`).
const EVENT_BYTES: usize = 4096;

/// What a prober reads: enough for a file system's head.
const PROBE_BYTES: usize = 4096;

/// Turns polling on and opens devices on their events from now on.
///
/// # Errors
/// The kernel refuses.
pub fn start() -> Result<()> {
    sysfs::write(POLL_PARAMETER, POLL_MS)?;
    let events = uevents()?;
    thread::spawn(move || {
        let mut events = File::from(events);
        let mut buffer = [0; EVENT_BYTES];
        while let Ok(len) = events.read(&mut buffer) {
            if let Some(device) = changed_disk(buffer.get(..len).unwrap_or_default()) {
                probe(&device);
            }
        }
    });
    report::step("the host polls as a desktop does");
    Ok(())
}

/// A socket on which the kernel tells what happens to devices (man netlink, group 1 of
/// `NETLINK_KOBJECT_UEVENT`).
fn uevents() -> Result<OwnedFd> {
    const KERNEL_GROUP: u32 = 1;
    let what = "listening to the kernel's events";
    // SAFETY: a system call without pointers.
    let raw = unsafe {
        libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            libc::NETLINK_KOBJECT_UEVENT,
        )
    };
    let raw = Errno::result(raw).doing(what)?;
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: all bytes zero are a valid value of this plain structure.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::sa_family_t::try_from(libc::AF_NETLINK).unwrap_or_default();
    address.nl_groups = KERNEL_GROUP;
    let len = libc::socklen_t::try_from(size_of::<libc::sockaddr_nl>()).unwrap_or_default();
    // SAFETY: the address is a whole `sockaddr_nl` of the length that is given.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) };
    Errno::result(bound).doing(what)?;
    Ok(socket)
}

/// The device of an event that says that a disk came or changed. An event is a line and then
/// `NAME=value`, each with a NUL at its end.
fn changed_disk(event: &[u8]) -> Option<String> {
    let words: Vec<&str> = event
        .split(|&byte| byte == 0)
        .filter_map(|word| std::str::from_utf8(word).ok())
        .collect();
    let value = |name: &str| words.iter().find_map(|word| word.strip_prefix(name));
    let told = matches!(value("ACTION="), Some("add" | "change"));
    let disk = value("SUBSYSTEM=") == Some("block") && value("DEVNAME=")?.starts_with("sd");
    (told && disk).then(|| value("DEVNAME=").map(str::to_owned))?
}

/// Opens the device and reads its first bytes, as udev's `blkid` does. No medium is no error.
fn probe(name: &str) {
    if let Ok(mut device) = File::open(format!("/dev/{name}")) {
        let _ = device.read(&mut [0; PROBE_BYTES]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_disks_that_change_are_opened() {
        let event = |action: &str, subsystem: &str, name: &str| {
            let text = format!(
                "{action}@/devices/x\0ACTION={action}\0SUBSYSTEM={subsystem}\0DEVNAME={name}\0"
            );
            changed_disk(text.as_bytes())
        };
        assert_eq!(event("change", "block", "sda").as_deref(), Some("sda"));
        assert_eq!(event("remove", "block", "sda"), None);
        assert_eq!(event("change", "tty", "sda"), None);
        assert_eq!(event("change", "block", "vda"), None);
        assert_eq!(changed_disk(b""), None);
    }
}
