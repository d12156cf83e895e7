//! The daemon as a service of systemd.

use lab::Series;

use super::pass;

#[test]
fn service_6_1() {
    pass("service", Series::V6_1);
}

#[test]
fn service_6_12() {
    pass("service", Series::V6_12);
}
