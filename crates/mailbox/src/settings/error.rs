//! What can be wrong with settings, in the words that reach the user's error file.
//!
//! Invariant: both texts are one line each, whatever the host wrote (`quoted`).

use crate::text::Kind;

/// Settings that cannot be used: where, and why.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{} {}", self.what(), self.advice())]
pub struct SettingsError {
    /// Line in the file, from 1; none if no single line is to blame.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with settings.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// Not TOML.
    Syntax {
        /// The parser's words, one line.
        message: String,
        /// What the user most probably should do.
        hint: &'static str,
    },
    /// There is no such setting.
    UnknownKey {
        /// As it was written.
        key: String,
        /// The nearest that there is, if one is near.
        nearest: Option<&'static str>,
    },
    /// A setting has a value that it cannot have.
    BadValue {
        /// The setting.
        key: &'static str,
        /// What was written, shortened.
        found: String,
        /// What it must be; completes "must be …".
        must_be: String,
    },
    /// A `+++` line begins the settings of a prompt and none ends them.
    Unclosed,
    /// The settings file is not text.
    NotText {
        /// What it is.
        kind: Kind,
    },
    /// The settings file is too large.
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The largest that is read.
        limit_bytes: u64,
    },
    /// The settings file cannot be read from the volume.
    Damaged {
        /// In what way, in plain words; one line.
        why: String,
    },
}

/// Host text that is shown back at most, in characters.
const QUOTED_MAX_CHARS: usize = 40;

/// Host text made fit for one line of an error: shortened, without control characters.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(QUOTED_MAX_CHARS)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    if text.chars().nth(QUOTED_MAX_CHARS).is_some() {
        shown.push_str("...");
    }
    shown
}

impl SettingsError {
    /// What happened: one sentence.
    pub fn what(&self) -> String {
        let sentence = self.problem.what();
        match self.line {
            Some(line) => format!("The settings cannot be used. Line {line}: {sentence}"),
            None => format!("The settings cannot be used: {sentence}"),
        }
    }

    /// What to do: one sentence or two.
    pub fn advice(&self) -> String {
        match &self.problem {
            Problem::Syntax { hint, .. } => format!("{hint} Then save the file again."),
            Problem::UnknownKey {
                nearest: Some(nearest),
                ..
            } => {
                format!("Did you mean \"{nearest}\"? Correct the line and save the file again.")
            }
            Problem::UnknownKey { nearest: None, .. } => {
                "Remove the line, or look in SETTINGS.TOML for the settings that there are, \
                 and save the file again."
                    .to_owned()
            }
            Problem::BadValue { key, .. } => {
                format!("Correct the line that begins with \"{key}\" and save the file again.")
            }
            Problem::Unclosed => "Add a second line with only +++ after the last setting, or \
                                  remove the first one, and save the file again."
                .to_owned(),
            Problem::NotText { .. } => {
                "Delete the file to go back to the usual settings, or save it again as plain text."
                    .to_owned()
            }
            Problem::TooLarge { .. } => "Delete the file to go back to the usual settings, or \
                                         remove from it what is not needed and save it again."
                .to_owned(),
            Problem::Damaged { .. } => "Save the file again. If that does not help, delete it \
                                        and let your computer check the drive for errors."
                .to_owned(),
        }
    }
}

impl Problem {
    fn what(&self) -> String {
        match self {
            Self::Syntax { message, .. } => format!("it cannot be read ({message})."),
            Self::UnknownKey { key, .. } => format!("there is no setting called \"{key}\"."),
            Self::BadValue {
                key,
                found,
                must_be,
            } => {
                format!("\"{key}\" must be {must_be}, not {found}.")
            }
            Self::Unclosed => "+++ begins settings, but no second +++ ends them.".to_owned(),
            Self::NotText { kind } => format!("this is {kind}, not text."),
            Self::TooLarge { bytes, limit_bytes } => {
                format!("the file has {bytes} bytes; at most {limit_bytes} are read.")
            }
            Self::Damaged { why } => format!("the file is damaged ({why})."),
        }
    }
}
