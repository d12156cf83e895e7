//! The daemon as a service of Debian's systemd, with the files of `systemd/` as they are shipped:
//! as its own user, in its sandbox, started by udev, started again when it dies, and gone when it
//! is stopped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Lab;
use super::daemon::led::{caps_lock, shows};
use super::steps::{ANSWER_LIMIT, QUESTION, ask, log};
use crate::debian::{self, MOUNT_LIMIT, ROOT};
use crate::error::{Doing, ensure};
use crate::gadget::GADGETS;
use crate::lun::Lun;
use crate::mount::Mount;
use crate::stick::LABEL;
use crate::{Failure, Result, daemon, report, stick, sysfs, wait};

/// What a package would install, and where.
const FILES: [(&str, &str); 5] = [
    (
        "usr/lib/systemd/system/promptstick.service",
        include_str!("../../../../systemd/promptstick.service"),
    ),
    (
        "usr/lib/udev/rules.d/70-promptstick.rules",
        include_str!("../../../../systemd/70-promptstick.rules"),
    ),
    (
        "usr/lib/sysusers.d/promptstick.conf",
        include_str!("../../../../systemd/promptstick.sysusers"),
    ),
    (
        "usr/lib/tmpfiles.d/promptstick.conf",
        include_str!("../../../../systemd/promptstick.tmpfiles"),
    ),
    (
        "etc/promptstick.toml",
        include_str!("../../../../systemd/promptstick.toml"),
    ),
];

/// A daemon that may only change the delays of the kernel's timer.
const READY: [(&str, &str); 3] = [
    ("trigger", "[timer]"),
    ("delay_on", "1000"),
    ("delay_off", "0"),
];

/// Where the shipped configuration looks for the model.
const MODEL: &str = "usr/share/promptstick/promptstick-demo-q8_0.gguf";
/// Where it has the image.
const IMAGE: &str = "var/lib/promptstick/stick.img";

/// Where the shipped unit looks for the program.
const PROGRAM: &str = "usr/bin/promptstick";
/// Where the libraries are that the program was built with.
const LIBRARIES: &str = "/lib/x86_64-linux-gnu";

const SERVICE: &str = "promptstick.service";
/// As docs/SERVICE.md says. The least exposed that systemd knows is 0, the most 10.
const MOST_EXPOSED: f64 = 0.5;

/// From the first start to the end.
pub fn service(_: &Lab) -> Result<()> {
    let led = caps_lock()?;
    install(&led)?;
    let (mount, took) = debian::wait_mounted(LABEL, MOUNT_LIMIT)?;
    report::measured("mounted", took);
    ensure_confined()?;
    shows(&led, "ready", &READY)?;
    ask(&mount, "prompt.txt", QUESTION)?;
    let mount = answered("prompt.response.txt")?;

    let lun = Lun::wait(0)?;
    let (first, medium) = (main_pid()?, lun.medium_number()?);
    debian::run(&["systemctl", "kill", "--signal=KILL", SERVICE])?;
    wait::until_true("the service to be started again", ANSWER_LIMIT, || {
        main_pid().is_ok_and(|pid| pid != first && pid != "0")
    })?;
    let (_, took) = wait::until("the drive to be taken over", ANSWER_LIMIT, || {
        Ok(journal()?.contains(log::ADOPTED).then_some(()))
    })?;
    report::measured("taken_over", took);
    ensure(lun.medium_number()? == medium, || {
        "the host saw the daemon die".into()
    })?;
    ask(&mount, "second.txt", QUESTION)?;
    answered("second.response.txt")?;
    unmount()?;

    debian::run(&["systemctl", "stop", SERVICE])?;
    let left = sysfs::names(GADGETS);
    ensure(left.is_empty(), || format!("the service leaves {left:?}"))?;
    fs::copy(Path::new(ROOT).join(IMAGE), stick::image())
        .doing("keeping the image")
        .map(drop)
}

