//! The root file system of a Debian with systemd: packages unpacked into an archive that a guest
//! gets beside its own files, in a folder of its own. Nothing of this machine goes in, and no
//! package's script is run: the few files that scripts would make are written here. Used by
//! [`guest`](crate::guest) for scenarios that want one.
//!
//! | Module | What |
//! |---|---|
//! | [`system`] | which there are, and what each consists of |
//! | [`tree`] | the archive's content |

mod system;
mod tree;

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use labhost::debian;
use labhost::files::hex;
use sha2::{Digest, Sha256};

use crate::cache::{self, Cache, forget};
use crate::error::At;
use crate::packages::{self, Repository};
use crate::{LabError, Result};
use system::{DESKTOP, STICK, SUITE, System};

/// What names of archives begin with.
const ARCHIVE_PREFIX: &str = "root-";

/// Changes when archives of older builds of the lab are no longer right.
const FORM: &str = "2";

/// The archive, made where it is not in the cache.
///
/// # Errors
/// A package cannot be fetched or unpacked, what is in the cache was changed, or there is no room.
pub fn archive(cache: &Cache, system: debian::System) -> Result<PathBuf> {
    let system = match system {
        debian::System::Desktop => &DESKTOP,
        debian::System::Stick => &STICK,
    };
    let (name, architecture) = (system.name, system.board.architecture());
    let folder = cache.folder(&format!("{name}/{SUITE}-{architecture}"))?;
    let debs = fetched(cache, system, &folder)?;
    let path = folder.join(format!("{ARCHIVE_PREFIX}{}.cpio", key(system, &debs)));
    if cache::is_intact(&path)? {
        return Ok(path);
    }
    eprintln!("lab: unpacking {} packages for the {name}", debs.len());
    let tree = folder.join("tree");
    forget(&tree)?;
    for deb in &debs {
        packages::unpack(deb, &tree)?;
    }
    let partial = folder.join("partial");
    let out = BufWriter::new(File::create(&partial).at(&partial)?);
    tree::write(out, system, &tree).at(&partial)?;
    fs::rename(&partial, &path).at(&path)?;
    cache::keep_hash(&path)?;
    forget(&tree)?;
    forget_others(&folder, &path)?;
    Ok(path)
}

/// Removes archives of earlier packages and builds.
fn forget_others(folder: &Path, path: &Path) -> Result<()> {
    let kept = path.file_name().unwrap_or_default().to_string_lossy();
    for entry in fs::read_dir(folder).at(folder)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(ARCHIVE_PREFIX) && !name.starts_with(&*kept) {
            fs::remove_file(entry.path()).at(&entry.path())?;
        }
    }
    Ok(())
}

/// The packages, each as it was when it was downloaded.
fn fetched(cache: &Cache, system: &System, folder: &Path) -> Result<Vec<PathBuf>> {
    let wanted = system.packages.join(" ");
    let list = folder.join("packages");
    let debs = folder.join("debs");
    if fs::read_to_string(&list).is_ok_and(|had| had == wanted) {
        return intact(&debs);
    }
    let (name, architecture) = (system.name, system.board.architecture());
    eprintln!("lab: fetching the {name} from Debian {SUITE} for {architecture} (up to 45 MB)");
    let repository = Repository::new(cache, SUITE, architecture)?;
    repository.update()?;
    forget(&debs)?;
    repository.download_all(system.packages, &debs)?;
    fs::write(&list, wanted).at(&list)?;
    intact(&debs)
}

fn intact(folder: &Path) -> Result<Vec<PathBuf>> {
    let debs = packages::debs(folder)?;
    for deb in &debs {
        if !cache::is_intact(deb)? {
            let path = deb.display();
            return Err(LabError::Unexpected(format!(
                "{path} has no SHA-256 beside it. Delete its folder and try again."
            )));
        }
    }
    Ok(debs)
}

/// A name for the content: packages' files have their versions in their names.
fn key(system: &System, debs: &[PathBuf]) -> String {
    const BYTES: usize = 8;
    let mut hash = Sha256::new();
    hash.update(FORM);
    for (path, content) in system.all_files().chain(system.all_links()) {
        hash.update(path);
        hash.update(content);
    }
    for beginning in system.left_out {
        hash.update(beginning);
    }
    for deb in debs {
        hash.update(deb.file_name().unwrap_or_default().as_encoded_bytes());
    }
    hex(hash.finalize().get(..BYTES).unwrap_or_default())
}
