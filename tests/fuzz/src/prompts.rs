//! Target of prompts and encodings: any bytes are a text or are refused, what is made of a text is
//! bounded, and a text that is written down in the form that it had is the same text again.

use mailbox::limits::PROMPT_LIMIT_BYTES;
use mailbox::prompt::{self, Question};
use mailbox::{Decoded, Settings, TextForm, decode, encode};

/// Most bytes of UTF-8 for a byte of a file: windows-1252 has a euro sign. Of a pair of UTF-16 it
/// is one and a half, of two bytes of Big5 two letters.
const TEXT_TIMES: usize = 3;
/// Most bytes of a file for a byte of text and for a line end, whatever the form; its mark.
const FILE_TIMES: usize = 4;
const FILE_MORE_BYTES: usize = 8;
/// Most bytes of an error file, whatever is wrong.
const REFUSAL_BYTES: usize = 4096;

/// A prompt file.
pub fn prompt(data: &[u8]) {
    if let Ok(decoded) = decode(data) {
        text(data, &decoded);
    }
    let stick = Settings::default();
    match prompt::read("prompt.txt", false, data, &stick) {
        Ok(Question { text, .. }) => {
            assert!(!text.trim().is_empty() && text.trim() == text);
            assert!(text.len() <= TEXT_TIMES * data.len());
            assert!(data.len() as u64 <= PROMPT_LIMIT_BYTES);
        }
        Err(refusal) => {
            let text = refusal.complaint.text();
            assert_eq!(text.lines().count(), 2, "{text}");
            assert!(refusal.bytes().len() <= REFUSAL_BYTES, "{text}");
        }
    }
}

fn text(data: &[u8], decoded: &Decoded) {
    let Decoded { text, form } = decoded;
    let foreign = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\x0c' | '\u{85}');
    assert!(!text.contains(foreign), "{text:?}");
    assert!(text.len() <= TEXT_TIMES * data.len(), "{}", text.len());
    let written = encode(text, *form);
    assert!(written.len() <= FILE_TIMES * text.len() + FILE_MORE_BYTES);
    let read_back = read_back(&written, *form);
    if is_unicode(*form) {
        let again = decode(&written).expect("it is a text still");
        assert_eq!(again.form.encoding, form.encoding);
        assert_eq!(encode(&again.text, again.form), written, "{text:?}");
    }
    let ended = if text.ends_with('\n') { "" } else { "\n" };
    assert_eq!(read_back, format!("{text}{ended}"));
}

/// Whether a text in this form says so itself. A legacy encoding is found anew in each text, and
/// what is found in another text of the same person may be another one.
fn is_unicode(form: TextForm) -> bool {
    form.bom || form.encoding.name() == "UTF-8"
}

/// The lines that a program shows that knows the encoding of a file that we wrote in this form.
pub(crate) fn read_back(written: &[u8], form: TextForm) -> String {
    if is_unicode(form) {
        return decode(written).expect("it says what it is").text;
    }
    let text = match written.strip_prefix(b"\xEF\xBB\xBF") {
        Some(text) => String::from_utf8(text.to_vec()).expect("it has UTF-8's mark"),
        None => {
            let (text, _) = form.encoding.decode_without_bom_handling(written);
            text.into_owned()
        }
    };
    text.replace("\r\n", "\n").replace('\r', "\n")
}
