//! The lab itself, proved with a gadget made by hand.

use lab::Series;

use super::pass;

#[test]
fn plain_gadget_6_1() {
    pass("plain_gadget", Series::V6_1);
}

#[test]
fn plain_gadget_6_12() {
    pass("plain_gadget", Series::V6_12);
}
