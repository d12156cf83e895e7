//! The `newc` archive (kernel: Documentation/driver-api/early-userspace/buffer-format.rst): the
//! form of an initramfs, and of what a guest exports. Written and read by us, so that no tool is
//! needed. Used by both ends.

use std::io::{self, Read, Write};

/// "070701", the mark of `newc`.
const MAGIC: &[u8; 6] = b"070701";

/// Fields after the mark, each of 8 hexadecimal digits.
const FIELDS: usize = 13;

/// Bytes of the header.
const HEADER_BYTES: usize = 6 + FIELDS * 8;

/// Headers and contents begin at multiples of this.
const ALIGNMENT: usize = 4;

/// The name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// The longest name that we read: Linux's `PATH_MAX`.
const MAX_NAME_BYTES: usize = 4096;

const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFMT: u32 = 0o170_000;

/// Writes an archive.
pub struct Writer<W> {
    out: W,
    inode: u32,
}

impl<W: Write> Writer<W> {
    /// An archive that is written to `out`.
    pub fn new(out: W) -> Self {
        Self { out, inode: 1 }
    }

    /// Adds a folder; its parents must be there already.
    ///
    /// # Errors
    /// Of the output.
    pub fn folder(&mut self, name: &str) -> io::Result<()> {
        self.entry(name, S_IFDIR | 0o755, 0, &mut io::empty())
    }

    /// Adds a file with these permission bits.
    ///
    /// # Errors
    /// Of the output, or the content is larger than 4 GiB.
    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let mut content = content;
        self.stream(name, mode, content.len() as u64, &mut content)
    }

    /// Adds a file of `len` bytes that is read from `content`.
    ///
    /// # Errors
    /// Of either side; the content is larger than 4 GiB or ends early.
    pub fn stream(
        &mut self,
        name: &str,
        mode: u32,
        len: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        self.entry(name, S_IFREG | mode, len, content)
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// Of the output.
    pub fn link(&mut self, name: &str, target: &str) -> io::Result<()> {
        let mut content = target.as_bytes();
        let len = content.len() as u64;
        self.entry(name, S_IFLNK | 0o777, len, &mut content)
    }

    /// Ends the archive and gives the output back.
    ///
    /// # Errors
    /// Of the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry(TRAILER, 0, 0, &mut io::empty())?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn entry(&mut self, name: &str, mode: u32, len: u64, content: &mut dyn Read) -> io::Result<()> {
        let too_large = |_| io::Error::new(io::ErrorKind::InvalidInput, "too large for newc");
        let len32 = u32::try_from(len).map_err(too_large)?;
        let name_len = u32::try_from(name.len() + 1).map_err(too_large)?;
        let fields: [u32; FIELDS] = [self.inode, mode, 0, 0, 1, 0, len32, 0, 0, 0, 0, name_len, 0];
        self.inode += 1;
        self.out.write_all(MAGIC)?;
        for field in fields {
            write!(self.out, "{field:08x}")?;
        }
        self.out.write_all(name.as_bytes())?;
        self.out.write_all(&[0])?;
        self.pad(HEADER_BYTES + name.len() + 1)?;
        let copied = io::copy(&mut content.take(len), &mut self.out)?;
        if copied != len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.pad(usize::try_from(len % ALIGNMENT as u64).unwrap_or(0))
    }

    fn pad(&mut self, written: usize) -> io::Result<()> {
        let missing = written.next_multiple_of(ALIGNMENT) - written;
        self.out.write_all(&[0; ALIGNMENT][..missing])
    }
}

/// Reads an archive to its end, and gives each regular file to `take` with its name.
///
/// # Errors
/// Of the input or of `take`, or the input is no archive.
pub fn read(
    input: &mut dyn Read,
    take: &mut dyn FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        let (name, mode, len) = header(input)?;
        if name == TRAILER {
            return Ok(());
        }
        let mut content = input.take(len);
        if mode & S_IFMT == S_IFREG {
            take(&name, &mut content)?;
        }
        io::copy(&mut content, &mut io::sink())?;
        let rest = usize::try_from(len % ALIGNMENT as u64).unwrap_or(0);
        skip_padding(input, rest)?;
    }
}

fn header(input: &mut dyn Read) -> io::Result<(String, u32, u64)> {
    let mut bytes = [0; HEADER_BYTES];
    input.read_exact(&mut bytes)?;
    let (magic, fields) = bytes.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(invalid("no newc archive"));
    }
    let field = |index: usize| {
        let digits = fields.get(index * 8..index * 8 + 8).unwrap_or_default();
        let digits = std::str::from_utf8(digits).map_err(|_| invalid("not a number"))?;
        u32::from_str_radix(digits, 16).map_err(|_| invalid("not a number"))
    };
    let (mode, len) = (field(1)?, u64::from(field(6)?));
    let name_len = field(11)? as usize;
    if name_len == 0 || name_len > MAX_NAME_BYTES {
        return Err(invalid("a name that is too long"));
    }
    let mut name = vec![0; name_len];
    input.read_exact(&mut name)?;
    name.pop();
    skip_padding(input, HEADER_BYTES + name_len)?;
    let name = String::from_utf8(name).map_err(|_| invalid("a name that is not UTF-8"))?;
    Ok((name, mode, len))
}

fn skip_padding(input: &mut dyn Read, read: usize) -> io::Result<()> {
    let missing = read.next_multiple_of(ALIGNMENT) - read;
    input.read_exact(&mut [0; ALIGNMENT][..missing])
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back_and_only_files() {
        let mut writer = Writer::new(Vec::new());
        writer.folder("etc").expect("memory");
        writer.file("etc/one", 0o644, b"12345").expect("memory");
        writer.link("etc/two", "one").expect("memory");
        writer.file("empty", 0o755, b"").expect("memory");
        let bytes = writer.finish().expect("memory");
        assert_eq!(bytes.len() % ALIGNMENT, 0);
        let mut seen = Vec::new();
        read(&mut &bytes[..], &mut |name, content| {
            let mut text = String::new();
            content.read_to_string(&mut text)?;
            seen.push((name.to_owned(), text));
            Ok(())
        })
        .expect("our own archive");
        let expected = [("etc/one", "12345"), ("empty", "")];
        assert_eq!(seen, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let mut writer = Writer::new(Vec::new());
        writer.file("one", 0o644, b"12345").expect("memory");
        let bytes = writer.finish().expect("memory");
        for len in [0, 50, HEADER_BYTES + 6, bytes.len() - 1] {
            let result = read(&mut &bytes[..len], &mut |_, _| Ok(()));
            assert!(result.is_err(), "{len}");
        }
        assert!(read(&mut &[b'x'; 200][..], &mut |_, _| Ok(())).is_err());
    }
}
