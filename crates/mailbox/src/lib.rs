//! What is a prompt, its name and encoding, and what has been answered.
//!
//! Pure but for two edges, both in the state folder: the ledger and the response store. Knows
//! nothing of FAT and nothing of models. Used by the daemon (`promptstick`), which lists the
//! volume, asks the engine and publishes.
//!
//! | Module | What |
//! |---|---|
//! | [`name`] | roles of directory entries, names of responses |
//! | [`text`] | encodings and line ends, both ways |
//! | [`settings`], [`prompt`] | `SETTINGS.TOML`, the `+++` block, what is put to the model |
//! | [`complaint`] | the two lines of an error file |
//! | [`files`] | `README.TXT` and `SETTINGS.TOML` of a fresh volume |
//! | [`ledger`], [`reconcile`] | what has been asked and answered; what the volume means for it |
//! | [`Mailbox`] | all of it together, durable |

pub mod complaint;
pub mod digest;
pub mod disk;
mod error;
pub mod files;
mod job;
pub mod ledger;
pub mod limits;
mod mailbox;
pub mod name;
pub mod prompt;
pub mod reconcile;
pub mod settings;
mod store;
pub mod text;

pub use complaint::Complaint;
pub use digest::Digest;
pub use error::MailboxError;
pub use files::{README_TXT, SETTINGS_TOML};
pub use job::{Changes, Counts, Job, JobId, Outcome, Ready, Recent, Sighting, Stamp};
pub use ledger::History;
pub use mailbox::{Mailbox, SETTINGS_PATH};
pub use name::{
    EntryFacts, FOLDERS, NotOurs, OutcomeKind, Role, error_path, question_in_name, response_path,
    role,
};
pub use settings::{Format, Settings, SettingsError, SettingsFile, SettingsState};
pub use text::{Decoded, LineEnd, NotText, TextForm, decode, encode};

#[cfg(test)]
mod mailbox_tests;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
