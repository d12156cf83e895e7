//! Names of response and error files: `NAME.response.txt`, `NAME.response-2.txt`, ….
//!
//! Invariants: a name lies beside its prompt, is at most [`NAME_LIMIT_UNITS`] UTF-16 units long, is
//! valid text (no half of a surrogate pair), and reads back to the same stem, kind and number by
//! [`parse_ours`]. Which names are taken is the caller's knowledge: the ledger's and the volume's.

use super::path::{join, strip_prompt_extension, strip_suffix_fold};
use super::{fold, split_path};
use crate::digest::Digest;
use crate::limits::{NAME_LIMIT_UNITS, NAME_TRIES_MAX, ORDINAL_MAX};

/// Which of the two files answers a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutcomeKind {
    /// `NAME.response.txt`: what the model wrote.
    Response,
    /// `NAME.error.txt`: what went wrong and what to do.
    Error,
}

impl OutcomeKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Response, Self::Error];

    fn infix(self) -> &'static str {
        match self {
            Self::Response => ".response",
            Self::Error => ".error",
        }
    }
}

/// End of each of our names.
const EXTENSION: &str = ".txt";

/// A path taken apart that has the form of one of our names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OurName<'a> {
    folder: &'a str,
    stem: &'a str,
    kind: OutcomeKind,
    /// 1 for the name without a number.
    pub ordinal: u32,
}

impl OurName<'_> {
    /// A short hash of everything but the number: names with equal keys share their numbering.
    /// That two stems share a key by accident costs a skipped number and nothing else.
    pub fn key(&self) -> u64 {
        let whole = format!("{}/{}{}", self.folder, self.stem, self.kind.infix());
        Digest::of(fold(&whole).as_bytes()).short()
    }
}

/// Takes `path` apart if its name has the form of a response or error file, in any case.
pub(crate) fn parse_ours(path: &str) -> Option<OurName<'_>> {
    let (folder, name) = split_path(path);
    let rest = strip_suffix_fold(name, EXTENSION)?;
    let (rest, ordinal) = split_ordinal(rest);
    let (stem, kind) = OutcomeKind::ALL
        .into_iter()
        .find_map(|kind| Some((strip_suffix_fold(rest, kind.infix())?, kind)))?;
    (!stem.is_empty()).then_some(OurName {
        folder,
        stem,
        kind,
        ordinal,
    })
}

/// Splits `-N` off: N from 2 to [`ORDINAL_MAX`] without leading zeros, as we write it.
fn split_ordinal(rest: &str) -> (&str, u32) {
    let Some((front, digits)) = rest.rsplit_once('-') else {
        return (rest, 1);
    };
    let plain = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(ordinal) if plain && (2..=ORDINAL_MAX).contains(&ordinal) => (front, ordinal),
        _ => (rest, 1),
    }
}

/// The name number `ordinal` (from 1) of that kind for the prompt at `prompt_path`.
pub(crate) fn candidate(prompt_path: &str, kind: OutcomeKind, ordinal: u32) -> String {
    let (folder, name) = split_path(prompt_path);
    let stem = if name.eq_ignore_ascii_case("settings.toml") {
        "SETTINGS"
    } else {
        strip_prompt_extension(name).unwrap_or(name)
    };
    let number = if ordinal > 1 {
        format!("-{ordinal}")
    } else {
        String::new()
    };
    let end = format!("{}{number}{EXTENSION}", kind.infix());
    let room_units = NAME_LIMIT_UNITS.saturating_sub(end.len());
    join(folder, &format!("{}{end}", shorten(stem, room_units)))
}

/// The longest beginning of `stem` that fits `limit_units` UTF-16 units, in whole characters.
fn shorten(stem: &str, limit_units: usize) -> &str {
    let mut units = 0;
    for (start, c) in stem.char_indices() {
        units += c.len_utf16();
        if units > limit_units {
            return stem.get(..start).unwrap_or(stem);
        }
    }
    stem
}

