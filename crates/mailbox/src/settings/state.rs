//! Which settings are in force while `SETTINGS.TOML` comes, goes and is mistyped.
//!
//! Rules: the last good content stays in force while the file is bad, and only a file that is not
//! there means the defaults; a bad content is complained about once each time the file becomes it,
//! and so is a file that is too large to be read or damaged. Pure;
//! [`Mailbox`](crate::Mailbox) keeps it across restarts and turns a complaint into an error file.

use crate::complaint::{Complaint, shown};
use crate::digest::Digest;
use crate::limits::SETTINGS_LIMIT_BYTES;
use crate::text::{TextForm, decode, encode};

use super::{Problem, Settings, SettingsError};

/// `SETTINGS.TOML` as it lies on the volume now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsFile<'a> {
    /// There is none.
    Absent,
    /// Its bytes. More than [`SETTINGS_LIMIT_BYTES`] are the same as [`Self::TooLarge`].
    Content(&'a [u8]),
    /// It has more than [`SETTINGS_LIMIT_BYTES`].
    TooLarge {
        /// Tells this state of the file from others.
        digest: Digest,
        /// Its size.
        bytes: u64,
    },
    /// It cannot be read, because the volume is damaged there.
    Damaged {
        /// Tells this state of the file from others.
        digest: Digest,
        /// In what way, in plain words.
        why: String,
    },
}

impl SettingsFile<'_> {
    /// Tells this state of the file from others; none if there is no file.
    fn digest(&self) -> Option<Digest> {
        match self {
            Self::Absent => None,
            Self::Content(bytes) => Some(Digest::of(bytes)),
            Self::TooLarge { digest, .. } | Self::Damaged { digest, .. } => Some(*digest),
        }
    }
}

/// The settings in force and the bad content that has been complained about, if any.
#[derive(Clone, Debug, Default)]
pub struct SettingsState {
    in_force: Settings,
    complained: Option<Digest>,
}

/// What a look at the file changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// Other settings are in force than before.
    pub changed: bool,
    /// The content of an error file to write, in the form of the settings file.
    pub error: Option<Vec<u8>>,
}

impl SettingsState {
    /// As it was before a restart: the last good content, and the bad content complained about.
    pub fn resume(last_good: Option<&[u8]>, complained: Option<Digest>) -> Self {
        let in_force = last_good
            .and_then(|bytes| read(SettingsFile::Content(bytes)).ok())
            .unwrap_or_default();
        Self {
            in_force,
            complained,
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.in_force
    }

    /// The bad content that stands on the volume and has been complained about.
    pub fn complained(&self) -> Option<Digest> {
        self.complained
    }

    /// Takes in the file as it is now.
    pub fn feed(&mut self, file: SettingsFile<'_>) -> Feedback {
        let digest = file.digest();
        let bad = match read(file) {
            Ok(settings) => return self.accept(settings),
            Err(bad) => bad,
        };
        if self.complained == digest {
            return Feedback::default();
        }
        self.complained = digest;
        let text = Complaint::BadSettings(bad.error).text();
        Feedback {
            changed: false,
            error: Some(encode(&text, bad.form)),
        }
    }

    fn accept(&mut self, settings: Settings) -> Feedback {
        let changed = settings != self.in_force;
        *self = Self {
            in_force: settings,
            complained: None,
        };
        Feedback {
            changed,
            error: None,
        }
    }
}

/// An error and the form to write it in.
struct Bad {
    error: SettingsError,
    form: TextForm,
}

impl Bad {
    /// No single line is to blame.
    fn whole(problem: Problem) -> Self {
        let line = None;
        Self {
            error: SettingsError { line, problem },
            form: TextForm::default(),
        }
    }

