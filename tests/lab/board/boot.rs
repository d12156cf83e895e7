//! From the kernel's start to the drive, and to the first answer.

use lab::Series;

use super::{in_order, pass};

/// What happens, in this order; the drive comes before the model.
const ORDER: [&str; 8] = [
    "init",
    "modules",
    "started",
    "bound",
    "medium",
    "model_loaded",
    "first_answer",
    "first_response",
];

#[test]
fn boot_6_1() {
    boot(Series::V6_1);
}

#[test]
fn boot_6_12() {
    boot(Series::V6_12);
}

fn boot(series: Series) {
    in_order(&pass("board_boot", series), &ORDER);
}
