//! Real kernels: each test boots a guest in QEMU in which a host and the stick share a cable.
//! docs/LAB.md says how to run one and how to read a failure.

mod crash;
mod daemon;
mod desktop;
mod foreign;
mod hosts;
mod judge;
mod plain;
mod service;

use std::io::{self, Write};
use std::sync::OnceLock;

use lab::Series;
use lab::guest::{self, Boot, Report};
use lab::programs::Programs;

use crate::daemon::demo_model;

/// Runs a scenario that must pass, and judges the stick as it was left.
fn pass(scenario: &str, series: Series) -> Report {
    pass_booting(&Boot::new(scenario, series))
}

/// As [`pass`], with more to say about the guest.
fn pass_booting(boot: &Boot<'_>) -> Report {
    let report = boot
        .run(programs())
        .unwrap_or_else(|error| panic!("{error}"));
    if let Err(why) = report.verdict() {
        panic!("{why}\n{report}");
    }
    judge::stick(&report);
    // Past the capture of the test runner: the time of a test that passed is wanted too.
    let _ = writeln!(
        io::stderr(),
        "lab: {} on {}: {:.1} s",
        report.scenario,
        report.series.name(),
        report.wall.as_secs_f64()
    );
    report
}

/// What goes into every guest; the agent is built once.
fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let promptstick = env!("CARGO_BIN_EXE_promptstick").as_ref();
        guest::programs(promptstick, &demo_model()).unwrap_or_else(|error| panic!("{error}"))
    })
}
