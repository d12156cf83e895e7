//! The device's storage, with one power for all of it: the image, the journal and the state folder.
//!
//! State files and the journal are files of one [`CutDisk`]; the image's writes and syncs count on
//! the same counter, so that one cut or fault hits any operation of the three. After a cut, each
//! page of a write of the image that was not synced is there, not there, or torn at a byte, each by
//! itself; what was synced stays. What a sync of the device's failed for is there to be read and is
//! not written any more, as with Linux; after a host's, the next one writes it: what a host makes
//! of an error is its own affair. The device's handles and the host's way to the image differ: the
//! device's are a [`Process`]'s, and record a violation if it writes while a host can reach the
//! medium. Used by the runner (device side) and by `usb` (host side).

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use mailbox::testing::{CutDisk, DiskFault};
use volume::testing::{PagedImage, Random};
use volume::{ReadAt, WriteAt};

use super::files::{Files, Journal};
use super::process::{Of, Process};

/// What the kernel writes back as one.
const PAGE_BYTES: usize = 4096;

/// A handle; clones are the same disk.
#[derive(Clone)]
pub struct Disk {
    files: CutDisk,
    process: Process,
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

    /// What was written lasts.
    fn sync(&mut self) {
        for (offset, data) in std::mem::take(&mut self.unsynced) {
            self.durable.write_at(offset, &data).unwrap();
        }
    }

    /// A sync fails: some of it was written, and the rest counts as written.
    fn fail_to_sync(&mut self) {
        let parts = std::mem::take(&mut self.unsynced).into_iter();
        let written = parts
            .skip(usize::from(self.modified.is_multiple_of(2)))
            .step_by(2);
        for (offset, data) in written {
            self.durable.write_at(offset, &data).unwrap();
        }
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
            process: Process::default(),
            medium: Rc::new(RefCell::new(Stored {
                durable: image.clone(),
                now: image,
                unsynced: Vec::new(),
                modified: 0,
                is_lent: false,
                is_written: false,
                violations: Vec::new(),
            })),
        }
    }

    /// The device's handle of the image.
    pub fn image(&self) -> Image {
        Image(self.clone())
    }

    /// The journal beside the image.
    pub fn journal(&self) -> Journal {
        Journal::new(self.state())
    }

    /// The state folder.
    pub fn state(&self) -> Files {
        Files::new(self.files.clone(), self.process.clone())
    }

    /// The process that has the device's handles.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The state folder and the journal, whoever looks.
    pub fn files(&self) -> &CutDisk {
        &self.files
    }

    /// Whether a change of the image is half done, or its journal has not been removed yet.
    pub fn has_journal(&self) -> bool {
        Journal::is_in(&self.files)
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

    /// Nothing goes wrong any more that was to go wrong.
    pub fn forget_planned(&self) {
        self.files.forget_planned();
        self.process.forget_planned();
    }

    /// Counts an operation on a file that is not simulated.
    pub fn count_operation(&self) -> io::Result<()> {
        self.files.count_operation()
    }

    /// Operations that failed as they were told to; cuts do not count.
    pub fn faults(&self) -> usize {
        self.files.faults()
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
        self.files.restart(random);
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

    /// Whether a host can reach it.
    pub fn is_lent(&self) -> bool {
        self.medium.borrow().is_lent
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
            self.medium.borrow_mut().sync();
        }
        counted.map_err(as_io)
    }

    /// The same for the device.
    fn sync(&self) -> io::Result<()> {
        let synced = self.host_sync();
        if synced.is_err() && !self.is_off() {
            self.medium.borrow_mut().fail_to_sync();
        }
        synced
    }

    /// The device writes, which it must not while a host can reach the medium.
    fn note_write(&self, offset: u64, len_bytes: usize) {
        let mut stored = self.medium.borrow_mut();
        stored.is_written = true;
        if stored.is_lent {
            let what = format!("the device wrote {len_bytes} bytes at {offset}");
            let what = format!("{what} while a host can reach the medium");
            stored.violations.push(what);
        }
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
        self.0.process.look(Of::Image, || {
            if self.0.is_off() {
                return Err(io::Error::other("the power is off"));
            }
            self.0.host_read(offset, buf)
        })
    }
}

impl WriteAt for Image {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.process.change(Of::Image, || {
            self.0.note_write(offset, data.len());
            self.0.host_write(offset, data)
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.process.change(Of::Image, || self.0.sync())
    }
}
