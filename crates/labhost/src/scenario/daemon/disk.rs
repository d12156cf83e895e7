//! The disk under the stick's image is full: the device's own trouble, which costs the host nothing
//! but time.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mount::{MsFlags, mount};

use crate::error::{Doing, ensure};
use crate::mount::How;
use crate::scenario::Lab;
use crate::scenario::steps::{Plugged, QUESTION, SWAP_LIMIT, ask, inserted, log, response_on};
use crate::{Result, files, report, stick, wait};

/// The disk: enough for the image, which gets all its room, and for what the daemon keeps beside it.
const DISK: &str = "size=96m";

/// What is written at once until the disk is full.
const PAGE_BYTES: usize = 4096;

/// The host's own file.
const KEPT_BYTES: usize = 300_000;

/// How long the drive is watched: longer than three attempts, each of which takes the medium out
/// for an instant.
const WATCHED: Duration = Duration::from_secs(15);

/// The disk is full when the host lets go of the volume. The drive stays, and can be mounted; the
/// answer is on it when there is room again.
pub fn full(lab: &Lab) -> Result<()> {
    small()?;
    let mut stick = Plugged::on_desktop("")?;
    let mount = stick.mount(How::Flush)?;
    let kept = files::random(lab.seed(), KEPT_BYTES);
    mount.put_synced("kept.bin", &kept)?;
    ask(&mount, "prompt.txt", QUESTION)?;
    stick.wait_answered(1)?;
    let filler = fill()?;
    mount.unmount()?;
    stick.daemon.wait_logged(log::NO_JOURNAL, SWAP_LIMIT)?;

    wait::pass(WATCHED);
    ensure(!inserted(0)?.is_empty(), || "the drive is empty".into())?;
    let mount = stick.mount(How::ReadOnly)?;
    let seen = mount.get("kept.bin")?.unwrap_or_default();
    files::ensure_same("kept.bin", &seen, &kept)?;
    mount.unmount()?;
    ensure(stick.published() == 0, || "there was no room".into())?;
    ensure(stick.daemon.times_logged(log::NO_JOURNAL) == 1, || {
        "the same trouble is reported again and again".into()
    })?;

    fs::remove_file(&filler).doing("removing the filler")?;
    report::step("the disk has room again");
    stick.wait_published(1)?;
    let mount = stick.mount_showing("prompt.response.txt")?;
    response_on(&mount, "prompt.txt")?;
    mount.unmount()?;
    stick.daemon.stop()
}

/// Puts a small disk under the stick's folder.
pub fn small() -> Result<()> {
    let flags = MsFlags::empty();
    let folder = Path::new(stick::FOLDER);
    mount(Some("disk"), folder, Some("tmpfs"), flags, Some(DISK)).doing("mounting the disk")
}

/// Fills the disk to its last page; gives the file that does.
pub fn fill() -> Result<PathBuf> {
    let path = Path::new(stick::FOLDER).join("filler");
    let mut file = File::create(&path).doing("making the filler")?;
    let page = [1; PAGE_BYTES];
    let mut pages = 0;
    while file.write_all(&page).is_ok() {
        pages += 1;
    }
    report::step(format!("the disk is full after {pages} pages"));
    Ok(path)
}
