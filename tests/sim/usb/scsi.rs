//! The host's side of the gadget: the cable and the SCSI commands.
//!
//! A command that finds no configured link is answered with [`Sense::Gone`]; hosts hold theirs
//! back while the link comes up or sleeps.

use labhost::Failure;
use labhost::model::Blocks;
use labhost::scsi::BLOCK_BYTES;
use volume::ReadAt;

use super::{Inner, Link, Medium, RESET_MS, Usb};

/// Why a command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// The drive is empty.
    NoMedium,
    /// The medium is another one. Told once.
    UnitAttention,
    /// The host itself prevents the removal.
    Prevented,
    /// The medium cannot be written, or could not be.
    MediumError,
    /// No drive is connected.
    Gone,
}

impl Sense {
    /// As a host's driver sees it (SPC-4, annex F).
    pub fn scsi(self) -> labhost::scsi::Sense {
        let (key, asc, host_status) = match self {
            Self::NoMedium => (2, 0x3a, 0),
            Self::UnitAttention => (6, 0x28, 0),
            Self::Prevented => (5, 0x53, 0),
            Self::MediumError => (3, 0x0c, 0),
            Self::Gone => (0, 0, 1),
        };
        labhost::scsi::Sense {
            key,
            asc,
            ascq: 0,
            host_status,
        }
    }

    /// As one of our senses; what the gadget never says is an error of the medium.
    pub fn of(sense: labhost::scsi::Sense) -> Self {
        match sense {
            sense if sense.is_absent() => Self::NoMedium,
            sense if sense.is_unit_attention() => Self::UnitAttention,
            sense if sense.is_removal_prevented() => Self::Prevented,
            sense if sense.host_status != 0 => Self::Gone,
            _ => Self::MediumError,
        }
    }
}

/// What ALLOW MEDIUM REMOVAL did to the image; the host is never told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Everything written before is durable.
    Yes,
    /// It was not asked for (PREVENT, or nothing was prevented), or it failed.
    No,
}

/// The cable.
impl Usb {
    pub fn attach(&self) {
        let mut inner = self.change();
        if !inner.is_plugged {
            inner.is_plugged = true;
            inner.connect();
        }
    }

    /// Pulls the plug, or takes the host's power. Whether the device loses its own is the runner's.
    pub fn detach(&self) {
        let mut inner = self.change();
        inner.is_plugged = false;
        inner.connect();
    }

    /// The host sleeps.
    pub fn suspend(&self) {
        let mut inner = self.change();
        if inner.link == Link::Up {
            inner.set_link(Link::Asleep);
        }
    }

    /// The host wakes.
    pub fn resume(&self) {
        let mut inner = self.change();
        if inner.link == Link::Asleep {
            inner.set_link(Link::Up);
        }
    }

    /// The host resets the drive: its locks are gone, its media stay. That it is told so by a unit
    /// attention of its own is left out: hosts try again and go on.
    pub fn reset(&self) {
        let mut inner = self.change();
        if matches!(inner.link, Link::Up | Link::Asleep) {
            for lun in &mut inner.luns {
                lun.is_prevented = false;
            }
            let up_ms = inner.now_ms + RESET_MS;
            inner.set_link(Link::ComingUp(up_ms));
        }
    }

    /// Counts enumerations, resets aside: a host that meets another number has a new drive.
    pub fn enumerations(&self) -> u64 {
        self.inner().enumerations
    }
}

impl Inner {
    /// What TEST UNIT READY and every access check first.
    fn ready(&mut self, lun: usize) -> Result<&Medium, Sense> {
        if self.link != Link::Up || self.disk.is_off() {
            return Err(Sense::Gone);
        }
        let lun = &mut self.luns[lun];
        if std::mem::take(&mut lun.attention) {
            return Err(Sense::UnitAttention);
        }
        lun.medium.as_ref().ok_or(Sense::NoMedium)
    }

    fn sync(&self) -> Result<(), Sense> {
        self.disk.host_sync().map_err(|_| Sense::MediumError)
    }
}

/// The SCSI commands.
impl Usb {
    pub fn test_unit_ready(&self, lun: usize) -> Result<(), Sense> {
        self.change().ready(lun).map(|_| ())
    }

    /// READ CAPACITY.
    pub fn capacity_blocks(&self, lun: usize) -> Result<u32, Sense> {
        let mut inner = self.change();
        let disk = inner.disk.clone();
        let len_bytes = match inner.ready(lun)? {
            Medium::Stick => disk.image().len(),
            Medium::ReadOnly(image) => image.len(),
        };
        Ok(u32::try_from(len_bytes / BLOCK_BYTES as u64).unwrap())
    }

