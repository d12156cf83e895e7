//! From the kernel's start to the drive, and to the first answer.

use lab::Series;

use super::pass;

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
    let report = pass("board_boot", series);
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
