//! The service as systemd and the kernel show it. Used by the scenarios of the service.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::debian::ROOT;
use crate::error::ensure;
use crate::{Failure, Result, debian, report, sysfs, wait};

/// Its name.
pub const SERVICE: &str = "promptstick.service";

/// Its control group: no other stands between it and the root.
const GROUP: &str = "sys/fs/cgroup/promptstick.service";

/// As the kernel writes a set of capabilities.
const NO_CAPABILITIES: &str = "0000000000000000";

/// `CPUWeight` and `MemoryLow` of the unit, as the kernel has them.
const WEIGHT: &str = "20";
const KEPT_BYTES: &str = "167772160";

/// The weight for the start ends with the start; systemd tells the kernel when it comes to that.
const WEIGHT_LIMIT: Duration = Duration::from_secs(60);

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

/// The processes of the service, as its control group lists them.
///
/// # Errors
/// There is no such group.
pub fn pids() -> Result<Vec<String>> {
    let text = sysfs::read(group("cgroup.procs"))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// A file of the service's control group.
pub fn group(file: &str) -> PathBuf {
    Path::new(ROOT).join(GROUP).join(file)
}

/// The daemon and the process with the model, which must be there, are not root, have no right of
/// root's, and cannot get one.
///
/// # Errors
/// One is, has or can.
pub fn ensure_confined() -> Result<()> {
    let pids = pids()?;
    ensure(pids.len() >= 2, || {
        format!("there is no process with the model: {pids:?}")
    })?;
    pids.iter().try_for_each(|pid| ensure_process_confined(pid))
}

fn ensure_process_confined(pid: &str) -> Result<()> {
    let status = sysfs::read(Path::new("/proc").join(pid).join("status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let uid = field("Uid:");
    ensure(!uid.is_empty() && !uid.starts_with("0\t"), || {
        format!("process {pid} is root: {uid:?}")
    })?;
    for (name, wanted) in [
        ("CapInh:", NO_CAPABILITIES),
        ("CapPrm:", NO_CAPABILITIES),
        ("CapEff:", NO_CAPABILITIES),
        ("CapBnd:", NO_CAPABILITIES),
        ("CapAmb:", NO_CAPABILITIES),
        ("NoNewPrivs:", "1"),
        // A filter of system calls.
        ("Seccomp:", "2"),
    ] {
        let seen = field(name);
        ensure(seen == wanted, || {
            format!("process {pid}: {name} {seen}, not {wanted}")
        })?;
    }
    report::step(format!("process {pid} is confined"));
    Ok(())
}

/// Whatever else runs comes before thinking, and the memory of the service is kept for it.
///
/// # Errors
/// The kernel was told something else, or does not know of it.
pub fn ensure_modest() -> Result<()> {
    let what = "the weight for thinking";
    wait::until_true(what, WEIGHT_LIMIT, || {
        sysfs::read(group("cpu.weight")).is_ok_and(|weight| weight == WEIGHT)
    })?;
    let kept = sysfs::read(group("memory.low"))?;
    ensure(kept == KEPT_BYTES, || format!("memory.low is {kept}"))
}