/// Does what a package does, and what an operator whose board has another LED does, and lets udev
/// find the controller.
fn install(led: &Path) -> Result<()> {
    wait::until_true("systemd", MOUNT_LIMIT, || {
        debian::run(&["systemctl", "is-active", "dbus.service"]).is_ok()
    })?;
    let led = led.file_name().unwrap_or_default().to_string_lossy();
    for (path, content) in FILES {
        let content = content
            .replace("leds/ACT", &format!("leds/{led}"))
            .replace("led = \"ACT\"", &format!("led = \"{led}\""));
        write(path, content.as_bytes(), 0o644)?;
    }
    let read = |path: &str| fs::read(path).doing(path);
    write(PROGRAM, &read(daemon::PROGRAM)?, 0o755)?;
    write(MODEL, &read(daemon::MODEL)?, 0o644)?;
    if debian::run(&[&format!("/{PROGRAM}"), "--version"]).is_err() {
        update_libraries()?;
        debian::run(&[&format!("/{PROGRAM}"), "--version"])?;
    }
    debian::run(&["systemd-sysusers"])?;
    debian::run(&["systemd-tmpfiles", "--create", "promptstick.conf"])?;
    debian::run(&["systemctl", "daemon-reload"])?;
    debian::run(&["udevadm", "control", "--reload"])?;
    debian::run(&[
        "udevadm",
        "trigger",
        "--action=add",
        "--subsystem-match=udc",
    ])?;
    Ok(())
}

/// The program was built on a newer system than this Debian: its libraries, with which Debian's
/// programs run as well, take the place of Debian's.
fn update_libraries() -> Result<()> {
    let mut libraries = sysfs::paths(LIBRARIES);
    libraries.extend(sysfs::paths("/lib64"));
    for library in libraries {
        let content = fs::read(&library).doing("reading a library")?;
        let path = library.to_string_lossy().into_owned();
        let path = path.trim_start_matches('/');
        let new = format!("{path}.new");
        write(&new, &content, 0o755)?;
        let at = |path: &str| Path::new(ROOT).join(path);
        // Whoever has the old one open goes on with it.
        fs::rename(at(&new), at(path)).doing("replacing a library")?;
        report::step(format!("replaced {path}"));
    }
    Ok(())
}

fn write(path: &str, content: &[u8], mode: u32) -> Result<()> {
    let path = Path::new(ROOT).join(path);
    let folder = path.parent().unwrap_or(Path::new(ROOT));
    fs::create_dir_all(folder).doing("making a folder")?;
    fs::write(&path, content).doing(path.to_string_lossy())?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).doing(path.to_string_lossy())
}

/// The user unmounts, and the drive comes back with the response: mounted again by the desktop.
fn answered(response: &str) -> Result<Mount> {
    unmount()?;
    let (mount, took) = wait::until(response, ANSWER_LIMIT, || {
        let (mount, _) = debian::wait_mounted(LABEL, ANSWER_LIMIT)?;
        Ok(mount.get(response)?.is_some().then_some(mount))
    })?;
    report::measured(response, took);
    let bytes = mount.get(response)?.unwrap_or_default();
    ensure(!bytes.is_empty(), || format!("{response} is empty"))?;
    Ok(mount)
}

fn unmount() -> Result<()> {
    let device = Lun::wait(0)?.block()?.to_string_lossy().into_owned();
    debian::run(&["udisksctl", "unmount", "-b", &device]).map(drop)
}

/// What the service has logged.
fn journal() -> Result<String> {
    debian::run(&[
        "journalctl",
        "--unit",
        SERVICE,
        "--output",
        "cat",
        "--no-pager",
    ])
}

fn main_pid() -> Result<String> {
    debian::run(&[
        "systemctl",
        "show",
        "--value",
        "--property=MainPID",
        SERVICE,
    ])
}

/// The daemon, whose rights the process with the model inherits, is not root and has no right of
/// root's, and systemd's own measure says that little is exposed.
fn ensure_confined() -> Result<()> {
    let pid = main_pid()?;
    let status = sysfs::read(Path::new("/proc").join(&pid).join("status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let (uid, capabilities, strict) = (field("Uid:"), field("CapEff:"), field("Seccomp:"));
    report::step(format!(
        "uid {uid}, capabilities {capabilities}, seccomp {strict}"
    ));
    ensure(!uid.starts_with('0'), || "the daemon is root".into())?;
    ensure(capabilities.trim_matches('0').is_empty(), || {
        format!("the daemon has capabilities: {capabilities}")
    })?;
    ensure(strict == "2", || {
        "there is no filter of system calls".into()
    })?;
    let said = debian::run(&["systemd-analyze", "security", "--no-pager", SERVICE])?;
    let overall = said
        .lines()
        .find(|line| line.contains("Overall exposure level"));
    let level = overall.and_then(|line| {
        let words = line.split_whitespace();
        words
            .filter_map(|word| word.parse::<f64>().ok())
            .next_back()
    });
    let level = level.ok_or_else(|| Failure::Wrong("systemd-analyze gives no level".into()))?;
    report::step(format!("exposure: {level}"));
    ensure(level <= MOST_EXPOSED, || format!("exposed: {level}"))
}
