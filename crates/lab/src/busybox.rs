//! busybox for a guest: its shell, and the few tools that its scenarios call. A PC gets the one of
//! this machine, any other board Debian's for its processor. Used by
//! [`initramfs`](crate::initramfs).

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::{self, Cache};
use crate::error::At;
use crate::packages::{self, Repository};
use crate::{Board, LabError, Result, tool};

const PROGRAM: &str = "busybox";

/// It needs no libraries.
const PACKAGE: &str = "busybox-static";

const SUITE: &str = "bookworm";

/// Where it lies in its package: in `/usr` since Debian 13.
const PLACES: [&str; 2] = ["bin/busybox", "usr/bin/busybox"];

/// The program for a board, fetched where it is not in the cache.
///
/// # Errors
/// It is not on this machine, or it cannot be fetched.
pub fn get(cache: &Cache, board: Board) -> Result<PathBuf> {
    match board {
        Board::Pc => tool::find(PROGRAM),
        Board::PiZero => fetched(cache, board.architecture()),
    }
}

fn fetched(cache: &Cache, architecture: &'static str) -> Result<PathBuf> {
    let folder = cache.folder(&format!("programs/{SUITE}-{architecture}"))?;
    let tree = folder.join("tree");
    let kept = packages::deb_in(&folder, PACKAGE).filter(|deb| deb.is_file());
    let deb = match kept {
        Some(deb) if cache::is_intact(&deb)? => deb,
        _ => {
            eprintln!("lab: fetching {PACKAGE} from Debian {SUITE} for {architecture}");
            let repository = Repository::new(cache, SUITE, architecture)?;
            repository.update()?;
            cache::forget(&tree)?;
            repository.download(PACKAGE, &folder)?
        }
    };
    if !tree.is_dir() {
        let partial = folder.join("partial");
        cache::forget(&partial)?;
        packages::unpack(&deb, &partial)?;
        fs::rename(&partial, &tree).at(&tree)?;
    }
    in_tree(&tree)
}

fn in_tree(tree: &Path) -> Result<PathBuf> {
    let mut places = PLACES.iter().map(|place| tree.join(place));
    places
        .find(|path| path.is_file())
        .ok_or_else(|| LabError::Unexpected(format!("{PACKAGE} holds no {PROGRAM}")))
}
