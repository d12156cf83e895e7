//! Whether ext4 outlived a cut, and what a board's start does for it. Used by [`torture`](super).
//!
//! The superblock has 1,024 bytes, and its checksum in the last of them: a disk that writes one of
//! its two sectors and not the other leaves a file system that neither Linux mounts nor
//! `e2fsck -p` mends. `e2fsck -y` takes another copy and replays the journal. Raspberry Pi OS
//! starts with it (`fsck.repair=yes` in its `cmdline.txt`; systemd-fsck@.service(8)).

use std::path::Path;
use std::process::Output;

use crate::error::At;
use crate::{Result, tool};

/// What became of a file system.
#[derive(Debug, PartialEq, Eq)]
pub enum Checked {
    /// Its journal, which the guest is to replay, is all that it needs.
    Whole,
    /// Its superblock was torn, and `e2fsck -y` has mended it; what `e2fsck -p` said.
    Mended(String),
    /// It has another fault, or cannot be mended; what `e2fsck` said.
    Broken(String),
}

/// What `e2fsck` says of a torn superblock, and of nothing else.
const TORN: &str = "Superblock checksum does not match superblock";

/// Looks at a copy; mends the disk itself only where a board would have to.
///
/// # Errors
/// A tool is missing, or there is no room for the copy.
pub fn check(disk: &Path, copy: &Path) -> Result<Checked> {
    let mut cp = tool::command("cp");
    tool::run(cp.arg("--sparse=always").args([disk, copy]))?;
    let refused = e2fsck("-p", copy)?;
    if is_content(&refused) {
        return Ok(Checked::Whole);
    }
    let why = said(&refused);
    if !why.contains(TORN) {
        return Ok(Checked::Broken(why));
    }
    let mended = e2fsck("-y", disk)?;
    Ok(if is_content(&mended) {
        Checked::Mended(why)
    } else {
        Checked::Broken(said(&mended))
    })
}

fn e2fsck(how: &str, disk: &Path) -> Result<Output> {
    let mut e2fsck = tool::command("e2fsck");
    e2fsck.args(["-f", how]).arg(disk).output().at(disk)
}

fn is_content(checked: &Output) -> bool {
    /// Bits of its exit status: errors were corrected.
    const CORRECTED: i32 = 1;
    matches!(checked.status.code(), Some(0 | CORRECTED))
}

fn said(checked: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    format!("{}\n{}", text(&checked.stderr), text(&checked.stdout))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    const SECTOR_BYTES: usize = 512;

    #[test]
    fn a_torn_superblock_is_mended_with_another_copy() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (disk, copy) = (folder.path().join("disk"), folder.path().join("copy"));
        let file = File::create_new(&disk).expect("room");
        file.set_len(super::super::DISK_BYTES).expect("room");
        let mut mkfs = tool::command("mkfs.ext4");
        tool::run(mkfs.args(["-q", "-F"]).arg(&disk)).expect("a file system");
        assert_eq!(check(&disk, &copy).expect("tools"), Checked::Whole);

        let mut second_half = [0; SECTOR_BYTES];
        let offset = 3 * SECTOR_BYTES as u64;
        file.read_exact_at(&mut second_half, offset).expect("it");
        let mut label = tool::command("tune2fs");
        tool::run(label.args(["-L", "new"]).arg(&disk)).expect("another superblock");
        let file = File::options().write(true).open(&disk).expect("it");
        file.write_all_at(&second_half, offset).expect("room");
        let checked = check(&disk, &copy).expect("tools");
        assert!(
            matches!(&checked, Checked::Mended(why) if why.contains("checksum")),
            "{checked:?}"
        );
        assert_eq!(check(&disk, &copy).expect("tools"), Checked::Whole);
    }
}
