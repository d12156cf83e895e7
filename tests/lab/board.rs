//! The Pi Zero as QEMU emulates it, with Debian's kernels for it and the program as it is shipped.

mod boot;
mod clock;
mod memory;
mod service;

use std::io::{self, Write};

use lab::guest::{Boot, Pair, Report};
use lab::{Board, Series};

use super::{judge, pass_booting, programs};
use crate::daemon::demo_model;
use crate::support::image::Image;
use crate::support::program;

fn pass(scenario: &str, series: Series) -> Report {
    pass_booting(&Boot::on(Board::PiZero, scenario, series))
}

/// Fails unless what the scenario measured under these names came in this order; tells when.
fn in_order(report: &Report, names: &[&str]) {
    let time = |name: &&str| report.measured_ms(name).expect("it was measured");
    let times: Vec<u64> = names.iter().map(time).collect();
    assert!(times.is_sorted(), "{names:?} {times:?}\n{report}");
    let told = names.iter().zip(times);
    let told: Vec<_> = told.map(|(name, ms)| format!("{name} {ms}")).collect();
    println!(
        "ms since the start of kernel {}: {}",
        report.series.name(),
        told.join(", ")
    );
}

#[test]
fn plain_gadget_6_1() {
    pass("plain_gadget", Series::V6_1);
}

#[test]
fn daemon_unmounted_6_1() {
    pass("daemon_unmounted", Series::V6_1);
}

#[test]
fn daemon_unmounted_6_12() {
    pass("daemon_unmounted", Series::V6_12);
}

/// The board exports its drive to a machine of its own, as a cable does.
fn pass_as_two_machines(board: Series, host: Series) {
    let pair = Pair::new(board, host);
    let (stick, host) = pair
        .run(programs(Board::PiZero), programs(Board::Pc))
        .unwrap_or_else(|error| panic!("{error}"));
    if let Err(why) = stick.verdict() {
        let host = host.map_or("was not started".into(), |host| host.to_string());
        panic!("the board: {why}\n{stick}\nthe host: {host}");
    }
    let mut host = host.expect("a board that passed had a host");
    if let Err(why) = host.verdict() {
        panic!("the host: {why}\n{host}\n{stick}");
    }
    // What the host was promised must hold for what the board has.
    host.files = stick.files;
    let image = judge::stick(&host);
    let prompt = image.text("prompt.txt");
    assert_eq!(image.text("prompt.response.txt"), response_here(&prompt));
    let wall = stick.wall.as_secs_f64();
    let _ = writeln!(io::stderr(), "lab: two machines: {wall:.1} s");
}

/// What the program on this machine answers.
fn response_here(prompt: &str) -> String {
    let image = Image::usual();
    image.put("prompt.txt", prompt);
    program::answer(&image.path(), &demo_model());
    image.text("prompt.response.txt")
}

#[test]
fn two_machines_6_1() {
    pass_as_two_machines(Series::V6_1, Series::V6_12);
}

#[test]
fn two_machines_6_12() {
    pass_as_two_machines(Series::V6_12, Series::V6_1);
}
