//! The models of other hosts, proved with a gadget made by hand.

use lab::Series;

use super::pass;

/// FASTFAT's clean-volume timer is 1.5 s; the model must not let go before, nor much later.
const LET_GO_MS: std::ops::RangeInclusive<u64> = 1_400..=4_000;

#[test]
fn windows_model_6_1() {
    let report = pass("windows_model", Series::V6_1);
    let let_go_ms = report.measured_ms("let_go").expect("it was measured");
    assert!(LET_GO_MS.contains(&let_go_ms), "{let_go_ms} ms\n{report}");
}

#[test]
fn windows_model_fat32_6_12() {
    pass("windows_model_fat32", Series::V6_12);
}

#[test]
fn macos_model_6_1() {
    pass("macos_model", Series::V6_1);
}

#[test]
fn macos_model_6_12() {
    pass("macos_model", Series::V6_12);
}