    pub fn read(&self, lun: usize, block: u32, data: &mut [u8]) -> Result<(), Sense> {
        let mut inner = self.change();
        let disk = inner.disk.clone();
        let offset = u64::from(block) * BLOCK_BYTES as u64;
        let read = match inner.ready(lun)? {
            Medium::Stick => disk.host_read(offset, data),
            Medium::ReadOnly(image) => image.read_at(offset, data),
        };
        inner.read |= lun == 0;
        read.map_err(|_| Sense::MediumError)
    }

    pub fn write(&self, lun: usize, block: u32, data: &[u8]) -> Result<(), Sense> {
        let mut inner = self.change();
        let disk = inner.disk.clone();
        let Medium::Stick = inner.ready(lun)? else {
            return Err(Sense::MediumError);
        };
        inner.wrote = true;
        disk.host_write(u64::from(block) * BLOCK_BYTES as u64, data)
            .map_err(|_| Sense::MediumError)
    }

    /// Ok: everything written before is durable.
    pub fn synchronize_cache(&self, lun: usize) -> Result<(), Sense> {
        let mut inner = self.change();
        inner.ready(lun)?;
        inner.sync()
    }

    /// PREVENT (`true`) or ALLOW MEDIUM REMOVAL. Needs no medium, as in the kernel.
    pub fn prevent(&self, lun: usize, prevent: bool) -> Result<Flushed, Sense> {
        let mut inner = self.change();
        match inner.ready(lun) {
            Ok(_) | Err(Sense::NoMedium) => {}
            Err(sense) => return Err(sense),
        }
        let was_prevented = std::mem::replace(&mut inner.luns[lun].is_prevented, prevent);
        let flushes = was_prevented && !prevent && inner.luns[lun].medium.is_some();
        if lun == 0 && flushes && inner.sync().is_ok() {
            return Ok(Flushed::Yes);
        }
        Ok(Flushed::No)
    }

    /// START STOP UNIT with `LoEj`: the host takes the medium out.
    pub fn host_eject(&self, lun: usize) -> Result<(), Sense> {
        let mut inner = self.change();
        inner.ready(lun)?;
        if inner.luns[lun].is_prevented {
            return Err(Sense::Prevented);
        }
        inner.luns[lun].medium = None;
        inner.closed |= lun == 0;
        inner.lend();
        Ok(())
    }
}

/// One LUN, as the block device of a host's cache. A unit attention is told once and asked again
/// at once, as hosts' drivers do; an error of the medium is tried again.
#[derive(Clone)]
pub struct Port {
    pub usb: Usb,
    pub lun: usize,
}

/// Tries for one command.
const TRIES: usize = 3;

impl Port {
    fn command<T>(
        &self,
        name: &'static str,
        mut command: impl FnMut(&Usb) -> Result<T, Sense>,
    ) -> Result<T, Failure> {
        let mut result = command(&self.usb);
        for _ in 1..TRIES {
            if matches!(result, Err(Sense::UnitAttention | Sense::MediumError)) {
                result = command(&self.usb);
            }
        }
        result.map_err(|sense| Failure::Scsi {
            command: name,
            sense: sense.scsi(),
        })
    }
}

impl Blocks for Port {
    fn read(&self, block: u32, data: &mut [u8]) -> Result<(), Failure> {
        self.command("READ", |usb| usb.read(self.lun, block, data))
    }

    fn write(&self, block: u32, data: &[u8]) -> Result<(), Failure> {
        self.command("WRITE", |usb| usb.write(self.lun, block, data))
    }

    fn count(&self) -> Result<u32, Failure> {
        self.command("READ CAPACITY", |usb| usb.capacity_blocks(self.lun))
    }
}

impl Port {
    /// TEST UNIT READY.
    pub fn test(&self) -> Result<(), Failure> {
        self.command("TEST UNIT READY", |usb| usb.test_unit_ready(self.lun))
    }

    /// PREVENT (`true`) or ALLOW MEDIUM REMOVAL, where there is a medium.
    pub fn prevent(&self, prevent: bool) -> Result<Flushed, Failure> {
        self.test()?;
        self.command("PREVENT ALLOW MEDIUM REMOVAL", |usb| {
            usb.prevent(self.lun, prevent)
        })
    }
}
