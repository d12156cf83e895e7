//! SCSI commands to a logical unit through the kernel's `sg` driver (`SG_IO`): what a host other
//! than Linux sends, or what a desktop's eject button sends. Unlike opening a block device, opening
//! an `sg` device sends nothing by itself. Used by the models and by scenarios.
//!
//! Commands are those of SPC-4 and SBC-3 that the mass-storage function of the kernel knows.

use std::fmt;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr;

use nix::errno::Errno;

use crate::error::Doing;
use crate::{Failure, Result};

/// Bytes of a logical block: the gadget uses no other size for a writable unit.
pub const BLOCK_BYTES: usize = 512;

/// What a command may take; far longer than any does.
const TIMEOUT_MS: u32 = 20_000;

/// Room for sense data in fixed format.
const SENSE_BYTES: u8 = 32;

/// The largest transfer of one command: 64 KiB, as Windows uses with USB drives.
const MAX_BLOCKS: usize = 128;

/// The kernel's request (include/scsi/sg.h).
const SG_IO: libc::Ioctl = 0x2285;
const SG_DXFER_NONE: i32 = -1;
const SG_DXFER_TO_DEV: i32 = -2;
const SG_DXFER_FROM_DEV: i32 = -3;

/// Sense keys (SPC-4, table 48).
const NOT_READY: u8 = 2;
const UNIT_ATTENTION: u8 = 6;

/// Additional sense code "medium not present" (SPC-4, annex F).
const MEDIUM_NOT_PRESENT: u8 = 0x3a;

/// Additional sense code "medium removal prevented".
const REMOVAL_PREVENTED: u8 = 0x53;

/// `struct sg_io_hdr` of include/scsi/sg.h.
#[repr(C)]
struct SgIoHdr {
    interface_id: i32,
    dxfer_direction: i32,
    cmd_len: u8,
    mx_sb_len: u8,
    iovec_count: u16,
    dxfer_len: u32,
    dxferp: *mut libc::c_void,
    cmdp: *const u8,
    sbp: *mut u8,
    timeout: u32,
    flags: u32,
    pack_id: i32,
    usr_ptr: *mut libc::c_void,
    status: u8,
    masked_status: u8,
    msg_status: u8,
    sb_len_wr: u8,
    host_status: u16,
    driver_status: u16,
    resid: i32,
    duration: u32,
    info: u32,
}

/// What a device answers to a command that it does not carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sense {
    /// Sense key, 0 where there was none (the transport failed).
    pub key: u8,
    /// Additional sense code.
    pub asc: u8,
    /// Its qualifier.
    pub ascq: u8,
    /// The kernel's `host_status`: 0 unless the transport failed.
    pub host_status: u16,
}

impl Sense {
    /// There is no medium in the unit.
    pub fn is_absent(&self) -> bool {
        self.key == NOT_READY && self.asc == MEDIUM_NOT_PRESENT
    }

    /// The medium may have changed, or the device was reset. Told once.
    pub fn is_unit_attention(&self) -> bool {
        self.key == UNIT_ATTENTION
    }

    /// The medium is locked.
    pub fn is_removal_prevented(&self) -> bool {
        self.asc == REMOVAL_PREVENTED
    }
}

impl fmt::Display for Sense {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            asc,
            ascq,
            host_status,
        } = self;
        write!(out, "sense {key:x}/{asc:02x}/{ascq:02x}")?;
        if *host_status != 0 {
            write!(out, " (the transport failed, host status {host_status:#x})")?;
        }
        Ok(())
    }
}

