//! The Pi Zero as QEMU emulates it, with Debian's kernels for it and the program as it is shipped.

use lab::guest::Boot;
use lab::{Board, Series};

use super::pass_booting;

fn pass(scenario: &str, series: Series) -> lab::guest::Report {
    pass_booting(&Boot::on(Board::PiZero, scenario, series))
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

#[test]
fn board_service_6_1() {
    pass("board_service", Series::V6_1);
}

#[test]
fn board_service_6_12() {
    pass("board_service", Series::V6_12);
}
