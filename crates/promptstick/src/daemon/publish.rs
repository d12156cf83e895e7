//! Puts what is ready onto the volume, as one transaction, while the medium is ours.
//!
//! Order: intent into the ledger, change set through the journal, result into the ledger. A crash
//! between any two is resolved by the ledger from what it then finds on the volume.

use std::fmt;
use std::path::Path;

use anyhow::Context;
use mailbox::{JobId, Mailbox, MailboxError};
use volume::{ChangeSet, EditError, FatTime, ImageFile, ReadError, Volume};

use super::report::Report;
use scan::Scan;

/// How many answers were published, and how many stayed ready.
#[derive(Debug)]
pub struct Done {
    /// On the volume now.
    pub written: usize,
    /// Whose they are.
    pub ids: Vec<JobId>,
    /// Still ready: there was no room on the volume or in one transaction.
    pub left: usize,
    /// They are on the volume, but the ledger could not be told; it finds them there later.
    pub unnoted: Option<MailboxError>,
}

/// Publishes what there is room for; the rest stays ready.
///
/// # Errors
/// The image, the journal or the state folder failed. Whatever was half done is completed or
/// undone when the session is opened again.
pub fn publish(
    device: &mut ImageFile,
    journal: &Path,
    scan: &Scan,
    mailbox: &mut Mailbox,
    report: &mut Report,
) -> anyhow::Result<Done> {
    let ready = mailbox.ready();
    let readable = ready
        .iter()
        .filter(|ready| !scan.is_unreadable(&ready.path));
    let ids: Vec<JobId> = readable.map(|ready| ready.id).collect();
    let names = mailbox.names_for(&ids, &|path| scan.exists(path));
    let (changes, written) = edit(device, scan, mailbox, report, names)?;
    let mut unnoted = None;
    if !written.is_empty() {
        mailbox.publishing(&written).context(NotBegun)?;
        volume::publish(device, journal, &changes)?;
        unnoted = mailbox.published(&written).err();
    }
    for (id, path) in &written {
        report.published(*id, path);
    }
    Ok(Done {
        written: written.len(),
        left: ready.len() - written.len(),
        ids: written.into_iter().map(|(id, _)| id).collect(),
        unnoted,
    })
}

/// Marks a failure before the first write to the volume or to its journal.
#[derive(Debug)]
pub struct NotBegun;

impl fmt::Display for NotBegun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ledger must be written before the volume")
    }
}

type Named = Vec<(JobId, String)>;

fn edit(
    device: &ImageFile,
    scan: &Scan,
    mailbox: &Mailbox,
    report: &mut Report,
    names: Named,
) -> anyhow::Result<(ChangeSet, Named)> {
    let volume = Volume::open(device)?;
    let time = FatTime::after(scan.times.iter().copied());
    let mut edit = volume.edit();
    let mut written = Vec::new();
    for (id, path) in names {
        let Some(content) = mailbox.outcome_bytes(id)? else {
            continue;
        };
        match edit.create(&path, &content, time) {
            Ok(()) => written.push((id, path)),
            Err(EditError::Read(error @ ReadError::Io(_))) => return Err(error.into()),
            Err(error) => report.no_room(id, &error),
        }
    }
    Ok((edit.finish()?, written))
}
