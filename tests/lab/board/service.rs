//! The service from the kernel's start, with systemd as the board's first process.

use lab::Series;

use super::pass;

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
    let report = pass(scenario, series);
    let times = ORDER.map(|name| report.measured_ms(name).expect("it was measured"));
    assert!(times.is_sorted(), "{times:?}\n{report}");
    let told = ORDER.iter().zip(times);
    let told: Vec<_> = told.map(|(name, ms)| format!("{name} {ms}")).collect();
    println!(
        "ms since the start of kernel {}: {}",
        series.name(),
        told.join(", ")
    );
}