/// Where the data of a command goes.
enum Data<'a> {
    None,
    ToDevice(&'a [u8]),
    FromDevice(&'a mut [u8]),
}

/// A logical unit.
pub struct Scsi {
    file: File,
}

impl Scsi {
    /// Opens `/dev/sgN` (or a block device: but opening that is itself an event).
    ///
    /// # Errors
    /// It is not there.
    pub fn open(device: &Path) -> Result<Self> {
        let mut options = File::options();
        options.read(true).write(true);
        let file = options
            .custom_flags(libc::O_NONBLOCK)
            .open(device)
            .doing(format!("opening {}", device.display()))?;
        Ok(Self { file })
    }

    /// TEST UNIT READY: `None` when the medium is there.
    ///
    /// # Errors
    /// The device is gone.
    pub fn test_unit_ready(&self) -> Result<Option<Sense>> {
        match self.run("TEST UNIT READY", &[0; 6], Data::None) {
            Ok(()) => Ok(None),
            Err(Failure::Scsi { sense, .. }) if sense.host_status == 0 => Ok(Some(sense)),
            Err(error) => Err(error),
        }
    }

    /// PREVENT ALLOW MEDIUM REMOVAL.
    ///
    /// # Errors
    /// The device refuses.
    pub fn prevent(&self, prevent: bool) -> Result<()> {
        let command = [0x1e, 0, 0, 0, u8::from(prevent), 0];
        self.run("PREVENT ALLOW MEDIUM REMOVAL", &command, Data::None)
    }

    /// START STOP UNIT with START: spins up, loads nothing.
    ///
    /// # Errors
    /// The device refuses.
    pub fn start(&self) -> Result<()> {
        self.run("START STOP UNIT", &[0x1b, 0, 0, 0, 1, 0], Data::None)
    }

    /// START STOP UNIT with LOEJ and without START: ejects.
    ///
    /// # Errors
    /// The device refuses, for instance because the medium is locked.
    pub fn load_eject(&self) -> Result<()> {
        self.run("START STOP UNIT", &[0x1b, 0, 0, 0, 2, 0], Data::None)
    }

    /// What the program `eject` sends: ALLOW, START, then LOEJ.
    ///
    /// # Errors
    /// As the single commands.
    pub fn eject(&self) -> Result<()> {
        self.prevent(false)?;
        self.start()?;
        self.load_eject()
    }

    /// READ CAPACITY (10): the number of blocks.
    ///
    /// # Errors
    /// No medium, or blocks of another size than ours.
    pub fn blocks(&self) -> Result<u32> {
        let mut data = [0; 8];
        let mut command = [0; 10];
        command[0] = 0x25;
        self.run("READ CAPACITY", &command, Data::FromDevice(&mut data))?;
        let [a, b, c, d, block @ ..] = data;
        if u32::from_be_bytes(block) as usize != BLOCK_BYTES {
            return Err(Failure::Wrong("the unit has blocks of another size".into()));
        }
        Ok(u32::from_be_bytes([a, b, c, d]).wrapping_add(1))
    }

    /// READ (10), in as many commands as it takes. `data` is whole blocks.
    ///
    /// # Errors
    /// The device refuses.
    pub fn read(&self, block: u32, data: &mut [u8]) -> Result<()> {
        let mut at = block;
        for part in data.chunks_mut(MAX_BLOCKS * BLOCK_BYTES) {
            let (command, blocks) = transfer(0x28, at, part.len())?;
            self.run("READ", &command, Data::FromDevice(part))?;
            at += blocks;
        }
        Ok(())
    }

    /// WRITE (10), in as many commands as it takes. `data` is whole blocks.
    ///
    /// # Errors
    /// The device refuses.
    pub fn write(&self, block: u32, data: &[u8]) -> Result<()> {
        let mut at = block;
        for part in data.chunks(MAX_BLOCKS * BLOCK_BYTES) {
            let (command, blocks) = transfer(0x2a, at, part.len())?;
            self.run("WRITE", &command, Data::ToDevice(part))?;
            at += blocks;
        }
        Ok(())
    }

    /// SYNCHRONIZE CACHE (10) of the whole unit.
    ///
    /// # Errors
    /// The device refuses.
    pub fn synchronize_cache(&self) -> Result<()> {
        let mut command = [0; 10];
        command[0] = 0x35;
        self.run("SYNCHRONIZE CACHE", &command, Data::None)
    }

    fn run(&self, name: &'static str, command: &[u8], data: Data<'_>) -> Result<()> {
        let mut sense = [0; SENSE_BYTES as usize];
        let (direction, pointer, len) = match data {
            Data::None => (SG_DXFER_NONE, ptr::null_mut(), 0),
            Data::ToDevice(bytes) => (SG_DXFER_TO_DEV, bytes.as_ptr().cast_mut(), bytes.len()),
            Data::FromDevice(bytes) => (SG_DXFER_FROM_DEV, bytes.as_mut_ptr(), bytes.len()),
        };
        let mut request = SgIoHdr {
            interface_id: i32::from(b'S'),
            dxfer_direction: direction,
            cmd_len: u8::try_from(command.len()).unwrap_or(u8::MAX),
            mx_sb_len: SENSE_BYTES,
            iovec_count: 0,
            dxfer_len: u32::try_from(len).unwrap_or(u32::MAX),
            dxferp: pointer.cast(),
            cmdp: command.as_ptr(),
            sbp: sense.as_mut_ptr(),
            timeout: TIMEOUT_MS,
            flags: 0,
            pack_id: 0,
            usr_ptr: ptr::null_mut(),
            status: 0,
            masked_status: 0,
            msg_status: 0,
            sb_len_wr: 0,
            host_status: 0,
            driver_status: 0,
            resid: 0,
            duration: 0,
            info: 0,
        };
        // SAFETY: the request is the kernel's structure; its pointers are to memory that outlives
        // the call, with the lengths that are given, writable where the kernel writes.
        let result = unsafe { libc::ioctl(self.file.as_raw_fd(), SG_IO, &raw mut request) };
        Errno::result(result).doing(name)?;
        if request.status == 0 && request.host_status == 0 {
            return Ok(());
        }
        Err(Failure::Scsi {
            command: name,
            sense: fixed_sense(&sense, request.host_status),
        })
    }
}

/// The command for a transfer of `bytes`, and its number of blocks.
fn transfer(code: u8, block: u32, bytes: usize) -> Result<([u8; 10], u32)> {
    let blocks = u16::try_from(bytes / BLOCK_BYTES);
    let Ok(blocks) = blocks else {
        return Err(Failure::Wrong("a transfer that is too long".into()));
    };
    if !bytes.is_multiple_of(BLOCK_BYTES) {
        return Err(Failure::Wrong("a transfer of part of a block".into()));
    }
    let [a, b, c, d] = block.to_be_bytes();
    let [high, low] = blocks.to_be_bytes();
    Ok(([code, 0, a, b, c, d, 0, high, low, 0], u32::from(blocks)))
}

/// Sense data in fixed format (SPC-4, 4.5.3).
fn fixed_sense(sense: &[u8; SENSE_BYTES as usize], host_status: u16) -> Sense {
    const KEY: usize = 2;
    const ASC: usize = 12;
    const ASCQ: usize = 13;
    Sense {
        key: sense[KEY] & 0x0f,
        asc: sense[ASC],
        ascq: sense[ASCQ],
        host_status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_counts_in_blocks() {
        let (command, blocks) = transfer(0x28, 0x0102_0304, 1024).expect("two blocks");
        assert_eq!(command, [0x28, 0, 1, 2, 3, 4, 0, 0, 2, 0]);
        assert_eq!(blocks, 2);
        assert!(transfer(0x28, 0, 100).is_err());
    }

    #[test]
    fn sense_is_told_apart() {
        let mut bytes = [0; SENSE_BYTES as usize];
        (bytes[2], bytes[12]) = (0x72, 0x3a);
        let sense = fixed_sense(&bytes, 0);
        assert!(sense.is_absent() && !sense.is_unit_attention());
        assert_eq!(sense.to_string(), "sense 2/3a/00");
    }
}
