//! The lab itself, proved with a gadget made by hand: boot, units, the host's steps.

use std::collections::BTreeSet;

use lab::Series;

use super::pass;

#[test]
fn plain_gadget_6_1() {
    pass("plain_gadget", Series::V6_1);
}

#[test]
fn plain_gadget_6_12() {
    pass("plain_gadget", Series::V6_12);
}

#[test]
fn cable_6_1() {
    pass("cable", Series::V6_1);
}

#[test]
fn cable_6_12() {
    pass("cable", Series::V6_12);
}

#[test]
fn bus_states_6_1() {
    pass("bus_states", Series::V6_1);
}

#[test]
fn bus_states_6_12() {
    pass("bus_states", Series::V6_12);
}

#[test]
fn desktop_polling_6_1() {
    pass("desktop_polling", Series::V6_1);
}

#[test]
fn desktop_polling_6_12() {
    pass("desktop_polling", Series::V6_12);
}

#[test]
fn partitioned_6_12() {
    pass("partitioned", Series::V6_12);
}

#[test]
fn program_6_1() {
    pass("program", Series::V6_1);
}

#[test]
fn daemon_killed_6_12() {
    let report = pass("daemon_killed", Series::V6_12);
    assert!(report.daemon_log().contains("published"), "{report}");
}

#[test]
fn late_writes_6_1() {
    let report = pass("late_writes", Series::V6_1);
    assert!(report.measured_ms("late_write") > Some(10_000), "{report}");
}

/// A scenario that no test runs proves nothing.
#[test]
fn every_scenario_has_a_test() {
    let sources = [
        // A pair of guests has a scenario for each.
        include_str!("../../crates/lab/src/guest/pair.rs"),
        // One whose power is cut ends in no other way.
        include_str!("../../crates/lab/src/torture/mod.rs"),
        include_str!("board/boot.rs"),
        include_str!("board/clock.rs"),
        include_str!("board/memory.rs"),
        include_str!("board/service.rs"),
        include_str!("attackers.rs"),
        include_str!("plain.rs"),
        include_str!("hosts.rs"),
        include_str!("foreign.rs"),
        include_str!("crash.rs"),
        include_str!("daemon.rs"),
        include_str!("desktop.rs"),
        include_str!("service.rs"),
        include_str!("board.rs"),
    ]
    .concat();
    let missing: BTreeSet<_> = labhost::scenario::ALL
        .iter()
        .map(|scenario| scenario.name)
        .filter(|name| !sources.contains(&format!("\"{name}\"")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
