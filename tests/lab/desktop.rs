//! A host as a person uses it: what `cargo xtask try --usb` shows, and a real desktop (Debian's
//! systemd, udev, udisks2 and udiskie).

use lab::Series;
use lab::guest::Report;
use labhost::protocol::Line;

use super::pass;

#[test]
fn try_usb_6_12() {
    let report = pass("try_usb", Series::V6_12);
    let response = report.files.get(labhost::scenario::TRY_RESPONSE);
    assert!(response.is_some_and(|text| !text.is_empty()), "{report}");
    let told = |wanted: fn(&Line) -> bool| report.lines.iter().any(wanted);
    assert!(
        told(|line| matches!(line, Line::Log(_))) && told(|line| matches!(line, Line::Step(_))),
        "both sides are told\n{report}"
    );
}

#[test]
fn desktop_kept_6_1() {
    published_once(&pass("desktop_kept", Series::V6_1));
}

#[test]
fn desktop_kept_6_12() {
    published_once(&pass("desktop_kept", Series::V6_12));
}

#[test]
fn desktop_unmounted_6_1() {
    published_once(&pass("desktop_unmounted", Series::V6_1));
}

#[test]
fn desktop_unmounted_6_12() {
    published_once(&pass("desktop_unmounted", Series::V6_12));
}

#[test]
fn desktop_ejected_6_1() {
    published_once(&pass("desktop_ejected", Series::V6_1));
}

#[test]
fn desktop_ejected_6_12() {
    published_once(&pass("desktop_ejected", Series::V6_12));
}

#[test]
fn desktop_powered_off_6_1() {
    published_once(&pass("desktop_powered_off", Series::V6_1));
}

#[test]
fn desktop_powered_off_6_12() {
    published_once(&pass("desktop_powered_off", Series::V6_12));
}

/// One prompt, one response.
fn published_once(report: &Report) {
    let log = report.daemon_log();
    assert_eq!(log.matches(" published job=").count(), 1, "{report}");
}
