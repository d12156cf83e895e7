//! Text to bytes in a given form; UTF-8 with a byte order mark where that form cannot hold it.
//!
//! Invariants: the bytes decode to the same text; the last line ends. Used for every response and
//! error file.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::TextForm;

/// The character that begins a text in Unicode to tell its byte order (Unicode 16.0, 23.8).
const BOM: &str = "\u{feff}";

/// `text` in the given form. Line ends of any kind become the form's; a missing last one is added.
pub fn encode(text: &str, form: TextForm) -> Vec<u8> {
    let mut lines = text.replace("\r\n", "\n").replace('\r', "\n");
    if !lines.ends_with('\n') {
        lines.push('\n');
    }
    let text = lines.replace('\n', form.line_end.as_str());
    in_encoding(&text, form).unwrap_or_else(|| [BOM, &text].concat().into_bytes())
}

fn in_encoding(text: &str, form: TextForm) -> Option<Vec<u8>> {
    let mark = if form.bom { BOM } else { "" };
    if form.encoding == UTF_8 {
        return Some([mark, text].concat().into_bytes());
    }
    let units = || mark.encode_utf16().chain(text.encode_utf16());
    if form.encoding == UTF_16LE {
        return Some(units().flat_map(u16::to_le_bytes).collect());
    }
    if form.encoding == UTF_16BE {
        return Some(units().flat_map(u16::to_be_bytes).collect());
    }
    in_legacy(text, form.encoding)
}

/// `text` in a legacy encoding, if that holds every character and gives it back.
fn in_legacy(text: &str, encoding: &'static Encoding) -> Option<Vec<u8>> {
    let (bytes, _, unmappable) = encoding.encode(text);
    if unmappable {
        return None;
    }
    // Some legacy encoders are wider than their decoders (Shift_JIS folds U+00A5 to a backslash).
    let (back, _) = encoding.decode_without_bom_handling(&bytes);
    (back == text).then(|| bytes.into_owned())
}
