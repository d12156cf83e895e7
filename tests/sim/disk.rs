//! The device's storage, with one power for all of it: the image, the journal and the state folder.
//!
//! State files and the journal are files of one [`CutDisk`]; the image's writes and syncs count on
//! the same counter, so that one cut or fault hits any operation of the three. After a cut, each
//! page of a write of the image that was not synced is there, not there, or torn at a byte, each by
//! itself; what was synced stays. The device's handle and the host's way to the image differ: the
//! device's records a violation if it writes while a host can reach the medium.
//! Used by the runner (device side) and by `usb` (host side).

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use mailbox::testing::{Chance, CutDisk, DiskFault};
use volume::testing::{PagedImage, Random};
use volume::{ReadAt, WriteAt};

use super::journal::Journal;

/// What the kernel writes back as one.
const PAGE_BYTES: usize = 4096;

/// A handle; clones are the same disk.
#[derive(Clone)]
pub struct Disk {
    files: CutDisk,
    medium: Rc<RefCell<Stored>>,
}

struct Stored {
    now: PagedImage,
    durable: PagedImage,
    /// Parts of writes since the last sync, in order; none crosses a page.
    unsynced: Vec<(u64, Vec<u8>)>,
    modified: u64,
    is_lent: bool,
    /// The device wrote, since somebody asked.
    is_written: bool,
    violations: Vec<String>,
    read_fault_after: Option<usize>,
    read_faults: usize,
}

impl Stored {
    fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.now.write_at(offset, data)?;
        self.modified += 1;
        let mut rest = data;
        let mut at = offset;
        while !rest.is_empty() {
            let within = usize::try_from(at).unwrap() % PAGE_BYTES;
            let (part, after) = rest.split_at(rest.len().min(PAGE_BYTES - within));
            self.unsynced.push((at, part.to_vec()));
            at += part.len() as u64;
            rest = after;
        }
        Ok(())
    }

    /// What a cut leaves becomes all there is.
    fn lose_power(&mut self, random: &mut Random) {
        for (offset, data) in std::mem::take(&mut self.unsynced) {
            let kept = match random.below(3) {
                0 => 0,
                1 => data.len(),
                _ => random.below(data.len() + 1),
            };
            self.durable.write_at(offset, &data[..kept]).unwrap();
        }
        self.now = self.durable.clone();
        self.modified += 1;
    }
}

impl Disk {
    /// A disk with this image on it, durably, and nothing else.
    pub fn new(image: PagedImage) -> Self {
        Self {
            files: CutDisk::default(),
            medium: Rc::new(RefCell::new(Stored {
                durable: image.clone(),
                now: image,
                unsynced: Vec::new(),
                modified: 0,
                is_lent: false,
                is_written: false,
                violations: Vec::new(),
                read_fault_after: None,
                read_faults: 0,
            })),
        }
    }

    /// The device's handle of the image.
    pub fn image(&self) -> Image {
        Image(self.clone())
    }

    /// The journal beside the image.
    pub fn journal(&self) -> Journal {
        Journal::new(self.files.clone())
    }

    /// The state folder.
    pub fn state(&self) -> CutDisk {
        self.files.clone()
    }

    /// The power goes at the operation after so many more, of any kind.
    pub fn cut_after(&self, operations: usize) {
        self.files.cut_after(operations);
    }

    /// The operation after so many more, of any kind but a read, fails once. On the image it is
    /// always EIO: its room is allocated.
    pub fn fail_after(&self, operations: usize, fault: DiskFault) {
        self.files.fail_after(operations, fault);
    }

    /// The device's read of the image after so many more fails once with EIO.
    pub fn fail_read_after(&self, reads: usize) {
        self.medium.borrow_mut().read_fault_after = Some(reads);
    }

    /// Operations so far, of any kind but reads.
    pub fn operations(&self) -> usize {
        self.files.operations()
    }

    /// Operations and reads that failed as they were told to; cuts do not count.
    pub fn faults(&self) -> usize {
        self.files.faults() + self.medium.borrow().read_faults
    }

    /// Whether there is no power.
    pub fn is_off(&self) -> bool {
        self.files.is_off()
    }

    /// The power goes, if it was not cut before, and comes back: what is there now is what that
    /// left. Nobody holds the medium then.
    pub fn power_cut(&self, random: &mut Random) {
        self.files.cut();
        self.medium.borrow_mut().is_lent = false;
        self.medium.borrow_mut().lose_power(random);
        self.files.restart(&mut Chance(random.bits()));
    }

    /// Grows with each write of the image, by whomever.
    pub fn modified(&self) -> u64 {
        self.medium.borrow().modified
    }

    /// The image as anybody reads it now; a cheap copy.
    pub fn snapshot(&self) -> PagedImage {
        self.medium.borrow().now.clone()
    }

    /// Whether the device wrote the image since the last call.
    pub fn take_written(&self) -> bool {
        std::mem::take(&mut self.medium.borrow_mut().is_written)
    }

    /// What the device did that it must not, since the last call.
    pub fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut self.medium.borrow_mut().violations)
    }

    /// Whether a host can reach the medium. `usb` says so.
    pub fn set_lent(&self, is_lent: bool) {
        self.medium.borrow_mut().is_lent = is_lent;
    }

    /// A host's read; never a fault.
    pub fn host_read(&self, offset: u64, data: &mut [u8]) -> io::Result<()> {
        self.medium.borrow().now.read_at(offset, data)
    }

    /// A write by whomever.
    pub fn host_write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.on_image(|stored| stored.write(offset, data))
    }

    /// Makes the image durable.
    pub fn host_sync(&self) -> io::Result<()> {
        let was_on = !self.is_off();
        let counted = self.files.count_operation();
        if counted.is_ok() && was_on {
            let mut stored = self.medium.borrow_mut();
            stored.durable = stored.now.clone();
            stored.unsynced.clear();
        }
        counted.map_err(as_io)
    }

    /// Counts an operation and carries it out; also where the power goes at it, since it may have
    /// happened: [`Disk::power_cut`] decides.
    fn on_image(&self, operation: impl FnOnce(&mut Stored) -> io::Result<()>) -> io::Result<()> {
        let was_on = !self.is_off();
        let counted = self.files.count_operation();
        if counted.is_ok() || (was_on && self.is_off()) {
            operation(&mut self.medium.borrow_mut())?;
        }
        counted.map_err(as_io)
    }
}

/// The image's room is allocated, so a full disk cannot be its error.
fn as_io(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::StorageFull => DiskFault::Io.error(),
        _ => error,
    }
}

/// The device's handle of the image.
#[derive(Clone)]
pub struct Image(Disk);

impl ReadAt for Image {
    fn len(&self) -> u64 {
        self.0.medium.borrow().now.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if self.0.is_off() {
            return Err(io::Error::other("the power is off"));
        }
        let mut stored = self.0.medium.borrow_mut();
        match stored.read_fault_after.as_mut() {
            Some(0) => {
                stored.read_fault_after = None;
                stored.read_faults += 1;
                Err(DiskFault::Io.error())
            }
            after => {
                if let Some(left) = after {
                    *left -= 1;
                }
                stored.now.read_at(offset, buf)
            }
        }
    }
}

impl WriteAt for Image {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut stored = self.0.medium.borrow_mut();
        stored.is_written = true;
        if stored.is_lent {
            let what = format!("the device wrote {} bytes at {offset}", data.len());
            stored
                .violations
                .push(format!("{what} while a host can reach the medium"));
        }
        drop(stored);
        self.0.host_write(offset, data)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.host_sync()
    }
}
