//! The cable between QEMU and the [`Disk`]: as much of the network block device protocol as QEMU's
//! client needs (`doc/proto.md` of the project `nbd`: fixed newstyle negotiation, simple
//! replies). Used by [`torture`](super).

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::disk::Disk;

/// A disk that the guest uses.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Disk>>);

impl Shared {
    /// Waits for one client at a socket of this path, and serves it until it leaves.
    ///
    /// # Errors
    /// There can be no such socket.
    pub fn serve(disk: Disk, socket: &Path) -> io::Result<Self> {
        let shared = Self(Arc::new(Mutex::new(disk)));
        let listener = UnixListener::bind(socket)?;
        let served = shared.clone();
        thread::spawn(move || {
            // A client that leaves in the middle was killed, which is what this is for.
            let _ = listener
                .accept()
                .and_then(|(client, _)| Connection(client).serve(&served));
        });
        Ok(shared)
    }

    /// The disk.
    pub fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk, when its client has left.
    pub fn into_disk(self) -> Option<Disk> {
        let disk = Arc::into_inner(self.0)?;
        Some(disk.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether its client has left.
    pub fn is_free(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

const MAGIC: u64 = 0x4e42_444d_4147_4943; // "NBDMAGIC"
const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054; // "IHAVEOPT"
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;

/// Handshake flags: fixed newstyle, no padding.
const HANDSHAKE: u16 = 0b11;

/// Transmission flags: there are flags, and the disk knows FLUSH and FUA.
const TRANSMISSION: u16 = 0b1101;

const OPTION_ABORT: u32 = 2;
const OPTION_GO: u32 = 7;

const REPLY_ACK: u32 = 1;
const REPLY_INFO: u32 = 3;
const REPLY_UNSUPPORTED: u32 = 0x8000_0001;

const INFO_EXPORT: u16 = 0;

const COMMAND_READ: u16 = 0;
const COMMAND_WRITE: u16 = 1;
const COMMAND_DISCONNECT: u16 = 2;
const COMMAND_FLUSH: u16 = 3;
const FLAG_FUA: u16 = 1;

const ERROR_IO: u32 = 5;
const ERROR_INVALID: u32 = 22;

/// More than any option or transfer of QEMU's.
const MOST_BYTES: u32 = 64 << 20;

struct Connection(UnixStream);

impl Connection {
    fn serve(mut self, disk: &Shared) -> io::Result<()> {
        self.send(&[&MAGIC.to_be_bytes(), &OPTION_MAGIC.to_be_bytes()])?;
        self.send(&[&HANDSHAKE.to_be_bytes()])?;
        self.u32()?;
        let bytes = disk.lock().bytes();
        while !self.negotiate(bytes)? {}
        while self.request(disk)? {}
        Ok(())
    }

    /// Answers one option; whether it was the last.
    fn negotiate(&mut self, bytes: u64) -> io::Result<bool> {
        ensure(self.u64()? == OPTION_MAGIC)?;
        let option = self.u32()?;
        let len = self.u32()?;
        self.data(len)?;
        match option {
            OPTION_GO => {
                let [size, flags] = [&bytes.to_be_bytes()[..], &TRANSMISSION.to_be_bytes()];
                let export = [&INFO_EXPORT.to_be_bytes(), size, flags].concat();
                self.reply_to_option(option, REPLY_INFO, &export)?;
                self.reply_to_option(option, REPLY_ACK, &[])?;
                Ok(true)
            }
            OPTION_ABORT => {
                self.reply_to_option(option, REPLY_ACK, &[])?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            _ => {
                self.reply_to_option(option, REPLY_UNSUPPORTED, &[])?;
                Ok(false)
            }
        }
    }

    fn reply_to_option(&mut self, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
        let len = u32::try_from(data.len()).map_err(io::Error::other)?;
        self.send(&[
            &OPTION_REPLY_MAGIC.to_be_bytes(),
            &option.to_be_bytes(),
            &kind.to_be_bytes(),
            &len.to_be_bytes(),
            data,
        ])
    }

    /// Carries out one request; whether more may come. A disk without power says nothing.
    fn request(&mut self, disk: &Shared) -> io::Result<bool> {
        ensure(self.u32()? == REQUEST_MAGIC)?;
        let (flags, command) = (self.u16()?, self.u16()?);
        let (handle, offset, len) = (self.u64()?, self.u64()?, self.u32()?);
        let mut read = Vec::new();
        let done = match command {
            COMMAND_READ => {
                let data = disk.lock().read(offset, usize::try_from(len).unwrap_or(0));
                data.map(|data| data.map(|data| read = data))
            }
            COMMAND_WRITE => {
                let data = self.data(len)?;
                disk.lock().write(offset, data, flags & FLAG_FUA != 0)
            }
            COMMAND_FLUSH => disk.lock().flush(),
            COMMAND_DISCONNECT => return Ok(false),
            _ => return self.reply(ERROR_INVALID, handle, &[]),
        };
        match done {
            Ok(Some(())) => self.reply(0, handle, &read),
            Ok(None) => Ok(true),
            Err(_) => self.reply(ERROR_IO, handle, &[]),
        }
    }

    fn reply(&mut self, error: u32, handle: u64, data: &[u8]) -> io::Result<bool> {
        self.send(&[
            &REPLY_MAGIC.to_be_bytes(),
            &error.to_be_bytes(),
            &handle.to_be_bytes(),
            data,
        ])?;
        Ok(true)
    }

    fn send(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        self.0.write_all(&parts.concat())
    }

    fn data(&mut self, len: u32) -> io::Result<Vec<u8>> {
        ensure(len <= MOST_BYTES)?;
        let mut data = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        self.0.read_exact(&mut data)?;
        Ok(data)
    }

    fn u16(&mut self) -> io::Result<u16> {
        self.bytes().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.bytes().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> io::Result<u64> {
        self.bytes().map(u64::from_be_bytes)
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

fn ensure(condition: bool) -> io::Result<()> {
    match condition {
        true => Ok(()),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}
