//! The service from the kernel's start, with systemd as the board's first process.

use lab::Series;

use super::{in_order, pass};

/// What happens, in this order; the drive comes before the model.
const ORDER: [&str; 8] = [
    "systemd",
    "service_begun",
    "daemon_begun",
    "bound",
    "medium",
    "model_mapped",
    "first_answer",
    "first_response",
];

#[test]
fn service_6_1() {
    starts("board_service", Series::V6_1);
}

#[test]
fn service_6_12() {
    starts("board_service", Series::V6_12);
}

#[test]
fn service_without_controller_6_12() {
    starts("board_service_late", Series::V6_12);
}

fn starts(scenario: &str, series: Series) {
    in_order(&pass(scenario, series), &ORDER);
}
