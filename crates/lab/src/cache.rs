//! Where the lab keeps what it fetched and built: outside the repository, shared by all checkouts,
//! each item written under another name first, so that what is there is whole. Used by
//! [`packages`](crate::packages), [`kernel`](crate::kernel) and [`initramfs`](crate::initramfs).

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use labhost::files::hex;
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use crate::error::At;
use crate::{LabError, Result};

/// The folder's name among the caches of the user.
const NAME: &str = "promptstick-lab";

/// The cache, locked: one process at a time fetches or builds.
pub struct Cache {
    folder: PathBuf,
    _lock: Flock<File>,
}

impl Cache {
    /// Opens the user's cache, making it where it is not there, and waits for whoever uses it.
    ///
    /// # Errors
    /// There is no home, or the folder cannot be made.
    pub fn open() -> Result<Self> {
        Self::at(&user_folder()?)
    }

    fn at(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).at(folder)?;
        let path = folder.join("lock");
        let file = File::create(&path).at(&path)?;
        let lock = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, error)| io::Error::from(error))
            .at(&path)?;
        Ok(Self {
            folder: folder.to_path_buf(),
            _lock: lock,
        })
    }

    /// A path in the cache; nothing is made.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A folder in the cache that is there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path).at(&path)?;
        Ok(path)
    }
}

/// Removes a folder with all that is in it, where it is there.
///
/// # Errors
/// The system refuses.
pub fn forget(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        fs::remove_dir_all(folder).at(folder)?;
    }
    Ok(())
}

/// `XDG_CACHE_HOME` or `~/.cache` (XDG Base Directory Specification 0.8), and our name.
fn user_folder() -> Result<PathBuf> {
    let given = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let folder = given.map(PathBuf::from).or_else(home);
    let folder = folder.ok_or_else(|| {
        LabError::Unexpected("neither XDG_CACHE_HOME nor HOME says where a cache may lie".into())
    })?;
    Ok(folder.join(NAME))
}

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// It cannot be read.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).at(path)?;
    let mut hash = HashWriter(Sha256::new());
    io::copy(&mut file, &mut hash).at(path)?;
    Ok(hex(&hash.0.finalize()))
}

/// Where the hash of a file is kept.
fn hash_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sha256");
    name.into()
}

/// Keeps the hash of a file beside it.
///
/// # Errors
/// It cannot be read, or there is no room.
pub fn keep_hash(path: &Path) -> Result<()> {
    let kept = hash_path(path);
    fs::write(&kept, sha256(path)?).at(&kept)
}

/// Whether the file is there, with the hash that it had.
///
/// # Errors
/// [`LabError::Changed`], or one of the files cannot be read.
pub fn is_intact(path: &Path) -> Result<bool> {
    let kept = hash_path(path);
    if !path.exists() || !kept.exists() {
        return Ok(false);
    }
    if fs::read_to_string(&kept).at(&kept)?.trim() == sha256(path)? {
        return Ok(true);
    }
    Err(LabError::Changed {
        path: path.to_path_buf(),
    })
}

/// A hash as something to write to.
struct HashWriter(Sha256);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changed_is_noticed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.deb");
        fs::write(&path, "abc").expect("room");
        assert!(!is_intact(&path).expect("readable"), "no hash yet");
        keep_hash(&path).expect("room");
        assert!(is_intact(&path).expect("readable"));
        fs::write(&path, "abd").expect("room");
        assert!(matches!(is_intact(&path), Err(LabError::Changed { .. })));
    }

    #[test]
    fn a_cache_is_made_and_locked() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cache = Cache::at(&folder.path().join("new")).expect("room");
        assert!(cache.folder("debs").expect("room").is_dir());
        let second = File::open(cache.path("lock")).expect("the lock");
        assert!(Flock::lock(second, FlockArg::LockExclusiveNonblock).is_err());
    }
}
