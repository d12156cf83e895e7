//! The device's own disk, in memory: what the ledger and the response store ask of it.

use std::collections::BTreeMap;
use std::io;

use mailbox::disk::Disk;

/// Files by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryDisk {
    /// Their bytes.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Disk for MemoryDisk {
    fn read(&self, name: &str, limit_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        match self.files.get(name) {
            Some(bytes) if bytes.len() as u64 > limit_bytes => {
                Err(io::ErrorKind::FileTooLarge.into())
            }
            found => Ok(found.cloned()),
        }
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn append(&mut self, name: &str, at_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        file.truncate(usize::try_from(at_bytes).unwrap_or(usize::MAX));
        file.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let bytes = self.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.files.remove(name);
        Ok(())
    }

    fn sync_folder(&mut self, _folder: &str) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let names = self.files.keys();
        let inside = names.filter_map(|name| name.strip_prefix(folder)?.strip_prefix('/'));
        Ok(inside.map(str::to_owned).collect())
    }
}
