//! From a prompt file to the question that is put to the model.
//!
//! Pure. A prompt may begin with settings of its own between two lines of `+++`; they override the
//! stick's for this prompt alone. Whatever is wrong becomes a [`Complaint`] in the prompt's own
//! encoding and line ends.

use crate::complaint::Complaint;
use crate::limits::PROMPT_LIMIT_BYTES;
use crate::name::question_in_name;
use crate::settings::{Problem, Settings, SettingsError};
use crate::text::{TextForm, decode, encode};

/// The line before and after a prompt's own settings.
const FENCE: &str = "+++";

/// What is put to the model, and how its response is to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The prompt, trimmed; never empty.
    pub text: String,
    /// The settings for it.
    pub settings: Settings,
    /// The form of the response file.
    pub form: TextForm,
}

/// A prompt that cannot be put to the model, and how its error file is to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Why.
    pub complaint: Complaint,
    /// The form of the error file.
    pub form: TextForm,
}

impl Refusal {
    /// The error file's content.
    pub fn bytes(&self) -> Vec<u8> {
        encode(&self.complaint.text(), self.form)
    }
}

/// Reads a prompt: its file name if `named`, else its content.
pub fn read(
    path: &str,
    named: bool,
    content: &[u8],
    stick: &Settings,
) -> Result<Question, Refusal> {
    let refuse = |complaint, form| Refusal { complaint, form };
    let default = TextForm::default();
    if named {
        return question(question_in_name(path), stick.clone(), default);
    }
    let len_bytes = content.len() as u64;
    if len_bytes > PROMPT_LIMIT_BYTES {
        let complaint = Complaint::TooLarge {
            bytes: len_bytes,
            limit_bytes: PROMPT_LIMIT_BYTES,
        };
        return Err(refuse(complaint, default));
    }
    let decoded =
        decode(content).map_err(|bad| refuse(Complaint::NotText { kind: bad.kind }, default))?;
    let (settings, body) = split(&decoded.text, stick)
        .map_err(|error| refuse(Complaint::BadSettings(error), decoded.form))?;
    question(body, settings, decoded.form)
}

fn question(text: &str, settings: Settings, form: TextForm) -> Result<Question, Refusal> {
    let text = text.trim().to_owned();
    if text.is_empty() {
        return Err(Refusal {
            complaint: Complaint::Empty,
            form,
        });
    }
    Ok(Question {
        text,
        settings,
        form,
    })
}

/// Splits a prompt's own settings off its text: the settings for it, and the rest.
///
/// The block begins with a line `+++` before which only blank lines stand, and ends with the next
/// such line. Line numbers of errors count from the first line of `text`.
pub fn split<'a>(text: &'a str, stick: &Settings) -> Result<(Settings, &'a str), SettingsError> {
    let text = text.trim_start_matches('\u{feff}');
    let mut fences = Fences {
        text,
        at: 0,
        line: 0,
    };
    let Some(open) = fences.next_line() else {
        return Ok((stick.clone(), text));
    };
    let mut open = open;
    while open.text.trim().is_empty() {
        match fences.next_line() {
            Some(line) => open = line,
            None => return Ok((stick.clone(), text)),
        }
    }
    if open.text.trim() != FENCE {
        return Ok((stick.clone(), text));
    }
    let block_start = fences.at;
    while let Some(line) = fences.next_line() {
        if line.text.trim() == FENCE {
            let block = text.get(block_start..line.start).unwrap_or_default();
            let settings = stick.overridden(block, open.number + 1)?;
            return Ok((settings, text.get(fences.at..).unwrap_or_default()));
        }
    }
    Err(SettingsError {
        line: Some(open.number),
        problem: Problem::Unclosed,
    })
}

/// A walk over the lines of a text that knows where it is.
struct Fences<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

struct Line<'a> {
    text: &'a str,
    start: usize,
    number: usize,
}

