//! Real kernels: each test boots a guest in QEMU in which a host and the stick share a cable.
//! docs/LAB.md says how to run one and how to read a failure.

mod attackers;
mod board;
mod crash;
mod daemon;
mod desktop;
mod foreign;
mod hosts;
mod judge;
mod plain;
mod service;
mod torture;

use std::io::{self, Write};
use std::sync::OnceLock;

use lab::guest::{self, Boot, Report};
use lab::programs::Programs;
use lab::{Board, Series};

use crate::daemon::demo_model;

/// Runs a scenario that must pass, and judges the stick as it was left.
fn pass(scenario: &str, series: Series) -> Report {
    pass_booting(&Boot::new(scenario, series))
}

/// As [`pass`], with more to say about the guest.
fn pass_booting(boot: &Boot<'_>) -> Report {
    pass_with(boot, programs(boot.board))
}

/// As [`pass_booting`], with other programs or another model.
fn pass_with(boot: &Boot<'_>, programs: &Programs) -> Report {
    let report = boot.run(programs).unwrap_or_else(|error| panic!("{error}"));
    if let Err(why) = report.verdict() {
        panic!("{why}\n{report}");
    }
    judge::stick(&report);
    // Past the capture of the test runner: the time of a test that passed is wanted too.
    let _ = writeln!(
        io::stderr(),
        "lab: {} on {} {}: {:.1} s",
        report.scenario,
        boot.board.architecture(),
        report.series.name(),
        report.wall.as_secs_f64()
    );
    report
}

/// What goes into every guest of this kind; the agent of a PC is built once.
fn programs(board: Board) -> &'static Programs {
    static OF_PC: OnceLock<Programs> = OnceLock::new();
    static OF_PI: OnceLock<Programs> = OnceLock::new();
    let result = |programs: Result<_, _>| programs.unwrap_or_else(|error| panic!("{error}"));
    match board {
        Board::Pc => OF_PC.get_or_init(|| {
            let promptstick = env!("CARGO_BIN_EXE_promptstick").as_ref();
            result(guest::programs(promptstick, &demo_model()))
        }),
        Board::PiZero => OF_PI.get_or_init(|| result(guest::programs_for_pi(&demo_model()))),
    }
}
