//! A Debian in a folder of the guest, whose systemd is the guest's first process while the scenario
//! runs beside it: a real desktop as the host, or the system of the board that is the stick. Both
//! see the same kernel and the same devices, each its own files: the daemon under test does not
//! depend on Debian's libraries. `crates/lab` makes the folder. Used by [`init`](crate::init) and
//! scenarios.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::unistd::{ForkResult, chdir, chroot, execv, fork};

use crate::error::{Doing, ensure};
use crate::mount::Mount;
use crate::{Result, report, wait};

/// Which Debian a guest has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// The host's: a desktop that mounts what is plugged in.
    Desktop,
    /// The stick's own.
    Stick,
}

/// Where Debian lies in the guest.
pub const ROOT: &str = "/debian";

/// Debian's first process, and what it is told: no more than a machine without a screen needs.
const SYSTEMD: [&str; 2] = ["/usr/lib/systemd/systemd", "--unit=multi-user.target"];

impl System {
    /// What else it is told: where to log, for one. The stick's console is the protocol's line.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Desktop => &["--log-target=console"],
            Self::Stick => &["--log-target=journal-or-kmsg", "--show-status=no"],
        }
    }
}

/// Where udisks mounts for root.
const MOUNTS: &str = "/media/root";

/// From nothing to a mounted drive, Debian's start included, on an emulated processor.
pub const MOUNT_LIMIT: Duration = Duration::from_secs(600);

/// Makes Debian's systemd the first process, and goes on in a child: the scenario's process.
///
/// # Errors
/// The kernel refuses, or there is no Debian in this guest.
pub fn start(system: System) -> Result<()> {
    ensure(Path::new(ROOT).is_dir(), || {
        format!("this guest has no {ROOT}: the archive with the {system:?} is missing")
    })?;
    // SAFETY: this is the first process and has no thread beside this one yet.
    match unsafe { fork() }.doing("making the scenario's process")? {
        ForkResult::Child => Ok(()),
        ForkResult::Parent { .. } => become_systemd(system).map(|never| match never {}),
    }
}

fn become_systemd(system: System) -> Result<Infallible> {
    // systemd wants a mount point as its root, and moves nothing where all is its own.
    mount(
        Some(ROOT),
        ROOT,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .doing("making a root for Debian")?;
    chroot(ROOT).doing("entering Debian")?;
    chdir("/").doing("entering Debian")?;
    let words: Vec<CString> = SYSTEMD
        .iter()
        .chain(system.words())
        .filter_map(|word| CString::new(*word).ok())
        .collect();
    let program = CString::new(SYSTEMD[0]).unwrap_or_default();
    execv(&program, &words).doing("starting systemd")
}

/// Runs a program of Debian's that must succeed, and reports what it printed.
///
/// # Errors
/// It is missing or failed; the message holds what it said.
pub fn run(words: &[&str]) -> Result<String> {
    let said = told_by(words)?;
    report::step(format!("{}: {said}", words.join(" ")));
    Ok(said)
}

/// As [`run`], without the report.
///
/// # Errors
/// As [`run`].
pub fn told_by(words: &[&str]) -> Result<String> {
    let (program, arguments) = words.split_first().unwrap_or((&"true", &[]));
    let what = words.join(" ");
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null());
    // SAFETY: between fork and exec two system calls are made, on constant strings.
    unsafe {
        command.pre_exec(|| {
            chroot(ROOT)
                .and_then(|()| chdir("/"))
                .map_err(io::Error::from)
        });
    }
    let output = command.output().doing(&what)?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    ensure(output.status.success(), || {
        format!("{what}: {}: {}", output.status, said(&output.stderr))
    })?;
    Ok(said(&output.stdout))
}

/// Waits until the desktop has mounted a volume of this label by itself.
///
/// # Errors
/// It does not in time.
pub fn wait_mounted(label: &str, limit: Duration) -> Result<(Mount, Duration)> {
    let at = mount_point(label);
    let what = format!("the desktop to mount {label}");
    let (mount, took) = wait::until(
        &what,
        limit,
        || Ok(is_mounted(&at)?.then(|| Mount::at(&at))),
    )?;
    report::step(format!(
        "the desktop mounted {label} after {} ms",
        took.as_millis()
    ));
    Ok((mount, took))
}

/// Whether a volume of this label is mounted.
///
/// # Errors
/// The kernel's list cannot be read.
pub fn has_mounted(label: &str) -> Result<bool> {
    is_mounted(&mount_point(label))
}

fn mount_point(label: &str) -> PathBuf {
    PathBuf::from(format!("{ROOT}{MOUNTS}/{label}"))
}

fn is_mounted(at: &Path) -> Result<bool> {
    let mounts = fs::read_to_string("/proc/self/mounts").doing("reading what is mounted")?;
    let at = at.to_string_lossy();
    let mut points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    Ok(points.any(|point| point == at))
}
