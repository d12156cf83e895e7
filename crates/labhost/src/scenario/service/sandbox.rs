//! What the service's sandbox refuses. In the daemon's place a copy of the unit runs a script that
//! tries what a daemon in a stranger's hand would. Permissions would let it do most of that: a
//! second copy, with the same user and nothing else of the unit, does. Used by
//! [`service`](super).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::install;
use crate::debian::{self, ROOT};
use crate::error::{Doing, ensure};
use crate::gadget::GADGETS;
use crate::scenario::daemon::led::LEDS;
use crate::{Failure, Result, report, sysfs};

/// The unit that tries things with nothing of the sandbox, and the one with all of it.
const FREE: &str = "probe-free.service";
const CONFINED: &str = "probe-confined.service";

/// Where they are written, and what they run.
const UNITS: &str = "etc/systemd/system";
const SCRIPT: &str = "etc/probe.sh";

/// The folder in which the user may write: the results go there.
const RESULTS: &str = "var/lib/promptstick";

/// Files that anybody may write, as far as permissions go.
const OPEN_FILES: [&str; 2] = ["etc/open-to-all", "usr/open-to-all"];

/// A gadget that is not the service's.
const OTHER_GADGET: &str = "other";

/// What the script says of something that worked.
const DONE: &str = "done";

/// Something to try in bash, and a part of what is said to it: without the sandbox, and with it.
struct Probe {
    command: String,
    free: &'static str,
    confined: &'static str,
}

/// What is tried; `led` is one that is not the service's.
fn probes(led: &Path) -> Vec<Probe> {
    let probe = |command: &str, free, confined| Probe {
        command: command.to_owned(),
        free,
        confined,
    };
    let light = format!("echo 1 > {}/brightness", led.display());
    let gadget = format!("echo > {GADGETS}/{OTHER_GADGET}/UDC");
    vec![
        probe("echo > /etc/open-to-all", DONE, "Read-only file system"),
        probe("echo > /usr/open-to-all", DONE, "Read-only file system"),
        probe(&light, DONE, "Read-only file system"),
        // The service's own gadget lies beside it, so it is permissions that refuse this.
        probe(&gadget, "Permission denied", "Permission denied"),
        probe("echo > /tmp/probe", DONE, "Permission denied"),
        probe("ls /boot", DONE, "Permission denied"),
        probe("ls /run/dbus", DONE, "No such file"),
        probe("ls /dev/vda", DONE, "No such file"),
        probe("ls /proc/1", DONE, "No such file"),
        probe(
            "exec 3<> /dev/tcp/127.0.0.1/9",
            "Connection refused",
            "Address family not supported",
        ),
        probe("chmod u+s \"$1\"", DONE, "Operation not permitted"),
        probe(
            "setarch --addr-no-randomize true",
            DONE,
            "Operation not permitted",
        ),
    ]
}

/// Each probe is refused by the service's sandbox, and by it alone. `led` is the service's.
///
/// # Errors
/// One is not, or would not be done without the sandbox either.
pub fn ensure_refuses(led: &Path) -> Result<()> {
    let probes = probes(&another_led(led)?);
    install::write(SCRIPT, script(&probes).as_bytes(), 0o755)?;
    for path in OPEN_FILES {
        install::write(path, b"", 0o666)?;
    }
    let unit = Path::new(ROOT).join("usr/lib/systemd/system/promptstick.service");
    let unit = fs::read_to_string(unit).doing("reading the unit")?;
    write_unit(CONFINED, &confined(&unit))?;
    write_unit(FREE, "[Service]\nUser=promptstick\n")?;
    debian::run(&["systemctl", "daemon-reload"])?;

    let gadget = Path::new(GADGETS).join(OTHER_GADGET);
    fs::create_dir(&gadget).doing("making another gadget")?;
    let result = compare(FREE, &probes, |probe| probe.free)
        .and_then(|()| compare(CONFINED, &probes, |probe| probe.confined));
    fs::remove_dir(&gadget).doing("removing the other gadget")?;
    result
}

/// One of the keyboard's that the service has not been given; anybody may switch it.
fn another_led(led: &Path) -> Result<PathBuf> {
    let mut others = sysfs::paths(LEDS).into_iter().filter(|path| path != led);
    let other = others.next();
    let other = other.ok_or_else(|| Failure::Wrong("there is no other LED".into()))?;
    // Debian's sysfs is this one, mounted a second time.
    fs::set_permissions(other.join("brightness"), Permissions::from_mode(0o666))
        .doing("opening a LED to all")?;
    Ok(other)
}

/// Writes a line for each probe into the file that it is given.
fn script(probes: &[Probe]) -> String {
    let mut text = String::from("exec > \"$1\"\nexport LC_ALL=C\n");
    for probe in probes {
        let command = &probe.command;
        text += &format!(
            "if said=$({{ {command}; }} 2>&1); then echo {DONE}\n\
             else echo \"refused: ${{said//$'\\n'/ }}\"; fi\n"
        );
    }
    text
}

/// The unit without what concerns the daemon: what it runs, and what happens when that dies.
fn confined(unit: &str) -> String {
    const DAEMON: [&str; 6] = ["Type=", "Exec", "Restart", "Watchdog", "WantedBy=", "["];
    let kept = unit
        .lines()
        .skip_while(|line| *line != "[Service]")
        .filter(|line| !DAEMON.iter().any(|start| line.starts_with(start)));
    kept.fold("[Service]\n".to_owned(), |text, line| text + line + "\n")
}

fn write_unit(name: &str, service: &str) -> Result<()> {
    let run = format!("Type=oneshot\nExecStart=/usr/bin/bash /{SCRIPT} /{RESULTS}/{name}\n");
    install::write(
        &format!("{UNITS}/{name}"),
        (service.to_owned() + &run).as_bytes(),
        0o644,
    )
}

/// Runs a unit, and compares what it was told with what it should have been.
fn compare(unit: &str, probes: &[Probe], expected: fn(&Probe) -> &'static str) -> Result<()> {
    debian::run(&["systemctl", "start", unit])?;
    let results = Path::new(ROOT).join(RESULTS).join(unit);
    let said = fs::read_to_string(&results).doing("reading what was refused")?;
    fs::remove_file(&results).doing("removing what was read")?;
    report::step(format!("{unit}: {said}"));
    let lines: Vec<&str> = said.lines().collect();
    ensure(lines.len() == probes.len(), || {
        format!("{unit}: {} answers", lines.len())
    })?;
    for (probe, line) in probes.iter().zip(lines) {
        let (command, expected) = (&probe.command, expected(probe));
        ensure(line.contains(expected), || {
            format!("{unit}, {command}: {line:?}, not {expected:?}")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_is_all_that_is_left_of_the_unit() {
        let text = confined(include_str!("../../../../../systemd/promptstick.service"));
        for kept in [
            "User=promptstick",
            "ProtectSystem=strict",
            "SystemCallFilter=",
        ] {
            assert!(text.contains(kept), "{kept}");
        }
        for dropped in [
            "promptstick serve",
            "Conflicts=",
            "WatchdogSec",
            "sysinit.target",
        ] {
            assert!(!text.contains(dropped), "{dropped}");
        }
        assert_eq!(text.matches("[Service]").count(), 1);
    }
}
