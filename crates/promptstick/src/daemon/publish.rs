//! Puts what is ready onto the volume, as one transaction, while the medium is ours.
//!
//! Order: intent into the ledger, change set through the journal, result into the ledger. A crash
//! between any two is resolved by the ledger, from what it then finds on the volume.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context;
use mailbox::{JobId, Mailbox, Ready, SettingsState};
use volume::{Edit, EditError, FatTime, ImageFile, ReadAt, Volume};

use super::report::Report;
use super::scan::Scan;

/// The Pi has no clock: an answer is this much newer than the newest file, so that it sorts after
/// its prompt. FAT counts in steps of two seconds.
const NEWER_BY_SECONDS: u32 = 2;

/// What one publication did.
#[derive(Debug, Default)]
pub struct Published {
    /// Answers that are on the volume now.
    pub answers: usize,
    /// Answers for which there was no room.
    pub no_room: usize,
}
