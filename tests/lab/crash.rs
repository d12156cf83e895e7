//! Daemons that are killed, cables that are pulled, volumes that change under everybody's hands.

use std::time::Duration;

use lab::Series;
use lab::guest::Boot;

use super::{pass, pass_booting};

#[test]
fn daemon_killed_under_host_6_1() {
    pass("daemon_killed_under_host", Series::V6_1);
}

#[test]
fn daemon_killed_under_host_6_12() {
    pass("daemon_killed_under_host", Series::V6_12);
}

#[test]
fn daemon_killed_state_broken_6_12() {
    pass("daemon_killed_state_broken", Series::V6_12);
}

/// 12 rounds take two minutes on an idle machine.
const MANY_ROUNDS_LIMIT: Duration = Duration::from_secs(1800);

/// Another seed is `cargo run -p lab -- daemon_killed_often 6.12 lab.seed=N lab.rounds=N`.
#[test]
fn daemon_killed_often_6_12() {
    let mut boot = Boot::new("daemon_killed_often", Series::V6_12);
    let parameters = [
        ("lab.seed", "1".to_owned()),
        ("lab.rounds", "12".to_owned()),
    ];
    boot.parameters = &parameters;
    boot.limit = MANY_ROUNDS_LIMIT;
    pass_booting(&boot);
}

#[test]
fn stale_gadget_6_12() {
    pass("stale_gadget", Series::V6_12);
}

#[test]
fn lacking_kernel_6_12() {
    pass("lacking_kernel", Series::V6_12);
}

#[test]
fn daemon_killed_under_viewer_6_12() {
    pass("daemon_killed_under_viewer", Series::V6_12);
}

#[test]
fn host_vanished_6_12() {
    pass("host_vanished", Series::V6_12);
}

#[test]
fn cable_pulled_usbip_6_1() {
    pass("cable_pulled_usbip", Series::V6_1);
}

#[test]
fn cable_pulled_usbip_6_12() {
    pass("cable_pulled_usbip", Series::V6_12);
}

#[test]
fn cable_wiggled_usbip_6_12() {
    pass("cable_wiggled_usbip", Series::V6_12);
}

#[test]
fn host_wipes_6_12() {
    pass("host_wipes", Series::V6_12);
}

#[test]
fn host_formats_6_12() {
    pass("host_formats", Series::V6_12);
}

#[test]
fn cable_pulled_disk_full_6_12() {
    pass("cable_pulled_disk_full", Series::V6_12);
}
