//! The first process of a guest: mounts what a Linux needs, loads modules, runs the scenario that
//! the kernel's command line names, tells how it ended, exports the stick, and switches off.

use std::any::Any;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};

use crate::debian::System;
use crate::error::{Doing, ensure};
use crate::modules::{self, Modules};
use crate::protocol::Line;
use crate::scenario::{self, Lab, Scenario};
use crate::{Failure, Result, clock, daemon, debian, gadget, report, stick, sysfs, wait};

/// The parameter of the kernel's command line with the serial line of the protocol.
pub const LINE_PARAMETER: &str = "lab.line";

/// The parameter with the disk that takes the stick's files at the end.
pub const EXPORT_PARAMETER: &str = "lab.export";

/// The parameter with the FAT volume that holds the model, where it is not in the archive.
pub const CARD_PARAMETER: &str = "lab.card";

/// The level below which the kernel's console shows a message then: those worse than errors
/// (`syslog(2)`).
const GRAVE_LEVEL: &str = "3";

/// How long a card takes to be found.
const CARD_LIMIT: Duration = Duration::from_secs(60);

/// File systems, where they belong, and what is mounted there.
const MOUNTS: [(&str, &str); 5] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
];

/// Runs as the guest's first process; never returns.
pub fn main() -> ! {
    let result = mounts().and_then(|()| run(&lab()?));
    if let Err(error) = result {
        report::tell(&Line::Fail(error.to_string()));
    }
    // Whatever was not written is a matter of tmpfs.
    let _ = reboot(RebootMode::RB_POWER_OFF);
    panic!("the guest cannot be switched off");
}

fn mounts() -> Result<()> {
    for (kind, at) in MOUNTS {
        fs::create_dir_all(at).doing(format!("making {at}"))?;
        mount(Some(kind), at, Some(kind), MsFlags::empty(), None::<&str>)
            .doing(format!("mounting {at}"))?;
    }
    Ok(())
}

/// What the kernel was started with.
fn lab() -> Result<Lab> {
    let parameters = fs::read_to_string("/proc/cmdline").doing("reading the command line")?;
    let lab = Lab::from_command_line(&parameters);
    let line = place(&lab, LINE_PARAMETER)?;
    report::open(line).doing(format!("opening {}", line.display()))?;
    share_line(line)?;
    clock::reached("init")?;
    Ok(lab)
}

/// Where the kernel's console is the protocol's line, the kernel says no more than what is grave
/// from now on: it would write into the middle of ours.
fn share_line(line: &Path) -> Result<()> {
    let name = line.file_name().unwrap_or_default().to_string_lossy();
    let consoles = sysfs::read("/proc/consoles")?;
    match consoles.lines().any(|console| console.starts_with(&*name)) {
        true => sysfs::write("/proc/sys/kernel/printk", GRAVE_LEVEL),
        false => Ok(()),
    }
}

fn place<'a>(lab: &'a Lab, parameter: &str) -> Result<&'a Path> {
    let value = lab.parameter(parameter).map(Path::new);
    value.ok_or_else(|| Failure::Wrong(format!("the command line has no {parameter}")))
}

/// The disk that takes the stick's files.
///
/// # Errors
/// The command line does not name it.
pub fn export(lab: &Lab) -> Result<&Path> {
    place(lab, EXPORT_PARAMETER)
}

fn run(lab: &Lab) -> Result<()> {
    let export = export(lab)?;
    let scenario = scenario::find(lab.name())?;
    load_modules(scenario)?;
    if let Some(card) = lab.parameter(CARD_PARAMETER) {
        mount_card(Path::new(card))?;
    }
    // The stick's own is started by its scenario, when all is installed.
    if scenario.debian == Some(System::Desktop) {
        debian::start(System::Desktop)?;
    }
    fs::create_dir_all(stick::FOLDER).doing("making the stick's folder")?;
    report::step(format!("kernel {}", kernel_release()?));
    let verdict = panic::catch_unwind(AssertUnwindSafe(|| (scenario.run)(lab)));
    stick::export(export)?;
    report::tell(&Line::Exported);
    match verdict {
        Ok(Ok(())) => report::tell(&Line::Pass),
        Ok(Err(error)) => return Err(error),
        Err(panic) => return Err(Failure::Wrong(panic_text(panic.as_ref()))),
    }
    Ok(())
}

fn load_modules(scenario: &Scenario) -> Result<()> {
    let mut modules = Modules::from_list()?;
    modules.load_all(&modules::BASIC)?;
    modules.load_all(&modules::FAT)?;
    if !scenario.kernel_is_ready {
        return Ok(());
    }
    if scenario.host_has_disks {
        modules.load(modules::DISK)?;
    }
    modules.load_all(&modules::GADGET)?;
    modules.load_all(&modules::HOST)?;
    mount_configfs()?;
    let udc = Path::new("/sys/class/udc").join(gadget::UDC);
    ensure(udc.exists(), || {
        format!("the kernel has no {}", gadget::UDC)
    })
}

/// Mounts the card with the model where the archive would have it.
fn mount_card(device: &Path) -> Result<()> {
    wait::until_true("the card", CARD_LIMIT, || device.exists())?;
    let folder = Path::new(daemon::MODEL).parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).doing("making a folder for the card")?;
    let what = format!("mounting {}", device.display());
    mount(
        Some(device),
        folder,
        Some("vfat"),
        MsFlags::MS_RDONLY,
        None::<&str>,
    )
    .doing(what)
}

/// Mounts configfs where it belongs.
///
/// # Errors
/// Its module is not loaded.
pub fn mount_configfs() -> Result<()> {
    let at = "/sys/kernel/config";
    mount(
        Some("configfs"),
        at,
        Some("configfs"),
        MsFlags::empty(),
        None::<&str>,
    )
    .doing("mounting configfs")
}

fn kernel_release() -> Result<String> {
    sysfs::read("/proc/sys/kernel/osrelease")
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the scenario panicked: {}", text.unwrap_or("no message"))
}
