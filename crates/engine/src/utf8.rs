//! UTF-8 out of tokens: a token may be any part of a character, or no UTF-8 at all.
//!
//! Invariant: only whole characters come out; each byte sequence that cannot become one turns
//! into U+FFFD, exactly as `String::from_utf8_lossy` does for the whole. Pure.

/// Decodes bytes that arrive in pieces.
#[derive(Debug, Clone, Default)]
pub struct Utf8Decoder {
    /// The beginning of a character; at most three bytes between calls.
    partial: Vec<u8>,
}

impl Utf8Decoder {
    /// Takes more bytes, gives out the characters that are complete.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.partial.extend_from_slice(bytes);
        let mut text = String::with_capacity(self.partial.len());
        let mut rest = self.partial.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    rest = after;
                    let Some(bad_bytes) = error.error_len() else {
                        break;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[bad_bytes..];
                }
            }
        }
        self.partial = rest.to_vec();
        text
    }

    /// The end: what is still incomplete becomes one U+FFFD.
    pub fn finish(&mut self) -> String {
        let partial = std::mem::take(&mut self.partial);
        String::from_utf8_lossy(&partial).into_owned()
    }

    /// Whether `bytes` could come next without anything becoming U+FFFD.
    #[must_use]
    pub fn accepts(&self, bytes: &[u8]) -> bool {
        let mut all = self.partial.clone();
        all.extend_from_slice(bytes);
        match std::str::from_utf8(&all) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_character_in_four_tokens_comes_out_once() {
        let mut decoder = Utf8Decoder::default();
        let mut out = Vec::new();
        for byte in "🦀".bytes() {
            out.push(decoder.push(&[byte]));
        }
        assert_eq!(out, ["", "", "", "🦀"]);
        assert_eq!(decoder.finish(), "");
    }

    #[test]
    fn invalid_bytes_become_replacement_characters() {
        let mut decoder = Utf8Decoder::default();
        assert_eq!(decoder.push(b"a\xffb\xe2\x82"), "a\u{fffd}b");
        assert_eq!(decoder.push(b"c"), "\u{fffd}c");
        assert_eq!(decoder.push(b"\xf0\x9f"), "");
        assert_eq!(decoder.finish(), "\u{fffd}");
    }

    #[test]
    fn overlong_and_surrogate_forms_are_not_accepted() {
        let decoder = Utf8Decoder::default();
        assert!(decoder.accepts(b"\xe2\x82"));
        assert!(!decoder.accepts(b"\xc0\xa2"));
        assert!(!decoder.accepts(b"\xed\xa0\x80"));
    }

    proptest! {
        #[test]
        fn same_as_decoding_at_once(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..20)
        ) {
            let mut decoder = Utf8Decoder::default();
            let mut out: String = pieces.iter().map(|piece| decoder.push(piece)).collect();
            out.push_str(&decoder.finish());
            prop_assert_eq!(out, String::from_utf8_lossy(&pieces.concat()).into_owned());
        }
    }
}
