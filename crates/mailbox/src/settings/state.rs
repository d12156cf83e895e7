//! Which settings are in force while `SETTINGS.TOML` comes, goes and is mistyped.
//!
//! Rules: the last good content stays in force while the file is bad; no file means the defaults; a
//! bad content is complained about once each time the file becomes it. Pure;
//! [`Mailbox`](crate::Mailbox) keeps it across restarts and turns a complaint into an error file.

use crate::complaint::Complaint;
use crate::digest::Digest;
use crate::limits::SETTINGS_LIMIT_BYTES;
use crate::text::{TextForm, decode, encode};

use super::{Problem, Settings, SettingsError};

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
            .and_then(|bytes| read(bytes).ok())
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

    /// Takes the file's content as it is now; `None` when there is no file. Content over
    /// [`SETTINGS_LIMIT_BYTES`] may be cut after that and one more byte.
    pub fn feed(&mut self, content: Option<&[u8]>) -> Feedback {
        let error = match content.map(read) {
            None => return self.accept(Settings::default()),
            Some(Ok(settings)) => return self.accept(settings),
            Some(Err(bad)) => bad,
        };
        let digest = content.map(Digest::of);
        if self.complained == digest {
            return Feedback::default();
        }
        self.complained = digest;
        let text = Complaint::BadSettings(error.error).text();
        Feedback {
            changed: false,
            error: Some(encode(&text, error.form)),
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

fn read(bytes: &[u8]) -> Result<Settings, Bad> {
    let whole = |problem| Bad {
        error: SettingsError {
            line: None,
            problem,
        },
        form: TextForm::default(),
    };
    let len_bytes = bytes.len() as u64;
    if len_bytes > SETTINGS_LIMIT_BYTES {
        let limit_bytes = SETTINGS_LIMIT_BYTES;
        return Err(whole(Problem::TooLarge {
            bytes: len_bytes,
            limit_bytes,
        }));
    }
    let decoded = decode(bytes).map_err(|bad| whole(Problem::NotText { kind: bad.kind }))?;
    Settings::parse(&decoded.text).map_err(|error| Bad {
        error,
        form: decoded.form,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_good_settings_stay_in_force_until_the_file_is_mended_or_gone() {
        let mut state = SettingsState::default();
        assert!(state.feed(Some(b"max_tokens = 9")).changed);
        let bad = state.feed(Some(b"max_tokens = no\n"));
        assert!(!bad.changed);
        let error = String::from_utf8(bad.error.unwrap()).unwrap();
        assert_eq!(error.lines().count(), 2, "{error}");
        assert_eq!(state.settings().max_tokens, 9);
        assert!(state.feed(Some(b"max_tokens = 10")).changed);
        assert!(state.feed(None).changed);
        assert_eq!(state.settings(), &Settings::default());
    }

    #[test]
    fn a_bad_content_is_complained_about_once_each_time_it_appears() {
        let mut state = SettingsState::default();
        let (bad, worse) = (Some(&b"a = 1"[..]), Some(&b"b = 1"[..]));
        assert!(state.feed(bad).error.is_some());
        assert!(state.feed(bad).error.is_none());
        let mut restarted = SettingsState::resume(None, state.complained());
        assert!(restarted.feed(bad).error.is_none());
        assert!(restarted.feed(worse).error.is_some());
        assert!(restarted.feed(bad).error.is_some());
        assert!(restarted.feed(None).error.is_none());
        assert!(restarted.feed(bad).error.is_some());
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
        assert!(state.feed(Some(&utf16("top_k = 7\r\n"))).changed);
        let error = state.feed(Some(&utf16("top_k = x\r\n"))).error.unwrap();
        assert!(error.starts_with(b"\xff\xfe") && error.ends_with(b"\r\0\n\0"));
    }

    #[test]
    fn a_picture_or_a_huge_file_is_a_complaint() {
        let mut state = SettingsState::default();
        assert!(state.feed(Some(b"\x89PNG\r\n\x1a\n")).error.is_some());
        let limit = usize::try_from(SETTINGS_LIMIT_BYTES).unwrap();
        assert!(state.feed(Some(&vec![b'#'; limit])).error.is_none());
        assert!(state.feed(Some(&vec![b'#'; limit + 1])).error.is_some());
    }
}