impl<'a> Fences<'a> {
    fn next_line(&mut self) -> Option<Line<'a>> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let len = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let start = self.at;
        self.at += len;
        self.line += 1;
        Some(Line {
            text: rest.get(..len).unwrap_or(rest),
            start,
            number: self.line,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_question_or_a_refusal_of_two_lines(
            head in prop::sample::select(vec!["", "+++\n", "\u{feff}+++\n"]),
            bytes in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let content = [head.as_bytes(), &bytes].concat();
            match read("a.txt", false, &content, &stick()) {
                Ok(question) => prop_assert!(!question.text.trim().is_empty()),
                Err(refusal) => prop_assert_eq!(refusal.complaint.text().lines().count(), 2),
            }
        }
    }

    fn stick() -> Settings {
        Settings {
            max_tokens: 100,
            top_k: 7,
            ..Settings::default()
        }
    }

    #[test]
    fn a_block_overrides_and_is_not_part_of_the_prompt() {
        for text in [
            "+++\nmax_tokens = 5\n+++\nWhy?\n",
            "\n \n+++ \r\nmax_tokens = 5\r\n+++\r\nWhy?\n",
            "\u{feff}+++\nmax_tokens = 5\n+++\nWhy?\n",
        ] {
            let (settings, body) = split(text, &stick()).unwrap();
            assert_eq!(
                settings,
                Settings {
                    max_tokens: 5,
                    ..stick()
                }
            );
            assert_eq!(body, "Why?\n");
        }
    }

    #[test]
    fn without_a_block_the_text_is_as_it_was() {
        for text in [
            "",
            "\n\n",
            "Why?",
            "a\n+++\nb\n+++\n",
            "++++\nx",
            "+++ x\ny",
        ] {
            assert_eq!(split(text, &stick()).unwrap(), (stick(), text));
        }
        assert_eq!(split("+++\n+++", &stick()).unwrap(), (stick(), ""));
    }

    #[test]
    fn errors_have_the_line_of_the_file() {
        let error = split("\n+++\ntop_k = 1\nseeed = 2\n+++\nWhy?", &stick()).unwrap_err();
        assert_eq!(error.line, Some(4));
        let error = split("\n+++\ntop_k = 1\nWhy?", &stick()).unwrap_err();
        assert_eq!(
            error,
            SettingsError {
                line: Some(2),
                problem: Problem::Unclosed
            }
        );
    }

    #[test]
    fn a_prompt_is_its_trimmed_content_or_its_name() {
        let question = read("a.txt", false, b"  Why?\r\n\r\n", &stick()).unwrap();
        assert_eq!(question.text, "Why?");
        let question = read("ask/Why so_blue.txt", true, b"", &stick()).unwrap();
        assert_eq!(question.text, "Why so_blue");
    }

    #[test]
    fn what_cannot_be_asked_is_refused_in_the_prompts_own_form() {
        let refusal = |content: &[u8]| read("a.txt", false, content, &stick()).unwrap_err();
        assert_eq!(refusal(b" \r\n\t").complaint, Complaint::Empty);
        assert_eq!(refusal(b"").complaint, Complaint::Empty);
        assert_eq!(
            refusal(b"+++\ntop_k = 1\n+++\n \n").complaint,
            Complaint::Empty
        );
        assert!(matches!(
            refusal(b"\x89PNG\r\n\x1a\n").complaint,
            Complaint::NotText { .. }
        ));
        let limit = usize::try_from(PROMPT_LIMIT_BYTES).unwrap();
        assert!(read("a.txt", false, &vec![b'a'; limit], &stick()).is_ok());
        let too_large = refusal(&vec![b'a'; limit + 1]).complaint;
        assert!(matches!(
            too_large,
            Complaint::TooLarge {
                bytes: 65_537,
                limit_bytes: 65_536
            }
        ));
        let bytes = refusal(b"+++\nbad = 1\n+++\nx\n").bytes();
        assert!(!bytes.contains(&b'\r') && bytes.ends_with(b"\n"));
    }
}
