//! The service as systemd and the kernel show it. Used by the scenarios of the service.

use std::path::Path;
use std::time::Duration;

use crate::error::ensure;
use crate::{Failure, Result, debian, report, sysfs};

/// Its name.
pub const SERVICE: &str = "promptstick.service";

/// What the service has logged, in a form that journalctl knows.
///
/// # Errors
/// The journal cannot be read.
pub fn journal(form: &str) -> Result<String> {
    debian::told_by(&[
        "journalctl",
        "--unit",
        SERVICE,
        "--output",
        form,
        "--no-pager",
    ])
}

/// A property of a unit as systemd tells it, or of systemd itself where the name is empty.
///
/// # Errors
/// systemd does not answer.
pub fn property(unit: &str, name: &str) -> Result<String> {
    let name = format!("--property={name}");
    let mut words = vec!["systemctl", "show", "--value", &name];
    words.extend((!unit.is_empty()).then_some(unit));
    debian::told_by(&words)
}

/// How long after the kernel's start something happened to a unit, or to systemd itself: a property
/// that ends in `TimestampMonotonic` (org.freedesktop.systemd1(5)).
///
/// # Errors
/// It has not happened.
pub fn reached(unit: &str, name: &str) -> Result<Duration> {
    let name = format!("{name}TimestampMonotonic");
    let text = property(unit, &name)?;
    let us = text.parse().ok().filter(|us| *us > 0);
    let us = us.ok_or_else(|| Failure::Wrong(format!("{name} of {unit:?} is {text:?}")))?;
    Ok(Duration::from_micros(us))
}

/// The daemon's process.
///
/// # Errors
/// As [`property`].
pub fn main_pid() -> Result<String> {
    property(SERVICE, "MainPID")
}

/// The daemon, whose rights the process with the model inherits, is not root and has no right of
/// root's.
///
/// # Errors
/// It is or has.
pub fn ensure_confined() -> Result<()> {
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
    })
}
