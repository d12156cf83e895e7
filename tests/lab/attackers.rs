//! Hosts that keep the stick busy on purpose. What the daemon may take meanwhile is judged in the
//! guest, where its processes are. For longer:
//! `cargo run -p lab -- attacker_writes 6.12 lab.seconds=600`.

use lab::Series;

use super::pass;

#[test]
fn attacker_writes_6_12() {
    pass("attacker_writes", Series::V6_12);
}

#[test]
fn attacker_locks_6_12() {
    pass("attacker_locks", Series::V6_12);
}

#[test]
fn attacker_ejects_6_12() {
    pass("attacker_ejects", Series::V6_12);
}

#[test]
fn attacker_resets_6_12() {
    pass("attacker_resets", Series::V6_12);
}
