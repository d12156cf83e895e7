//! Short names that cannot stay: which those are, and what they become. Pure.
//!
//! Forbidden is what hosts cannot open and what `fsck.fat` renames: control characters, DEL,
//! `" * . / : < > ? \ |`, a space in front. Each becomes `_`. A name that another entry of the
//! folder has already gets a number at the end of its base.

use std::collections::HashSet;

use crate::edit::free_number;

/// Stands for a first byte of 0xE5.
const E5_STAND_IN: u8 = 0x05;
const FORBIDDEN: &[u8] = b"\"*./:<>?\\|\x7F";
const BASE_BYTES: usize = 8;
/// More than a folder has slots.
const MAX_NUMBER: u32 = 99_999;

pub(super) type ShortName = [u8; 11];

/// Whether no host should see this name.
pub(super) fn is_bad(name: &ShortName) -> bool {
    *name != repaired(name)
}

/// The name without what is forbidden.
pub(super) fn repaired(name: &ShortName) -> ShortName {
    let mut repaired = *name;
    for (at, byte) in repaired.iter_mut().enumerate() {
        let stand_in = at == 0 && *byte == E5_STAND_IN;
        let in_front = at == 0 && *byte == b' ';
        let control = *byte < b' ' && !stand_in;
        if in_front || control || FORBIDDEN.contains(byte) {
            *byte = b'_';
        }
    }
    repaired
}

/// The name, or one like it that is not taken; `None` when there is none.
pub(super) fn unique(name: &ShortName, taken: &HashSet<ShortName>) -> Option<ShortName> {
    if !taken.contains(name) {
        return Some(*name);
    }
    let is_taken = |number| taken.contains(&numbered(name, number));
    free_number(MAX_NUMBER, is_taken).map(|number| numbered(name, number))
}

fn numbered(name: &ShortName, number: u32) -> ShortName {
    let tail = format!("~{number}");
    let used = name[..BASE_BYTES]
        .iter()
        .rposition(|byte| *byte != b' ')
        .map_or(0, |last| last + 1);
    let kept = used.min(BASE_BYTES - tail.len());
    let mut numbered = *name;
    numbered[kept..BASE_BYTES].fill(b' ');
    numbered[kept..kept + tail.len()].copy_from_slice(tail.as_bytes());
    numbered
}

/// A short name for a report.
pub(super) fn shown(name: &ShortName) -> String {
    let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let (base, extension) = (part(&name[..BASE_BYTES]), part(&name[BASE_BYTES..]));
    if extension.is_empty() {
        base
    } else {
        format!("{base}.{extension}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forbidden_becomes_a_line() {
        assert_eq!(repaired(b"A/B\x01    T.T"), *b"A_B_    T_T");
        assert_eq!(repaired(b" LEADINGTXT"), *b"_LEADINGTXT");
        assert_eq!(repaired(b"..         "), *b"__         ");
        for fine in [
            b"README  TXT",
            b"\x05A         ",
            b"WITH SPATXT",
            b"\x80\x8E\xFF     TXT",
        ] {
            assert!(!is_bad(fine));
        }
    }

    #[test]
    fn a_second_name_gets_a_number() {
        let mut taken = HashSet::new();
        for expected in [b"LONGNAMETXT", b"LONGNA~1TXT", b"LONGNA~2TXT"] {
            let name = unique(b"LONGNAMETXT", &taken).unwrap();
            assert_eq!(&name, expected);
            taken.insert(name);
        }
        taken.insert(*b"A          ");
        assert_eq!(unique(b"A          ", &taken), Some(*b"A~1        "));
    }
}
