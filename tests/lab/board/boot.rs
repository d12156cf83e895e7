//! From the kernel's start to the drive, and to the first answer.

use lab::Series;
use lab::guest::Report;

use super::pass;

/// What happens, in this order; the drive comes before the model.
const ORDER: [&str; 6] = [
    "init",
    "started",
    "bound",
    "model_loaded",
    "first_answer",
    "first_response",
];

#[test]
fn boot_6_1() {
    in_order(&pass("board_boot", Series::V6_1));
}

#[test]
fn boot_6_12() {
    in_order(&pass("board_boot", Series::V6_12));
}

fn in_order(report: &Report) {
    let times = ORDER.map(|name| report.measured_ms(name).expect("it was measured"));
    assert!(times.is_sorted(), "{times:?}\n{report}");
    println!("ms since the kernel's start: {ORDER:?} {times:?}");
}
