//! A host as a person uses it: what `cargo xtask try --usb` shows.

use lab::Series;

use super::pass;

#[test]
fn try_usb_6_12() {
    let report = pass("try_usb", Series::V6_12);
    let response = report.files.get(labhost::scenario::TRY_RESPONSE);
    assert!(response.is_some_and(|text| !text.is_empty()), "{report}");
    let told = |wanted: &str| report.to_string().contains(wanted);
    assert!(
        told("log ") && told("step "),
        "both sides are told\n{report}"
    );
}
