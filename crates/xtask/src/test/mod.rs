//! `cargo xtask test`: every check and test of the repository, or those of one area. All of them
//! run even when one fails; the failures are listed at the end, with what had to be skipped, and
//! the lines of the test runner itself come last.

mod area;
mod checks;
mod runner;

use std::fs;

use anyhow::bail;

pub use area::Area;

use crate::bench::Bench;
use crate::cargo;
use crate::pi;
use crate::progress::Steps;
use crate::setup;
use runner::TestRun;

/// The tests that want the builds for the board: on an emulated core, and on an emulated board.
const OF_BOARD: [&str; 2] = ["arm::", "lab::board::"];

/// Runs the checks and tests of `area`.
///
/// # Errors
/// A tool could not be installed, or something failed; the message names what.
pub fn run(area: Area) -> anyhow::Result<()> {
    let checks = area.checks();
    let mut runs = area.test_runs();
    let skipped = obstacle(area);
    if skipped.is_some() {
        runs = runs.into_iter().map(|run| run.without(&OF_BOARD)).collect();
    }
    let builds = usize::from(area.wants_pi() && skipped.is_none());
    if builds > 0 {
        runs.extend(area.board_runs());
    }
    let counts = usize::from(area.counts_instructions() && builds > 0);
    let mut steps = Steps::new(1 + checks.len() + builds + runs.len() + counts);
    steps.begin("tools");
    setup::ensure(area.needs())?;
    setup::rust_components()?;
    if let Some(note) = cargo::build_note()? {
        eprintln!("{note}");
    }
    for check in checks {
        steps.check(check.title(), || check.run());
    }
    if builds > 0 {
        steps.check("cargo xtask build-pi", || {
            pi::build().and_then(|()| pi::build_for_lab())
        });
    }
    let mut summary = Vec::new();
    for run in runs {
        steps.check(&run.title(), || run_tests(&run, &mut summary));
    }
    if counts > 0 {
        steps.check("cargo xtask bench --check", || Bench::checking().run());
    }
    let failed = steps.finish();
    if area == Area::All {
        report_size();
    }
    if let Some(why) = skipped {
        let count = runner::left_out(&summary);
        println!("SKIPPED {count} tests, {}: {why:#}", tests_of_board());
    }
    for line in &summary {
        println!("{line}");
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed: {}", failed.join(", "))
}

/// Why the tests of the builds for the board must be left out of all tests, if they must: Rust's
/// standard library for the board cannot be had everywhere. Where they alone are wanted, this is a
/// failure.
fn obstacle(area: Area) -> Option<anyhow::Error> {
    let error = (area == Area::All).then(pi::obstacle).flatten()?;
    eprintln!("SKIPPED, {}: {error:#}", tests_of_board());
    Some(error)
}

fn tests_of_board() -> String {
    format!(
        "the tests of the builds for the board ({}, ggml-armv6 on an emulated core, bench --check)",
        OF_BOARD.join(", ")
    )
}

fn run_tests(run: &TestRun, summary: &mut Vec<String>) -> anyhow::Result<()> {
    let (lines, result) = run.run()?;
    summary.extend(lines);
    result
}

/// How large the program is: a change that doubles it should not go unseen.
fn report_size() {
    let size = cargo::output_folder().and_then(|folder| {
        let facts = fs::metadata(folder.join("promptstick"))?;
        Ok(facts.len())
    });
    match size {
        Ok(bytes) => eprintln!(
            "\nsize of promptstick (development profile, not stripped): {:.1} MB\n",
            bytes_to_mb(bytes)
        ),
        Err(error) => eprintln!("\nsize of promptstick: not known ({error:#})\n"),
    }
}

/// Decimal megabytes; only for display, so the rounding above 2^53 bytes does not matter.
#[allow(clippy::cast_precision_loss)]
fn bytes_to_mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
