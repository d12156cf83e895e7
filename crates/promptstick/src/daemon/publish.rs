//! Puts what is ready onto the volume, as one transaction, while the medium is ours.
//!
//! Order: intent into the ledger, change set through the journal, result into the ledger. A crash
//! between any two is resolved by the ledger from what it then finds on the volume.

use std::collections::{HashMap, HashSet};
use std::fmt;

use anyhow::Context;
use mailbox::disk::Disk;
use mailbox::name::{fold, split_path};
use mailbox::{JobId, Mailbox, MailboxError, Ready};
use volume::{ChangeSet, EditError, FatTime, JournalStore, ReadAt, ReadError, Volume, WriteAt};

use super::report::Report;
use scan::Scan;

/// Most answers of one transaction. It is made in one step, and nothing else is done meanwhile; but
/// a host that ejects the volume must get more than a night's answers at once.
const ANSWERS_MAX: usize = 1_000;

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
pub fn publish<D: WriteAt, J: JournalStore, S: Disk>(
    device: &mut D,
    journal: &mut J,
    scan: &Scan,
    mailbox: &mut Mailbox<S>,
    report: &mut Report,
) -> anyhow::Result<Done> {
    let ready = mailbox.ready();
    let readable = ready
        .iter()
        .filter(|ready| !scan.is_unreadable(&ready.path));
    let readable: Vec<&Ready> = readable.collect();
    let (changes, written) = edit(&*device, scan, mailbox, report, &readable)?;
    let mut unnoted = None;
    if !written.is_empty() {
        mailbox.publishing(&written).context(NotBegun)?;
        volume::publish_with(device, journal, &changes)?;
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

/// Makes files of the first answers that fit.
fn edit<D: ReadAt, S: Disk>(
    device: &D,
    scan: &Scan,
    mailbox: &Mailbox<S>,
    report: &mut Report,
    ready: &[&Ready],
) -> anyhow::Result<(ChangeSet, Named)> {
    let volume = Volume::open(device)?;
    let time = FatTime::after(scan.times.iter().copied());
    let mut edit = volume.edit();
    let mut written = Vec::new();
    let mut names = HashSet::new();
    let mut full = Full::default();
    for ready in ready.chunks(ANSWERS_MAX) {
        let is_used = |path: &str| scan.exists(path) || names.contains(&fold(path));
        let ids: Vec<JobId> = ready.iter().map(|ready| ready.id).collect();
        for (id, path) in mailbox.names_for(&ids, &is_used) {
            let this = ready.iter().find(|ready| ready.id == id);
            let len_bytes = this.map_or(0, |ready| ready.len_bytes);
            if written.len() >= ANSWERS_MAX || full.has_no_room(&path, len_bytes) {
                continue;
            }
            let Some(content) = mailbox.outcome_bytes(id)? else {
                continue;
            };
            match edit.create(&path, &content, time) {
                Ok(()) => written.push((id, path)),
                Err(EditError::Read(error @ ReadError::Io(_))) => return Err(error.into()),
                Err(error) => {
                    full.note(&path, content.len() as u64, &error);
                    report.no_room(id, &error);
                }
            }
        }
        if written.len() >= ANSWERS_MAX {
            break;
        }
        names.extend(written.iter().map(|(_, path)| fold(path)));
    }
    Ok((edit.finish()?, written))
}

/// What did not fit in this transaction: thousands of answers as large are not tried in vain.
/// By folder, for one that has to grow needs room that another does not.
#[derive(Default)]
struct Full(HashMap<String, Limits>);

struct Limits {
    /// Length of the shortest answer for which the volume had no room.
    bytes: u64,
    /// Length of the shortest name for which the folder had none, in the units that fill its slots;
    /// 0 for a folder that takes nothing.
    name_units: usize,
}

impl Full {
    fn note(&mut self, path: &str, len_bytes: u64, error: &EditError) {
        let (folder, name) = split_path(path);
        let limits = self.0.entry(fold(folder)).or_insert(Limits {
            bytes: u64::MAX,
            name_units: usize::MAX,
        });
        match error {
            EditError::Exists { .. } | EditError::BadName { .. } => {}
            EditError::VolumeFull { .. } | EditError::TooLarge { .. } => limits.bytes = len_bytes,
            EditError::RootFull | EditError::FolderFull => limits.name_units = units(name),
            _ => limits.name_units = 0,
        }
    }

    fn has_no_room(&self, path: &str, len_bytes: u64) -> bool {
        let (folder, name) = split_path(path);
        let limits = self.0.get(&fold(folder));
        limits.is_some_and(|limits| len_bytes >= limits.bytes || units(name) >= limits.name_units)
    }
}

fn units(name: &str) -> usize {
    name.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_CLUSTER: EditError = EditError::VolumeFull {
        needed_bytes: 4_096,
        free_bytes: 0,
    };

    #[test]
    fn a_folder_that_cannot_grow_keeps_no_other_folder_back() {
        let mut full = Full::default();
        full.note("ask/a.txt", 100, &NO_CLUSTER);
        assert!(full.has_no_room("Ask/b.txt", 100));
        assert!(!full.has_no_room("ask/b.txt", 99));
        assert!(!full.has_no_room("b.txt", 100));
    }

    #[test]
    fn a_full_folder_may_take_shorter_names() {
        let mut full = Full::default();
        full.note("ask/äöü.response.txt", 1, &EditError::FolderFull);
        assert!(full.has_no_room("ask/abc.response.txt", 1));
        assert!(!full.has_no_room("ask/a.txt", 1));
    }
}
