//! The mailbox's side of `SETTINGS.TOML`: keeps the last good content durably, and makes a bad one
//! a job that is answered at once by an error file.
//!
//! Invariant: the stored settings are those in force; a bad file never replaces them.

use super::{GOOD_SETTINGS_NAME, Mailbox, SETTINGS_PATH};
use crate::digest::Digest;
use crate::disk::Disk;
use crate::error::MailboxError;
use crate::job::{JobId, Outcome, Stamp};
use crate::ledger::{Record, Source, State};
use crate::settings::{Feedback, Settings, SettingsFile};

impl<D: Disk> Mailbox<D> {
    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        self.settings.settings()
    }

    /// Takes in `SETTINGS.TOML` as it is now. One that cannot be used changes nothing and becomes a
    /// [`ready`](Self::ready) error, once; that is withdrawn when the file is mended first.
    pub fn feed_settings(&mut self, file: SettingsFile<'_>) -> Result<Feedback, MailboxError> {
        let content = match file {
            SettingsFile::Content(bytes) => Some(bytes),
            _ => None,
        };
        let mut settings = self.settings.clone();
        let feedback = settings.feed(file);
        let mut records = Vec::new();
        let is_settled = settings.complained() == self.settings.complained();
        if let Some((id, _)) = complaint_entry(self.ledger.state()).filter(|_| !is_settled) {
            records.push(Record::Dropped { id });
        }
        if let (Some(error), Some(digest)) = (&feedback.error, settings.complained()) {
            let id = self.ledger.state().next_id();
            let (source, stamp) = (Source::Settings, Stamp::default());
            records.push(Record::Added {
                id,
                source,
                digest,
                stamp,
                path: SETTINGS_PATH.into(),
            });
            records.push(self.store_answer(
                id,
                &Outcome::Error {
                    bytes: error.clone(),
                },
            )?);
        } else if settings.complained().is_none() {
            self.keep_good_settings(content)?;
        }
        self.ledger.append(&mut self.disk, &records)?;
        if !records.is_empty() {
            self.prune();
        }
        self.settings = settings;
        Ok(feedback)
    }

    fn keep_good_settings(&mut self, content: Option<&[u8]>) -> Result<(), MailboxError> {
        let digest = content.map(Digest::of);
        if digest == self.good_settings {
            return Ok(());
        }
        // No file means the defaults, and so does an empty one.
        self.disk
            .write_durably(GOOD_SETTINGS_NAME, content.unwrap_or_default())
            .map_err(MailboxError::io("keep the settings"))?;
        self.good_settings = digest;
        Ok(())
    }
}

/// The job that stands for settings that cannot be used, and their digest.
pub(super) fn complaint_entry(state: &State) -> Option<(JobId, Digest)> {
    let mut jobs = state.jobs.iter().rev();
    jobs.find(|(_, entry)| entry.source == Source::Settings)
        .map(|(id, entry)| (*id, entry.digest))
}
