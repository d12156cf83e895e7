//! The network between a guest and the machine that runs it: QEMU's own, which has fixed addresses.
//! Used by scenarios that need two guests.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use crate::error::{Doing, ensure};
use crate::modules::{self, Modules};
use crate::{Result, report, sysfs, wait};

/// The machine that runs the guest, as the guest sees it (QEMU's manual, "user" networks).
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// The guest's own address, and its network's mask.
const OWN: &str = "10.0.2.15";
const MASK: &str = "255.255.255.0";

const INTERFACES: &str = "/sys/class/net";

/// Every machine has this one.
const LOOPBACK: &str = "lo";

/// Longer than a network interface on an emulated USB takes to be found.
const FOUND_LIMIT: Duration = Duration::from_secs(60);

/// Where the harness puts busybox.
const BUSYBOX: &str = "/bin/busybox";

/// Brings the guest's interface up.
///
/// # Errors
/// There is none: the harness gave this guest no network.
pub fn start() -> Result<()> {
    Modules::from_list()?.load_all(&modules::NETWORK)?;
    let found = || {
        let mut names = sysfs::names(INTERFACES).into_iter();
        Ok(names.find(|name| name != LOOPBACK))
    };
    let (interface, _) = wait::until("a network interface", FOUND_LIMIT, found)?;
    let mut command = Command::new(BUSYBOX);
    command.args(["ifconfig", &interface, OWN, "netmask", MASK, "up"]);
    let output = command.output().doing(format!("starting {BUSYBOX}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), || format!("{command:?}: {said}"))?;
    report::step(format!("network up: {interface} is {OWN}"));
    Ok(())
}