/// The first response name for a prompt that is not `taken`; none after [`NAME_TRIES_MAX`] tries.
pub fn response_path(prompt_path: &str, taken: &dyn Fn(&str) -> bool) -> Option<String> {
    first_free(prompt_path, OutcomeKind::Response, taken)
}

/// The first error-file name for a prompt that is not `taken`; none after [`NAME_TRIES_MAX`] tries.
pub fn error_path(prompt_path: &str, taken: &dyn Fn(&str) -> bool) -> Option<String> {
    first_free(prompt_path, OutcomeKind::Error, taken)
}

fn first_free(path: &str, kind: OutcomeKind, taken: &dyn Fn(&str) -> bool) -> Option<String> {
    (1..=NAME_TRIES_MAX.min(ORDINAL_MAX))
        .map(|ordinal| candidate(path, kind, ordinal))
        .find(|name| !taken(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn free(_: &str) -> bool {
        false
    }

    #[test]
    fn lies_beside_the_prompt_and_keeps_its_name() {
        for (prompt, response, error) in [
            ("a.txt", "a.response.txt", "a.error.txt"),
            ("A B.TXT", "A B.response.txt", "A B.error.txt"),
            (
                "prompts/x.md",
                "prompts/x.response.txt",
                "prompts/x.error.txt",
            ),
            (
                "ask/What is v1.2",
                "ask/What is v1.2.response.txt",
                "ask/What is v1.2.error.txt",
            ),
            ("質問 😀.txt", "質問 😀.response.txt", "質問 😀.error.txt"),
            ("a.txt.md", "a.txt.response.txt", "a.txt.error.txt"),
            (
                "SETTINGS.TOML",
                "SETTINGS.response.txt",
                "SETTINGS.error.txt",
            ),
        ] {
            assert_eq!(response_path(prompt, &free).as_deref(), Some(response));
            assert_eq!(error_path(prompt, &free).as_deref(), Some(error));
        }
    }

    #[test]
    fn counts_on_past_taken_names() {
        let taken = |name: &str| ["a.response.txt", "a.response-2.txt"].contains(&name);
        assert_eq!(
            response_path("a.md", &taken).as_deref(),
            Some("a.response-3.txt")
        );
        assert_eq!(response_path("a.md", &|_| true), None);
    }

    #[test]
    fn a_long_name_is_shortened_between_characters() {
        let prompt = format!("{}.txt", "😀".repeat(125));
        for (ordinal, end) in [(1, ".response.txt"), (7, ".response-7.txt")] {
            let name = candidate(&prompt, OutcomeKind::Response, ordinal);
            assert!(name.ends_with(end));
            let units = name.encode_utf16().count();
            assert!(
                (NAME_LIMIT_UNITS - 1..=NAME_LIMIT_UNITS).contains(&units),
                "{units}"
            );
        }
    }

    #[test]
    fn keys_ignore_case_and_number_and_tell_the_rest_apart() {
        let key = |path| parse_ours(path).map(|name| name.key());
        assert_eq!(key("Ä.response.txt"), key("ä.RESPONSE-9.txt"));
        assert_ne!(key("a.response.txt"), key("a.error.txt"));
        assert_ne!(key("a.response.txt"), key("ask/a.response.txt"));
        assert_eq!(key("a.txt"), None);
    }

    proptest! {
        #[test]
        fn every_name_fits_and_reads_back(
            stem in "[^/\\x00]{1,260}",
            ordinal in 1..=ORDINAL_MAX,
            folder in prop::sample::select(vec!["", "prompts/", "ask/"]),
        ) {
            let path = format!("{folder}{stem}.txt");
            for kind in OutcomeKind::ALL {
                let name = candidate(&path, kind, ordinal);
                let (_, file) = split_path(&name);
                prop_assert!(file.encode_utf16().count() <= NAME_LIMIT_UNITS);
                let parsed = parse_ours(&name).unwrap();
                prop_assert_eq!(parsed.ordinal, ordinal);
                prop_assert_eq!(parsed.kind, kind);
            }
        }
    }
}
