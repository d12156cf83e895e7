//! QEMU's command line for each board. Pure. Used by [`machine`](super::machine).

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use super::places::Folder;
use crate::kernel::Kernel;
use crate::{Board, tool};

/// Room for a kernel, the archive that it boots from, two images of 64 MiB, a small model.
const MEMORY_MB: u64 = 1024;

/// A model lies in the archive, is unpacked from there, and is copied as llama.cpp repacks it.
const COPIES_OF_MODEL: u64 = 3;

/// The port of USB/IP (IANA), on which a guest that others connect to listens.
const USBIP_PORT: u16 = 3240;

/// Whether a guest is on a network: QEMU's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// It is not.
    None,
    /// It can connect to this machine, as `10.0.2.2`, and is told this port. QEMU has no way to
    /// restrict it to that: it could reach whatever this machine can.
    Client(u16),
    /// Its port of USB/IP is this port of this machine; it reaches nothing.
    Server(u16),
}

/// An instruction of the board takes 2 to the power of this in nanoseconds (QEMU's option
/// `-icount shift`): 500 million a second. An ARM1176 at 1 GHz begins one a cycle at most; half of
/// that leaves as much again for its caches. An assumption, not a measurement.
const INSTRUCTION_SHIFT: u8 = 1;

/// What is to be started.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The machine.
    pub board: Board,
    /// What it boots.
    pub kernel: &'a Kernel,
    /// What the kernel is told.
    pub command_line: &'a str,
    /// The size of the model that it will run.
    pub model_bytes: u64,
    /// Its network.
    pub network: Network,
    /// A socket at which somebody serves another disk, by the network block device protocol.
    pub disk: Option<&'a Path>,
}

/// The command that runs the guest with the files in `folder`. The protocol is its standard output.
pub fn command(wanted: &Wanted<'_>, folder: &Folder) -> Command {
    let mut command = tool::command(wanted.board.qemu());
    command
        .args([
            "-accel",
            "tcg",
            "-display",
            "none",
            "-no-reboot",
            "-nodefaults",
        ])
        .arg("-kernel")
        .arg(&wanted.kernel.image)
        .arg("-initrd")
        .arg(folder.initrd())
        .args(["-append", wanted.command_line])
        .args(["-chardev", "stdio,id=protocol,signal=off"]);
    match wanted.board {
        Board::Pc => pc(&mut command, wanted, folder),
        Board::PiZero => pi_zero(&mut command, wanted, folder),
    }
    command
}

fn pc(command: &mut Command, wanted: &Wanted<'_>, folder: &Folder) {
    let memory_mb = memory_mb(wanted.model_bytes);
    command
        .args(["-M", "q35", "-cpu", "max", "-smp", "1"])
        .args(["-m", &memory_mb.to_string()])
        // ttyS0: the kernel's console. ttyS1: the protocol.
        .arg("-chardev")
        .arg(with_path("file,id=console,path=", &folder.console()))
        .args(["-serial", "chardev:console"])
        .args(["-serial", "chardev:protocol"])
        // /dev/vport0p1 or later: the daemon's log.
        .arg("-chardev")
        .arg(with_path("file,id=daemon,path=", &folder.daemon()))
        .args(["-device", "virtio-serial-pci"])
        .args(["-device", "virtserialport,chardev=daemon,name=daemon"])
        // /dev/vda: the export.
        .arg("-drive")
        .arg(with_path(
            "if=none,id=export,format=raw,file=",
            &folder.export(),
        ))
        .args(["-device", "virtio-blk-pci,drive=export"]);
    if let Some(socket) = wanted.disk {
        // /dev/vdb. The guest sees a disk with a write cache, and its flushes reach the server.
        let drive = "if=none,id=disk,cache=writeback,driver=raw,file.driver=nbd,\
                     file.server.type=unix,file.server.path=";
        command
            .arg("-drive")
            .arg(with_path(drive, socket))
            .args(["-device", "virtio-blk-pci,drive=disk"]);
    }
    // Without a boot ROM, which is a file of another package.
    network(command, wanted.network, "virtio-net-pci,romfile=");
}

/// The board's memory is what it is: 512 MB, of which the graphics have 64.
fn pi_zero(command: &mut Command, wanted: &Wanted<'_>, folder: &Folder) {
    command.args(["-M", "raspi0", "-serial", "chardev:protocol"]);
    // Its time goes by its instructions, not by this machine's clock. Figures need that, and so
    // does the timer as QEMU 7.2 has it: one that is set for a moment that has just passed (because
    // this machine did something else between the kernel's reading the clock and its setting the
    // timer) rings after 71 minutes, and the guest sleeps until then.
    let shift = format!("shift={INSTRUCTION_SHIFT}");
    command.args(["-icount", &shift]);
    if let Some(device_tree) = &wanted.kernel.device_tree {
        command.arg("-dtb").arg(device_tree);
    }
    // /dev/mmcblk0: the card.
    command
        .arg("-drive")
        .arg(with_path("if=sd,format=raw,file=", &folder.export()));
    network(command, wanted.network, "usb-net");
}

fn network(command: &mut Command, network: Network, device: &str) {
    let options = match network {
        Network::None => return,
        Network::Client(_) => String::new(),
        Network::Server(port) => {
            format!(",restrict=on,hostfwd=tcp:127.0.0.1:{port}-:{USBIP_PORT}")
        }
    };
    command
        .args(["-netdev", &format!("user,id=net{options}")])
        .args(["-device", &format!("{device},netdev=net")]);
}

/// The memory of a PC that runs a model of this size.
fn memory_mb(model_bytes: u64) -> u64 {
    MEMORY_MB.saturating_add((model_bytes >> 20).saturating_mul(COPIES_OF_MODEL))
}

/// QEMU's options take a comma in a value as two of them.
fn with_path(option: &str, path: &Path) -> OsString {
    let path = path.to_string_lossy().replace(',', ",,");
    format!("{option}{path}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_a_path_stays_one() {
        assert_eq!(with_path("path=", Path::new("/a,b")), "path=/a,,b");
    }

    #[test]
    fn a_server_can_be_reached_from_this_machine_only() {
        let mut command = Command::new("qemu");
        network(&mut command, Network::Server(7000), "usb-net");
        let text = format!("{command:?}");
        assert!(text.contains("hostfwd=tcp:127.0.0.1:7000-:3240"), "{text}");
        let mut command = Command::new("qemu");
        network(&mut command, Network::None, "usb-net");
        assert_eq!(command.get_args().count(), 0);
    }
}
