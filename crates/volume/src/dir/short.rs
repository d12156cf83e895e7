//! Short names: eleven bytes in the code page of whoever wrote them.
//!
//! Rules: specification, "FAT Directory Structure"; lower-case flags: Windows NT's use of the
//! reserved byte 12 (`fs/fat/dir.c`, `CASE_LOWER_BASE`). Used by listing and for labels.

use oem_cp::code_table::{DECODING_TABLE_CP437, DECODING_TABLE_CP850};

use crate::names;

const LOWER_BASE: u8 = 0x08;
const LOWER_EXTENSION: u8 = 0x10;
/// Stands for a first byte of 0xE5, which would mean a deleted slot.
const E5_STAND_IN: u8 = 0x05;
/// Shown for what no name may contain.
const SUBSTITUTE: char = '_';

/// The code page of short names: which, the volume does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CodePage {
    /// United States; the default of Linux.
    #[default]
    Cp437,
    /// Western Europe.
    Cp850,
}

impl CodePage {
    fn decode(self, byte: u8) -> char {
        let table = match self {
            Self::Cp437 => &DECODING_TABLE_CP437,
            Self::Cp850 => &DECODING_TABLE_CP850,
        };
        oem_cp::decode_char_complete_table(byte, table)
    }
}

/// A short name in both forms.
pub(super) struct ShortNames {
    /// As it is stored.
    pub(super) plain: String,
    /// With the lower-case flags applied.
    pub(super) shown: String,
}

pub(super) fn decode(slot: &[u8; 32], code_page: CodePage) -> ShortNames {
    let mut raw = [0; 11];
    raw.copy_from_slice(&slot[..11]);
    if raw[0] == E5_STAND_IN {
        raw[0] = super::DELETED;
    }
    let base = decode_part(&raw[..8], code_page);
    let extension = decode_part(&raw[8..], code_page);
    let lower = |part: &str, flag: u8| {
        if slot[12] & flag != 0 {
            part.chars().map(to_lower).collect()
        } else {
            part.to_owned()
        }
    };
    let shown = join(
        &lower(&base, LOWER_BASE),
        &lower(&extension, LOWER_EXTENSION),
    );
    ShortNames {
        plain: join(&base, &extension),
        shown,
    }
}

/// The label in a label's slot or in the boot sector; `None` where it is empty.
pub(super) fn decode_label(raw: &[u8], code_page: CodePage) -> Option<String> {
    let label: String = raw.iter().map(|byte| code_page.decode(*byte)).collect();
    let label = label.trim_end_matches([' ', '\0']);
    (!label.is_empty()).then(|| label.to_owned())
}

fn decode_part(raw: &[u8], code_page: CodePage) -> String {
    let used = raw
        .iter()
        .rposition(|byte| *byte != b' ')
        .map_or(0, |last| last + 1);
    let decoded = raw[..used].iter().map(|byte| code_page.decode(*byte));
    decoded
        .map(|c| {
            if c == '.' || names::is_forbidden(c) {
                SUBSTITUTE
            } else {
                c
            }
        })
        .collect()
}

fn join(base: &str, extension: &str) -> String {
    match (base, extension) {
        ("", "") => SUBSTITUTE.to_string(),
        ("", extension) => format!("{SUBSTITUTE}.{extension}"),
        (base, "") => base.to_owned(),
        (base, extension) => format!("{base}.{extension}"),
    }
}

fn to_lower(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(raw: &[u8; 11], flags: u8, code_page: CodePage) -> String {
        let mut slot = [0; 32];
        slot[..11].copy_from_slice(raw);
        slot[12] = flags;
        decode(&slot, code_page).shown
    }

    #[test]
    fn flags_code_pages_and_stand_in() {
        let us = CodePage::Cp437;
        assert_eq!(shown(b"README  TXT", 0, us), "README.TXT");
        assert_eq!(shown(b"README  TXT", 0x08, us), "readme.TXT");
        assert_eq!(shown(b"README  TXT", 0x10, us), "README.txt");
        assert_eq!(shown(b"README  TXT", 0x18, us), "readme.txt");
        assert_eq!(shown(b"NOEXT      ", 0x18, us), "noext");
        assert_eq!(shown(b"\x80\x8E\x99     TXT", 0x08, us), "çäö.TXT");
        assert_eq!(shown(b"\x05A         ", 0, us), "σA");
        assert_eq!(shown(b"\xD5       X  ", 0, us), "╒.X");
        assert_eq!(shown(b"\xD5       X  ", 0, CodePage::Cp850), "ı.X");
        assert_eq!(shown(b"A/B\x01    T.T", 0, us), "A_B_.T_T");
    }
}
