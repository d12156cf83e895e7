//! The block device under a volume: exact reads and writes at byte offsets.
//!
//! A trait rather than a file, so that tests count reads, keep images in memory and cut the power.
//! Used by every module here; [`ImageFile`] is what the program passes in.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

/// Reading at a byte offset.
pub trait ReadAt {
    /// Length in bytes. It does not change while a volume on it is open.
    fn len(&self) -> u64;

    /// Whether there is not one byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from `offset` (bytes).
    ///
    /// # Errors
    /// `UnexpectedEof` where the range passes the end; whatever the device reports.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

/// Writing at a byte offset, durable after [`WriteAt::sync`].
pub trait WriteAt: ReadAt {
    /// Writes all of `data` at `offset` (bytes), within the length.
    ///
    /// # Errors
    /// `WriteZero` where the range passes the end; whatever the device reports.
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Returns once everything written so far survives a power cut.
    ///
    /// # Errors
    /// Whatever the device reports; what was written since the last sync is then in doubt.
    fn sync(&mut self) -> io::Result<()>;
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buf)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &mut T {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buf)
    }
}

impl<T: WriteAt + ?Sized> WriteAt for &mut T {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, data)
    }

    fn sync(&mut self) -> io::Result<()> {
        (**self).sync()
    }
}

/// An image in memory; `sync` has nothing to do.
impl ReadAt for Vec<u8> {
    fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let range = memory_range(self.as_slice().len(), offset, buf.len());
        let source = range
            .and_then(|range| self.get(range))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(source);
        Ok(())
    }
}

impl WriteAt for Vec<u8> {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let range = memory_range(self.as_slice().len(), offset, data.len());
        let place = range
            .and_then(|range| self.get_mut(range))
            .ok_or(io::ErrorKind::WriteZero)?;
        place.copy_from_slice(data);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn memory_range(total: usize, offset: u64, count: usize) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(count)?;
    (end <= total).then_some(start..end)
}

/// An image file or a block device.
#[derive(Debug)]
pub struct ImageFile {
    file: File,
    len_bytes: u64,
}

impl ImageFile {
    /// Takes an open file. Its length is found by seeking, which works for block devices too.
    ///
    /// # Errors
    /// The file cannot be seeked.
    pub fn from_file(mut file: File) -> io::Result<Self> {
        let len_bytes = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, len_bytes })
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// The file cannot be opened, or is neither a file nor a block device.
    pub fn open_read_only(path: &Path) -> io::Result<Self> {
        check_kind(path)?;
        Self::from_file(File::open(path)?)
    }

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// The file cannot be opened, or is neither a file nor a block device.
    pub fn open_read_write(path: &Path) -> io::Result<Self> {
        check_kind(path)?;
        Self::from_file(OpenOptions::new().read(true).write(true).open(path)?)
    }

    /// The file underneath, for locks and notifications.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The file underneath, with the locks that it carries.
    #[must_use]
    pub fn into_file(self) -> File {
        self.file
    }

    fn check(&self, offset: u64, count: usize, kind: io::ErrorKind) -> io::Result<()> {
        match offset.checked_add(count as u64) {
            Some(end) if end <= self.len_bytes => Ok(()),
            _ => Err(kind.into()),
        }
    }
}

/// Refuses what is no medium before it is opened: to open a pipe waits until somebody writes to it.
fn check_kind(path: &Path) -> io::Result<()> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_file() || kind.is_block_device() {
        return Ok(());
    }
    let why = "it is neither a file nor a block device";
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

impl ReadAt for ImageFile {
    fn len(&self) -> u64 {
        self.len_bytes
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.check(offset, buf.len(), io::ErrorKind::UnexpectedEof)?;
        self.file.read_exact_at(buf, offset)
    }
}

impl WriteAt for ImageFile {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        // Within the length only: an image never grows by a write.
        self.check(offset, data.len(), io::ErrorKind::WriteZero)?;
        self.file.write_all_at(data, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}
