//! The drive's serial number: the board's own, in the form that USB asks for.
//!
//! Hosts tell drives apart by it and keep what they know of one (its letter, its history) under
//! it. The machine id is a secret of the device (machine-id(5)): only a hash of it is used.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::description::{SERIAL_DIGITS, is_serial_digit};
use super::paths::Paths;

/// Digits of a serial number that we make: as many as the Raspberry Pi's own has.
const DIGITS: usize = 16;
/// Keeps our hash of a machine id apart from anybody else's.
const HASH_CONTEXT: &[u8] = b"promptstick USB serial number\0";

/// The serial number of this board: device tree, else processor list, else the machine id's hash,
/// else a fixed one (two such drives on one computer would be mistaken for each other).
pub(super) fn of_board(paths: &Paths) -> String {
    let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    choose(
        &text(&paths.serial_number),
        &text(&paths.cpuinfo),
        &text(&paths.machine_id),
    )
}

fn choose(device_tree: &str, cpuinfo: &str, machine_id: &str) -> String {
    let device_tree = device_tree.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    let machine_id = machine_id.trim();
    if let Some(number) = [device_tree, from_cpuinfo(cpuinfo)]
        .into_iter()
        .find_map(board_number)
    {
        return number;
    }
    match machine_id.is_empty() {
        true => hashed(""),
        false => hashed(machine_id),
    }
}

/// The value of the line `Serial : …`.
fn from_cpuinfo(cpuinfo: &str) -> &str {
    let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let serial = lines.find(|(key, _)| key.trim() == "Serial");
    serial.map(|(_, value)| value.trim()).unwrap_or_default()
}

/// A board's number in USB's form; `None` where it has none (an emulated board's is all zeros).
fn board_number(number: &str) -> Option<String> {
    if number.bytes().all(|byte| byte == b'0') {
        return None;
    }
    let digits = number.to_ascii_uppercase();
    let valid = digits.bytes().all(is_serial_digit) && digits.len() <= DIGITS;
    Some(match valid {
        true if digits.len() >= SERIAL_DIGITS => digits,
        true => format!("{digits:0>DIGITS$}"),
        // Other boards have letters in theirs.
        false => hashed(number),
    })
}

fn hashed(text: &str) -> String {
    let hash = Sha256::new()
        .chain_update(HASH_CONTEXT)
        .chain_update(text.as_bytes())
        .finalize();
    let digits = hash.iter().take(DIGITS / 2);
    digits.map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPUINFO: &str = "processor\t: 0\nmodel name\t: ARMv6\n\nSerial\t\t: 00000000abcdef01\n";
    const MACHINE_ID: &str = "0123456789abcdef0123456789abcdef\n";

    #[test]
    fn the_board_comes_first() {
        let found = choose("00000000deadbeef\0", CPUINFO, MACHINE_ID);
        assert_eq!(found, "00000000DEADBEEF");
        assert_eq!(choose("", CPUINFO, MACHINE_ID), "00000000ABCDEF01");
        let zeros = "0000000000000000\0";
        assert_eq!(choose(zeros, CPUINFO, MACHINE_ID), "00000000ABCDEF01");
    }

    #[test]
    fn the_machine_id_never_leaves_the_device() {
        let found = choose("", "processor : 0\n", MACHINE_ID);
        assert_eq!(
            found, "3D150366594A8897",
            "hosts know the drive by it: it must not change"
        );
        for part in MACHINE_ID.trim().as_bytes().windows(6) {
            let part = String::from_utf8(part.to_ascii_uppercase()).unwrap();
            assert!(!found.contains(&part), "{found} has {part}");
        }
    }

    #[test]
    fn every_number_is_one_that_usb_takes() {
        let odd = [
            "1c0ffee",
            "RK3328-77aa",
            "0123456789abcdef01",
            "  00000000DEADBEEF \n",
            "",
        ];
        for number in odd {
            let found = choose(number, "", "");
            assert_eq!(found.len(), DIGITS, "{number:?}");
            assert!(found.bytes().all(is_serial_digit), "{found}");
        }
        assert_eq!(choose("1c0ffee", "", ""), "0000000001C0FFEE");
    }
}
