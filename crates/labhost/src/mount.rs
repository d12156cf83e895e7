//! What Linux does with a volume of the stick: mounts it, or makes a new one. Used by scenarios.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount, umount};

use crate::error::{Doing, ensure};
use crate::{Result, files, report, wait};

/// Longer than probes by others keep a device busy.
const BUSY_LIMIT: Duration = Duration::from_secs(20);

/// A disk whose node is there can be opened after so long, on a busy machine.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// Where the harness puts the host's formatting program (dosfstools).
pub const MKFS: &str = "/sbin/mkfs.fat";

/// Formats as desktops do: no partition table, FAT32, another serial number.
///
/// # Errors
/// The program is missing, or it failed.
pub fn format_whole_disk(device: &Path) -> Result<()> {
    let mut command = Command::new(MKFS);
    command
        .args(["-I", "-F", "32", "-n", "NEW STICK"])
        .arg(device);
    let output = command.output().doing(format!("starting {MKFS}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), || format!("{command:?}: {said}"))?;
    report::step("the host has formatted the drive");
    Ok(())
}

/// How a volume is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// As `mount` does without options: data reaches the stick when the kernel likes, 30 to 60 s
    /// later.
    Default,
    /// As desktops do: a file is on the stick when it has been closed.
    Flush,
    /// Each write goes through.
    Sync,
    /// Read-only.
    ReadOnly,
}

impl How {
    fn flags(self) -> MsFlags {
        match self {
            Self::Default | Self::Flush => MsFlags::empty(),
            Self::Sync => MsFlags::MS_SYNCHRONOUS,
            Self::ReadOnly => MsFlags::MS_RDONLY,
        }
    }

    fn options(self) -> &'static str {
        match self {
            Self::Flush => "utf8,flush,errors=remount-ro",
            _ => "utf8,errors=remount-ro",
        }
    }
}

/// A mounted volume. It stays mounted when this is dropped: a scenario says when it is unmounted.
#[derive(Debug)]
pub struct Mount {
    at: PathBuf,
}

impl Mount {
    /// Mounts `device` (a disk or a partition) at a folder of its own.
    ///
    /// # Errors
    /// The kernel finds no FAT volume, or the device is gone.
    pub fn new(device: &Path, how: How) -> Result<Self> {
        let name = device.file_name().unwrap_or_default();
        let at = Path::new("/mnt").join(name);
        fs::create_dir_all(&at).doing("making a folder to mount at")?;
        let what = format!("mounting {} ({how:?})", device.display());
        let options = Some(how.options());
        let mounted = || match mount(Some(device), &at, Some("vfat"), how.flags(), options) {
            // The node is there a moment before the disk can be opened.
            Err(Errno::ENXIO) => Ok(None),
            mounted => mounted.doing(&what).map(Some),
        };
        wait::until(&what, OPEN_LIMIT, mounted)?;
        report::step(what);
        Ok(Self { at })
    }

    /// A volume that somebody else has mounted there.
    pub fn at(folder: &Path) -> Self {
        Self {
            at: folder.to_path_buf(),
        }
    }

    /// The path of a file of the volume.
    pub fn path(&self, name: &str) -> PathBuf {
        self.at.join(name)
    }

    /// Writes a file and waits until it is on the stick (`fsync` of the file, then of its folder),
    /// and tells the harness that it must stay.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn put_synced(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.path(name);
        files::write_synced(&path, content)?;
        report::step(format!("wrote {name}, {} bytes, synced", content.len()));
        report::flushed(name, content);
        Ok(())
    }

    /// Writes a file and closes it, no more.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn put(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.path(name);
        fs::write(&path, content).doing(format!("writing {}", path.display()))?;
        report::step(format!("wrote {name}, {} bytes", content.len()));
        Ok(())
    }

    /// Reads a file; `None` where there is none.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        files::read_if_there(&self.path(name))
    }

    /// Deletes a file; the harness no longer looks for it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        fs::remove_file(&path).doing(format!("deleting {}", path.display()))?;
        report::gone(name);
        report::step(format!("deleted {name}"));
        Ok(())
    }

    /// Names in the top folder, sorted.
    pub fn list(&self) -> Vec<String> {
        crate::sysfs::names(&self.at)
    }

    /// Writes out all that the volume has in the cache (`syncfs`).
    ///
    /// # Errors
    /// The device is gone.
    pub fn sync(&self) -> Result<()> {
        let folder = fs::File::open(&self.at).doing("opening the volume's top folder")?;
        nix::unistd::syncfs(&folder).doing("syncing the volume")
    }

    /// Unmounts it. Everything is on the stick then.
    ///
    /// # Errors
    /// It is still in use after some time, or the device is gone.
    pub fn unmount(self) -> Result<()> {
        let ((), took) = wait::until("the volume to be free", BUSY_LIMIT, || {
            match umount(&self.at) {
                Ok(()) => Ok(Some(())),
                Err(Errno::EBUSY) => Ok(None),
                Err(error) => Err(error).doing(format!("unmounting {}", self.at.display())),
            }
        })?;
        report::step(format!("unmounted in {} ms", took.as_millis()));
        Ok(())
    }

    /// Detaches it at once, whatever is cached: what is left to do after the cable was pulled.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn abandon(self) -> Result<()> {
        nix::mount::umount2(&self.at, nix::mount::MntFlags::MNT_DETACH)
            .doing(format!("detaching {}", self.at.display()))
    }
}
