//! Bytes of a host's file to text, and in what form it was written.
//!
//! Order of the tests (docs/SPEC.md section 3): certain marks of other formats; byte order marks;
//! UTF-16 without a mark; UTF-8; a legacy encoding. The result has `\n` for every line end and no
//! control character but tab and form feed.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::kind::{certain, describe};
use super::{Kind, LineEnd, TextForm, legacy};

/// A text and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The text, lines ended by `\n`.
    pub text: String,
    /// How to write its response.
    pub form: TextForm,
}

/// A file is not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is {kind}, not plain text; save it as plain text (.txt)")]
pub struct NotText {
    /// What it is.
    pub kind: Kind,
}

/// The end-of-file character of DOS, which some programs still write.
const DOS_EOF: char = '\u{1a}';

/// Units that are enough to call a text without a mark UTF-16.
const UTF16_MIN_UNITS: usize = 2;

/// Decodes a file. Never fails on a text in a common encoding; see the module for the rules.
pub fn decode(bytes: &[u8]) -> Result<Decoded, NotText> {
    if let Some(kind) = certain(bytes) {
        return Err(NotText { kind });
    }
    let (text, encoding, bom) = to_unicode(bytes).ok_or(NotText {
        kind: describe(bytes),
    })?;
    let text = text.strip_suffix(DOS_EOF).unwrap_or(&text);
    if let Some(control) = text.chars().find(|c| is_foreign(*c)) {
        let kind = match describe(bytes) {
            Kind::Binary if control != '\0' => Kind::ControlCharacter(control.into()),
            kind => kind,
        };
        return Err(NotText { kind });
    }
    let line_end = LineEnd::majority(text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    Ok(Decoded {
        text,
        form: TextForm {
            encoding,
            bom,
            line_end,
        },
    })
}

/// Control characters that no text has. U+0085 is a line end in some standards.
fn is_foreign(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\x0c' | '\u{85}')
}

fn to_unicode(bytes: &[u8]) -> Option<(String, &'static Encoding, bool)> {
    if let Some((encoding, mark_bytes)) = Encoding::for_bom(bytes) {
        let text = strictly(encoding, bytes.get(mark_bytes..)?)?;
        return Some((text, encoding, true));
    }
    if let Some((encoding, text)) = utf16_without_mark(bytes) {
        return Some((text, encoding, true));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Some((text.to_owned(), UTF_8, false));
    }
    if bytes.contains(&0) {
        return None;
    }
    let encoding = legacy::detect(bytes);
    if let Some(text) = strictly(encoding, bytes) {
        return Some((text, encoding, false));
    }
    Some((strictly(WINDOWS_1252, bytes)?, WINDOWS_1252, false))
}

fn strictly(encoding: &'static Encoding, bytes: &[u8]) -> Option<String> {
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
    Some(text.into_owned())
}

/// UTF-16 without a byte order mark, where the zero bytes leave no doubt: all of them are in the
/// upper half of a unit, at least every other unit has one, and the result has no control
/// character.
fn utf16_without_mark(bytes: &[u8]) -> Option<(&'static Encoding, String)> {
    let (units, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() || units.len() < UTF16_MIN_UNITS {
        return None;
    }
    let first_zeros = units.iter().filter(|[first, _]| *first == 0).count();
    let second_zeros = units.iter().filter(|[_, second]| *second == 0).count();
    let encoding = match (first_zeros, second_zeros) {
        (0, zeros) if zeros * 2 >= units.len() => UTF_16LE,
        (zeros, 0) if zeros * 2 >= units.len() => UTF_16BE,
        _ => return None,
    };
    let text = strictly(encoding, bytes)?;
    (!text.chars().any(is_foreign)).then_some((encoding, text))
}

#[cfg(test)]
mod tests {
    use encoding_rs::SHIFT_JIS;
    use proptest::prelude::*;

    use super::super::encode;
    use super::*;

    fn form(encoding: &'static Encoding, bom: bool, line_end: LineEnd) -> TextForm {
        TextForm {
            encoding,
            bom,
            line_end,
        }
    }

    fn units(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn each_encoding_and_line_end_is_found_and_kept() {
        let le = |text| units(text, u16::to_le_bytes);
        let be = |text| units(text, u16::to_be_bytes);
        for (bytes, expected) in [
            (b"Hi\r\nyou\r\n".to_vec(), form(UTF_8, false, LineEnd::CrLf)),
            (b"Hi\nyou\n".to_vec(), form(UTF_8, false, LineEnd::Lf)),
            (b"Hi\ryou\r".to_vec(), form(UTF_8, false, LineEnd::Cr)),
            ("\u{feff}Hi\nyou\n".into(), form(UTF_8, true, LineEnd::Lf)),
            (
                le("\u{feff}Hi\r\nyou\r\n"),
                form(UTF_16LE, true, LineEnd::CrLf),
            ),
            (be("\u{feff}Hi\nyou\n"), form(UTF_16BE, true, LineEnd::Lf)),
        ] {
            let decoded = decode(&bytes).unwrap();
            assert_eq!(decoded.text, "Hi\nyou\n");
            assert_eq!(decoded.form, expected);
            assert_eq!(encode(&decoded.text, decoded.form), bytes);
        }
    }

    #[test]
    fn the_majority_of_line_ends_wins_and_none_means_crlf() {
        for (bytes, expected) in [
            (&b"a\r\nb\nc\nd"[..], LineEnd::Lf),
            (b"a\r\nb\r\nc\nd", LineEnd::CrLf),
            (b"a\rb\rc\nd", LineEnd::Cr),
            (b"a", LineEnd::CrLf),
            (b"", LineEnd::CrLf),
        ] {
            assert_eq!(decode(bytes).unwrap().form.line_end, expected, "{bytes:?}");
        }
    }

    #[test]
    fn utf_16_without_a_mark_is_found_where_it_is_certain() {
        let text = "What is it, “Größe”?";
        for (bytes, encoding) in [
            (units(text, u16::to_le_bytes), UTF_16LE),
            (units(text, u16::to_be_bytes), UTF_16BE),
        ] {
            let decoded = decode(&bytes).unwrap();
            assert_eq!(decoded.text, text);
            assert_eq!(decoded.form, form(encoding, true, LineEnd::CrLf));
        }
        for bytes in [&b"a\0"[..], b"\x01\0\x02\0\x03\0", b"ab\0\0", b"a\0b"] {
            decode(bytes).unwrap_err();
        }
    }

    #[test]
    fn legacy_text_is_answered_in_its_encoding_if_that_can_hold_the_answer() {
        let decoded = decode(b"Wie gro\xdf ist der K\xf6lner Dom?\r\n").unwrap();
        assert_eq!(decoded.text, "Wie groß ist der Kölner Dom?\n");
        assert_eq!(decoded.form.encoding, WINDOWS_1252);
        assert_eq!(encode("Größer", decoded.form), b"Gr\xf6\xdfer\r\n");
        assert_eq!(encode("漢字", decoded.form), "\u{feff}漢字\r\n".as_bytes());
    }

    #[test]
    fn an_encoder_that_changes_a_character_is_not_used() {
        let japanese = form(SHIFT_JIS, false, LineEnd::Lf);
        assert_eq!(encode("5 ¥", japanese), "\u{feff}5 ¥\n".as_bytes());
    }

    #[test]
    fn the_last_line_ends_once() {
        let lf = form(UTF_8, false, LineEnd::Lf);
        for (text, bytes) in [("a", "a\n"), ("a\n", "a\n"), ("a\r\n", "a\n"), ("", "\n")] {
            assert_eq!(encode(text, lf), bytes.as_bytes());
        }
    }

    #[test]
    fn what_is_not_text_is_named() {
        for (bytes, words) in [
            (&b"\x89PNG\r\n\x1a\n\0\0"[..], "a PNG picture"),
            (b"%PDF-1.7\nabc", "a PDF document"),
            (b"{\\rtf1\\ansi Hello}", "a formatted (RTF) document"),
            (
                b"\0\0\0",
                "a file of zeros (perhaps a copy that did not finish)",
            ),
            (b"Hello\0world", "a file of some program"),
            (
                b"Hello\x07world",
                "a file with characters that no text has (code 7)",
            ),
            (b"GGUF\x03\0\0\0\x01", "a language model (GGUF)"),
            (b"MZ\x90\0\x03", "a program"),
            (b"\xff\xfe\0\0a\0\0\0", "a file of some program"),
        ] {
            assert_eq!(
                decode(bytes).unwrap_err().kind.to_string(),
                words,
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn tab_form_feed_and_a_dos_end_of_file_are_text() {
        assert_eq!(decode(b"a\tb\x0cc\x1a").unwrap().text, "a\tb\x0cc");
        decode(b"a\x1ab").unwrap_err();
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(decoded) = decode(&bytes) {
                prop_assert!(!decoded.text.contains(['\r', '\0']));
            }
        }

        #[test]
        fn what_is_encoded_decodes_to_the_same(
            text in "[a-zäöüß€ “”\n]{0,40}",
            which in 0..4usize,
            line_end in prop::sample::select(vec![LineEnd::CrLf, LineEnd::Lf, LineEnd::Cr]),
        ) {
            let encoding = [UTF_8, UTF_16LE, UTF_16BE, UTF_8][which];
            let bytes = encode(&text, form(encoding, which < 3, line_end));
            let decoded = decode(&bytes).unwrap();
            prop_assert_eq!(decoded.text.trim_end_matches('\n'), text.trim_end_matches('\n'));
            prop_assert_eq!(decoded.form.encoding, encoding);
        }
    }
}
