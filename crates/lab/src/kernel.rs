//! The kernels of guests: Debian's, unpacked in the cache with an index of their modules. A kernel
//! that is there is not fetched again. Used by [`initramfs`](crate::initramfs) and
//! [`guest`](crate::guest).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::board::Board;
use crate::cache::{self, Cache};
use crate::error::At;
use crate::packages::{self, Repository};
use crate::{LabError, Result, tool};

/// A line of kernels that hosts use, and the Debian releases that have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Series {
    /// Debian 12 and Raspberry Pi OS of 2023.
    V6_1,
    /// Debian 13 and Raspberry Pi OS of 2025.
    V6_12,
}

impl Series {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V6_1, Self::V6_12];

    /// How it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    /// Where Debian has it, and where else: a mirror that is being brought up to date lists kernels
    /// that it does not have yet.
    fn suites(self) -> &'static [&'static str] {
        match self {
            Self::V6_1 => &["bookworm"],
            Self::V6_12 => &["trixie", "bookworm-backports"],
        }
    }
}

/// What names of kernel packages begin with.
const PREFIX: &str = "linux-image-";

/// A kernel in the cache.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// The bootable image.
    pub image: PathBuf,
    /// `lib/modules/RELEASE` with `modules.dep`.
    pub modules: PathBuf,
    /// As `uname -r` prints it.
    pub release: String,
    /// What tells it about the board, where it has to be told.
    pub device_tree: Option<PathBuf>,
}

impl Kernel {
    /// The kernel of a series for a board, fetched where it is not in the cache.
    ///
    /// # Errors
    /// It cannot be fetched or unpacked, or what is in the cache was changed.
    pub fn get(cache: &Cache, board: Board, series: Series) -> Result<Self> {
        let (suite, architecture) = (series.suites()[0], board.architecture());
        let folder = cache.path(&format!("kernels/{suite}-{architecture}"));
        let tree = folder.join("tree");
        let deb = kept_deb(&folder)?;
        if deb.is_none() || !tree.is_dir() {
            fetch(cache, board, series, &folder, deb)?;
        }
        Self::in_tree(&tree, board)
    }

    fn in_tree(tree: &Path, board: Board) -> Result<Self> {
        let release = only_name(&tree.join("lib/modules"))?;
        let trees = tree.join("usr/lib").join(format!("{PREFIX}{release}"));
        Ok(Self {
            device_tree: board.device_tree().map(|name| trees.join(name)),
            image: tree.join("boot").join(format!("vmlinuz-{release}")),
            modules: tree.join("lib/modules").join(&release),
            release,
        })
    }
}

/// The package that was fetched earlier, its hash checked.
fn kept_deb(folder: &Path) -> Result<Option<PathBuf>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    match packages::debs(folder)?.pop() {
        Some(deb) if cache::is_intact(&deb)? => Ok(Some(deb)),
        _ => Ok(None),
    }
}

fn fetch(
    cache: &Cache,
    board: Board,
    series: Series,
    folder: &Path,
    deb: Option<PathBuf>,
) -> Result<()> {
    let deb = match deb {
        Some(deb) => deb,
        None => download(cache, board, series, folder)?,
    };
    eprintln!("lab: unpacking {}", deb.display());
    let partial = folder.join("partial");
    cache::forget(&partial)?;
    packages::unpack(&deb, &partial)?;
    merge_usr(&partial)?;
    // The packages come without an index; that of a running system is made when they are installed.
    let release = only_name(&partial.join("lib/modules"))?;
    tool::run(tool::command("depmod").arg("-b").arg(&partial).arg(release))?;
    let tree = folder.join("tree");
    cache::forget(&tree)?;
    fs::rename(&partial, &tree).at(&tree)
}

/// Fetches the package from the first release that has it; where none has, says why not the first.
fn download(cache: &Cache, board: Board, series: Series, folder: &Path) -> Result<PathBuf> {
    let architecture = board.architecture();
    let mut first_error = None;
    for suite in series.suites() {
        let name = series.name();
        eprintln!("lab: fetching the kernel {name} from Debian {suite} for {architecture}");
        let fetched = Repository::new(cache, suite, architecture).and_then(|repository| {
            repository.update()?;
            let package = repository.dependency(board.kernel_package(), PREFIX)?;
            repository.download(&package, folder)
        });
        match fetched {
            Ok(deb) => return Ok(deb),
            Err(error) => {
                eprintln!("lab: {error}");
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| LabError::Unexpected("no release has it".into())))
}

/// Since Debian 13 modules lie in `/usr/lib`; older depmods look in `/lib`.
fn merge_usr(tree: &Path) -> Result<()> {
    let lib = tree.join("lib");
    if lib.exists() {
        return Ok(());
    }
    symlink("usr/lib", &lib).at(&lib)
}

/// The name of the only entry of a folder.
fn only_name(folder: &Path) -> Result<String> {
    let mut entries = fs::read_dir(folder).at(folder)?.flatten();
    match (entries.next(), entries.next()) {
        (Some(entry), None) => Ok(entry.file_name().to_string_lossy().into_owned()),
        _ => Err(LabError::Unexpected(format!(
            "{} holds not one kernel's modules",
            folder.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_tells_its_kernel() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let modules = folder.path().join("lib/modules/6.1.0-1-amd64");
        fs::create_dir_all(&modules).expect("room");
        let kernel = Kernel::in_tree(folder.path(), Board::Pc).expect("one kernel");
        assert_eq!(kernel.device_tree, None);
        assert_eq!(kernel.release, "6.1.0-1-amd64");
        assert!(kernel.image.ends_with("boot/vmlinuz-6.1.0-1-amd64"));
        fs::create_dir(folder.path().join("lib/modules/other")).expect("room");
        assert!(Kernel::in_tree(folder.path(), Board::Pc).is_err());
    }
}
