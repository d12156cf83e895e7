//! busybox for a guest: its shell, and the few tools that its scenarios call. A PC gets the one of
//! this machine, any other board Debian's for its processor. Used by
//! [`initramfs`](crate::initramfs).

use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::packages;
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
        Board::PiZero => {
            let architecture = board.architecture();
            in_tree(&packages::unpacked(
                cache,
                "programs",
                SUITE,
                architecture,
                PACKAGE,
            )?)
        }
    }
}

fn in_tree(tree: &Path) -> Result<PathBuf> {
    let mut places = PLACES.iter().map(|place| tree.join(place));
    places
        .find(|path| path.is_file())
        .ok_or_else(|| LabError::Unexpected(format!("{PACKAGE} holds no {PROGRAM}")))
}
