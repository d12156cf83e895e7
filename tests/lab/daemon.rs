//! The daemon and its drive with Linux hosts. What each host does is told in
//! `labhost::scenario::daemon`.

use lab::Series;

use super::pass;
use lab::guest::Report;

/// "Within seconds": 3 s in which the host may let go, its poll of 2 s, a mount, and as much again
/// for an emulated machine that is shared.
const SHOWN_LIMIT_MS: u64 = 15_000;

fn assert_measured(report: &Report, name: &str, limit_ms: u64) {
    let ms = report.measured_ms(name).expect("it was measured");
    assert!(ms <= limit_ms, "{name}: {ms} ms\n{report}");
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
fn daemon_unpolled_6_1() {
    pass("daemon_unpolled", Series::V6_1);
}

#[test]
fn daemon_unpolled_6_12() {
    pass("daemon_unpolled", Series::V6_12);
}

#[test]
fn daemon_ejected_6_1() {
    pass("daemon_ejected", Series::V6_1);
}

#[test]
fn daemon_ejected_6_12() {
    pass("daemon_ejected", Series::V6_12);
}

#[test]
fn daemon_powered_off_6_1() {
    pass("daemon_powered_off", Series::V6_1);
}

#[test]
fn daemon_powered_off_6_12() {
    pass("daemon_powered_off", Series::V6_12);
}

#[test]
fn daemon_asleep_6_12() {
    pass("daemon_asleep", Series::V6_12);
}

#[test]
fn daemon_never_mounted_6_12() {
    pass("daemon_never_mounted", Series::V6_12);
}

#[test]
fn daemon_kept_6_1() {
    let report = pass("daemon_kept", Series::V6_1);
    assert_measured(&report, "lun1_readable", SHOWN_LIMIT_MS);
}

#[test]
fn daemon_kept_6_12() {
    let report = pass("daemon_kept", Series::V6_12);
    assert_measured(&report, "lun1_readable", SHOWN_LIMIT_MS);
}

#[test]
fn daemon_large_file_6_1() {
    let report = pass("daemon_large_file", Series::V6_1);
    assert_measured(&report, "lun1_readable", SHOWN_LIMIT_MS);
}

#[test]
fn daemon_large_file_6_12() {
    let report = pass("daemon_large_file", Series::V6_12);
    assert_measured(&report, "lun1_readable", SHOWN_LIMIT_MS);
}

#[test]
fn daemon_late_writes_6_12() {
    let report = pass("daemon_late_writes", Series::V6_12);
    assert_measured(&report, "lun1_readable", SHOWN_LIMIT_MS);
}

#[test]
fn daemon_reset_6_1() {
    pass("daemon_reset", Series::V6_1);
}

#[test]
fn daemon_reset_6_12() {
    pass("daemon_reset", Series::V6_12);
}

#[test]
fn daemon_idle_6_12() {
    pass("daemon_idle", Series::V6_12);
}

#[test]
fn daemon_queue_6_12() {
    pass("daemon_queue", Series::V6_12);
}

#[test]
fn daemon_changed_6_12() {
    pass("daemon_changed", Series::V6_12);
}

#[test]
fn daemon_queue_changed_6_12() {
    pass("daemon_queue_changed", Series::V6_12);
}

#[test]
fn daemon_rename_save_6_12() {
    pass("daemon_rename_save", Series::V6_12);
}

#[test]
fn daemon_viewer_pins_6_1() {
    let report = pass("daemon_viewer_pins", Series::V6_1);
    assert_measured(&report, "lun1_readable", SHOWN_LIMIT_MS);
    assert_measured(&report, "lun2_readable", SHOWN_LIMIT_MS);
}

#[test]
fn daemon_viewer_pins_6_12() {
    let report = pass("daemon_viewer_pins", Series::V6_12);
    assert_measured(&report, "lun1_readable", SHOWN_LIMIT_MS);
    assert_measured(&report, "lun2_readable", SHOWN_LIMIT_MS);
}

#[test]
fn daemon_viewer_forced_6_1() {
    pass("daemon_viewer_forced", Series::V6_1);
}

#[test]
fn daemon_viewer_forced_6_12() {
    pass("daemon_viewer_forced", Series::V6_12);
}

#[test]
fn daemon_progress_6_12() {
    pass("daemon_progress", Series::V6_12);
}

#[test]
fn daemon_status_6_12() {
    pass("daemon_status", Series::V6_12);
}

#[test]
fn daemon_partitioned_6_12() {
    pass("daemon_partitioned", Series::V6_12);
}

#[test]
fn daemon_full_6_12() {
    let report = pass("daemon_full", Series::V6_12);
    assert_measured(&report, "lun1_readable", SHOWN_LIMIT_MS);
}

#[test]
fn daemon_led_6_12() {
    pass("daemon_led", Series::V6_12);
}

#[test]
fn daemon_full_unmounted_6_12() {
    pass("daemon_full_unmounted", Series::V6_12);
}

#[test]
fn daemon_read_only_6_1() {
    let report = pass("daemon_read_only", Series::V6_1);
    assert_measured(&report, "lun1_readable", SHOWN_LIMIT_MS);
}

#[test]
fn daemon_read_only_6_12() {
    let report = pass("daemon_read_only", Series::V6_12);
    assert_measured(&report, "lun1_readable", SHOWN_LIMIT_MS);
}

#[test]
fn daemon_powered_off_empty_6_12() {
    pass("daemon_powered_off_empty", Series::V6_12);
}

#[test]
fn daemon_disk_full_6_12() {
    pass("daemon_disk_full", Series::V6_12);
}
