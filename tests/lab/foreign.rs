//! The daemon and models of hosts other than Linux. That a response came in time is judged in the
//! guest, where the clocks are.

use lab::Series;

use super::pass;

#[test]
fn daemon_windows_6_1() {
    pass("daemon_windows", Series::V6_1);
}

#[test]
fn daemon_windows_6_12() {
    pass("daemon_windows", Series::V6_12);
}

#[test]
fn daemon_windows_fat32_6_1() {
    pass("daemon_windows_fat32", Series::V6_1);
}

#[test]
fn daemon_windows_fat32_6_12() {
    pass("daemon_windows_fat32", Series::V6_12);
}

#[test]
fn daemon_macos_6_1() {
    pass("daemon_macos", Series::V6_1);
}

#[test]
fn daemon_macos_6_12() {
    pass("daemon_macos", Series::V6_12);
}

#[test]
fn daemon_unfinished_6_1() {
    pass("daemon_unfinished", Series::V6_1);
}

#[test]
fn daemon_unfinished_6_12() {
    pass("daemon_unfinished", Series::V6_12);
}
