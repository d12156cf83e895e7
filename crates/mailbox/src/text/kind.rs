//! What a file is that is not text, by its first bytes, in words that the user knows.
//!
//! The table serves an error text and nothing else: no decision of the stick hangs on it, except
//! that a file with a *certain* mark is refused although its bytes might pass for text (RTF, PDF).

use std::fmt;

/// What a file is that is not text. Its text completes "This is …".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A format that the table knows, in words with an article.
    Known(&'static str),
    /// Only zero bytes, as a file has whose data has not arrived.
    Zeros,
    /// Text in a supported encoding, up to a byte that cannot stand in text.
    ControlCharacter(u32),
    /// Anything else.
    Binary,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(words) => out.write_str(words),
            Self::Zeros => out.write_str("a file of zeros (perhaps a copy that did not finish)"),
            Self::ControlCharacter(code) => {
                write!(out, "a file with characters that no text has (code {code})")
            }
            Self::Binary => out.write_str("a file of some program"),
        }
    }
}

/// A mark at a place, and what it means.
struct Magic {
    offset_bytes: usize,
    mark: &'static [u8],
    words: &'static str,
}

const fn at(offset_bytes: usize, mark: &'static [u8], words: &'static str) -> Magic {
    Magic {
        offset_bytes,
        mark,
        words,
    }
}

const OFFICE: &str = "a Word, Excel, PowerPoint or OpenOffice document";
const OLD_OFFICE: &str = "a document of an older Word, Excel or PowerPoint";
const ARCHIVE: &str = "a compressed archive";
const PROGRAM: &str = "a program";
const SOUND: &str = "a sound recording";
const VIDEO: &str = "a video";
const MODEL: &str = "a language model (GGUF)";

/// Marks that no text begins with. From the formats' specifications, and file(1)'s magic table.
const CERTAIN: [Magic; 20] = [
    at(0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    at(0, b"\xff\xd8\xff", "a JPEG picture"),
    at(0, b"GIF87a", "a GIF picture"),
    at(0, b"GIF89a", "a GIF picture"),
    at(0, b"II*\0", "a TIFF picture"),
    at(0, b"MM\0*", "a TIFF picture"),
    at(8, b"WEBPVP8", "a WebP picture"),
    at(0, b"%PDF-", "a PDF document"),
    at(0, b"{\\rtf", "a formatted (RTF) document"),
    at(0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLD_OFFICE),
    at(0, b"PK\x03\x04", "a ZIP archive"),
    at(0, b"PK\x05\x06", "an empty ZIP archive"),
    at(0, b"\x1f\x8b\x08", ARCHIVE),
    at(0, b"\xfd7zXZ\0", ARCHIVE),
    at(0, b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    at(0, b"Rar!\x1a\x07", ARCHIVE),
    at(0, b"\x28\xb5\x2f\xfd", ARCHIVE),
    at(0, b"\x7fELF", PROGRAM),
    at(0, b"SQLite format 3\0", "a database"),
    at(4, b"ftypM4A", SOUND),
];

/// Marks that a text could begin with; asked only of a file that is not text for another reason.
const LIKELY: [Magic; 14] = [
    at(0, b"GGUF", MODEL),
    at(0, b"ggml", MODEL),
    at(0, b"MZ", PROGRAM),
    at(0, b"\xca\xfe\xba\xbe", PROGRAM),
    at(0, b"\xcf\xfa\xed\xfe", PROGRAM),
    at(0, b"\0asm", PROGRAM),
    at(0, b"BM", "a BMP picture"),
    at(0, b"BZh", ARCHIVE),
    at(8, b"WAVE", SOUND),
    at(0, b"ID3", SOUND),
    at(0, b"OggS", SOUND),
    at(0, b"fLaC", SOUND),
    at(4, b"ftyp", VIDEO),
    at(0, b"\x1aE\xdf\xa3", VIDEO),
];

/// How far into a ZIP file its first names are looked for.
const ZIP_HEAD_BYTES: usize = 256;

/// Names that tell an office document among ZIP archives (ECMA-376, `OpenDocument` part 2).
const OFFICE_NAMES: [&[u8]; 5] = [
    b"[Content_Types].xml",
    b"_rels/",
    b"word/",
    b"docProps/",
    b"mimetypeapplication/vnd.oasis",
];

/// A format that is certain from the first bytes alone.
pub(super) fn certain(bytes: &[u8]) -> Option<Kind> {
    let words = find(&CERTAIN, bytes)?;
    let head = bytes.get(..ZIP_HEAD_BYTES).unwrap_or(bytes);
    let is_office = bytes.starts_with(b"PK") && OFFICE_NAMES.iter().any(|name| has(head, name));
    Some(Kind::Known(if is_office { OFFICE } else { words }))
}

/// The best description of bytes that are known not to be text.
pub(super) fn describe(bytes: &[u8]) -> Kind {
    if !bytes.is_empty() && bytes.iter().all(|byte| *byte == 0) {
        return Kind::Zeros;
    }
    certain(bytes).unwrap_or_else(|| find(&LIKELY, bytes).map_or(Kind::Binary, Kind::Known))
}

fn find(table: &[Magic], bytes: &[u8]) -> Option<&'static str> {
    let hit = table.iter().find(|magic| {
        bytes
            .get(magic.offset_bytes..)
            .is_some_and(|b| b.starts_with(magic.mark))
    })?;
    Some(hit.words)
}

fn has(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn office_documents_are_told_from_other_archives() {
        let docx = b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0[Content_Types].xml \xa2";
        assert_eq!(certain(docx), Some(Kind::Known(OFFICE)));
        let odt = b"PK\x03\x04\x14\0\0\x08\0\0mimetypeapplication/vnd.oasis.opendocument.text";
        assert_eq!(certain(odt), Some(Kind::Known(OFFICE)));
        assert_eq!(
            certain(b"PK\x03\x04holiday.jpg"),
            Some(Kind::Known("a ZIP archive"))
        );
    }

    #[test]
    fn a_mark_that_a_word_begins_with_is_not_certain() {
        for text in [
            &b"MZ is a mark"[..],
            b"BMW makes cars",
            b"GGUF?",
            b"ID3 tags",
            b"",
        ] {
            assert_eq!(certain(text), None);
        }
        assert_eq!(describe(b"GGUF\x03\0\0\0"), Kind::Known(MODEL));
        assert_eq!(describe(b"\0\0\0\0"), Kind::Zeros);
        assert_eq!(describe(b"\x01\x02"), Kind::Binary);
    }
}
