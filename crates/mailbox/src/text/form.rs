//! How a text is written down: encoding, byte order mark, line ends.
//!
//! Found by [`decode`](super::decode) in a prompt and handed to [`encode`](super::encode) for its
//! response.

use encoding_rs::{Encoding, UTF_8};

/// How lines end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEnd {
    /// Carriage return and line feed. The default: the oldest Windows programs know no other, and
    /// every program of today reads it.
    #[default]
    CrLf,
    /// Line feed.
    Lf,
    /// Carriage return.
    Cr,
}

impl LineEnd {
    /// The characters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CrLf => "\r\n",
            Self::Lf => "\n",
            Self::Cr => "\r",
        }
    }

    /// The line end that most lines of `text` have. Ties go to CRLF, then LF; a text of one line
    /// without an end gets the default.
    pub(super) fn majority(text: &str) -> Self {
        let crlf = text.matches("\r\n").count();
        let lf = text.matches('\n').count() - crlf;
        let cr = text.matches('\r').count() - crlf;
        if crlf >= lf && crlf >= cr {
            Self::CrLf
        } else if lf >= cr {
            Self::Lf
        } else {
            Self::Cr
        }
    }
}

/// Encoding, byte order mark and line ends. The default, for texts that follow no prompt, is UTF-8
/// without a mark and CRLF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextForm {
    /// The encoding; ASCII counts as UTF-8.
    pub encoding: &'static Encoding,
    /// Whether a byte order mark comes first. Always so for UTF-16, because a response is often too
    /// short for its reader to guess.
    pub bom: bool,
    /// The line ends.
    pub line_end: LineEnd,
}

impl Default for TextForm {
    fn default() -> Self {
        Self {
            encoding: UTF_8,
            bom: false,
            line_end: LineEnd::default(),
        }
    }
}