    fn too_large(bytes: u64) -> Self {
        let limit_bytes = SETTINGS_LIMIT_BYTES;
        Self::whole(Problem::TooLarge { bytes, limit_bytes })
    }
}

fn read(file: SettingsFile<'_>) -> Result<Settings, Bad> {
    match file {
        SettingsFile::Absent => Ok(Settings::default()),
        SettingsFile::Content(bytes) => parse(bytes),
        SettingsFile::TooLarge { bytes, .. } => Err(Bad::too_large(bytes)),
        SettingsFile::Damaged { why, .. } => {
            let why = shown(&why);
            Err(Bad::whole(Problem::Damaged { why }))
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Settings, Bad> {
    let len_bytes = bytes.len() as u64;
    if len_bytes > SETTINGS_LIMIT_BYTES {
        return Err(Bad::too_large(len_bytes));
    }
    let decoded = decode(bytes).map_err(|bad| Bad::whole(Problem::NotText { kind: bad.kind }))?;
    Settings::parse(&decoded.text).map_err(|error| Bad {
        error,
        form: decoded.form,
    })
}

#[cfg(test)]
mod tests {
    use super::SettingsFile::{Absent, Content, Damaged, TooLarge};
    use super::*;

    #[test]
    fn the_last_good_settings_stay_in_force_until_the_file_is_mended_or_gone() {
        let mut state = SettingsState::default();
        assert!(state.feed(Content(b"max_tokens = 9")).changed);
        let bad = state.feed(Content(b"max_tokens = no\n"));
        assert!(!bad.changed);
        let error = String::from_utf8(bad.error.unwrap()).unwrap();
        assert_eq!(error.lines().count(), 2, "{error}");
        assert_eq!(state.settings().max_tokens, 9);
        assert!(state.feed(Content(b"max_tokens = 10")).changed);
        assert!(state.feed(Absent).changed);
        assert_eq!(state.settings(), &Settings::default());
    }

    #[test]
    fn a_bad_content_is_complained_about_once_each_time_it_appears() {
        let mut state = SettingsState::default();
        let (bad, worse) = (Content(b"a = 1"), Content(b"b = 1"));
        assert!(state.feed(bad.clone()).error.is_some());
        assert!(state.feed(bad.clone()).error.is_none());
        let mut restarted = SettingsState::resume(None, state.complained());
        assert!(restarted.feed(bad.clone()).error.is_none());
        assert!(restarted.feed(worse).error.is_some());
        assert!(restarted.feed(bad.clone()).error.is_some());
        assert!(restarted.feed(Absent).error.is_none());
        assert!(restarted.feed(bad.clone()).error.is_some());
    }

    #[test]
    fn utf_16_with_windows_line_ends_is_read_and_answered_alike() {
        let utf16 = |text: &str| -> Vec<u8> {
            "\u{feff}"
                .encode_utf16()
                .chain(text.encode_utf16())
                .flat_map(u16::to_le_bytes)
                .collect()
        };
        let mut state = SettingsState::default();
        assert!(state.feed(Content(&utf16("top_k = 7\r\n"))).changed);
        let error = state.feed(Content(&utf16("top_k = x\r\n"))).error.unwrap();
        assert!(error.starts_with(b"\xff\xfe") && error.ends_with(b"\r\0\n\0"));
    }

    #[test]
    fn a_picture_or_a_huge_file_is_a_complaint() {
        let mut state = SettingsState::default();
        assert!(state.feed(Content(b"\x89PNG\r\n\x1a\n")).error.is_some());
        let limit = usize::try_from(SETTINGS_LIMIT_BYTES).unwrap();
        assert!(state.feed(Content(&vec![b'#'; limit])).error.is_none());
        assert!(state.feed(Content(&vec![b'#'; limit + 1])).error.is_some());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_complaint_of_its_own_and_not_the_defaults() {
        let digest = Digest::of(b"what could be read");
        let too_large = TooLarge {
            digest,
            bytes: 70_000,
        };
        let damaged = Damaged {
            digest,
            why: "its end\nis missing.".into(),
        };
        for (file, what) in [
            (too_large, "the file has 70000 bytes; at most 16384 are"),
            (damaged, "the file is damaged (its end is missing)."),
        ] {
            let mut state = SettingsState::default();
            state.feed(Content(b"top_k = 7"));
            let feedback = state.feed(file.clone());
            assert_eq!((feedback.changed, state.settings().top_k), (false, 7));
            let error = String::from_utf8(feedback.error.unwrap()).unwrap();
            assert_eq!(error.lines().count(), 2, "{error}");
            assert!(error.contains(what), "{error}");
            assert_eq!(state.feed(file.clone()), Feedback::default());
            assert_eq!(state.feed(Content(b"top_k = 7")), Feedback::default());
            assert!(state.feed(file).error.is_some());
        }
    }
}
