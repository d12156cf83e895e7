//! One reading of the volume: which prompts and settings are there, how they look, and which names
//! are taken. Bounded: so many files, so many bytes of each; contents are hashed and let go.

use std::collections::HashSet;

use mailbox::{Digest, EntryFacts, Role, Sighting, Stamp, limits};
use medium::Observation;
use volume::{Entry, ReadAt, Volume};

/// Prompts that are looked at; what lies beyond waits until some of them are gone.
const MAX_PROMPTS: usize = 1_000;

/// What a reading found.
#[derive(Debug, Default)]
pub struct Scan {
    /// The volume's marks say that a host uses it.
    pub in_use: bool,
    /// Prompts, in the order of their folders.
    pub prompts: Vec<Found>,
    /// The settings file.
    pub settings: Option<Found>,
    /// The newest modification time of what was listed.
    pub newest: volume::FatTime,
    /// There were more prompts than are looked at.
    pub truncated: bool,
    names: HashSet<String>,
}

/// One file of interest.
#[derive(Debug)]
pub struct Found {
    /// As the mailbox knows it.
    pub sighting: Sighting,
    /// The chain and both FATs agree with the entry.
    pub consistent: bool,
    /// The settings' bytes; a prompt's are read again when its turn comes.
    pub bytes: Option<Vec<u8>>,
}

impl Scan {
    /// Reads the volume.
    ///
    /// # Errors
    /// The device cannot be read. A damaged folder or file is not an error: it has nothing to say.
    pub fn read<D: ReadAt>(volume: &Volume<D>) -> Result<Self, volume::ReadError> {
        let mut scan = Self { in_use: !volume.dirty_marks()?.is_clean(), ..Self::default() };
        let mut chosen = Vec::new();
        for folder in mailbox::FOLDERS {
            scan.list(volume, folder, &mut chosen)?;
        }
        let entries: Vec<Entry> = chosen.iter().map(|(_, entry, _)| entry.clone()).collect();
        let inspections = volume.inspect(&entries)?;
        for ((path, entry, role), inspection) in chosen.into_iter().zip(inspections) {
            let tail_is_missing = scan.in_use && inspection.has_nul_tail();
            let consistent = inspection.is_consistent() && !tail_is_missing;
            let found = look(volume, path, &entry, role, consistent)?;
            match role {
                Role::Settings => scan.settings = Some(found),
                _ => scan.prompts.push(found),
            }
        }
        Ok(scan)
    }

    /// Whether something of that name is on the volume, as FAT compares names.
    pub fn exists(&self, path: &str) -> bool {
        self.names.contains(&mailbox::fold(path))
    }

    /// What the settling rules look at.
    pub fn observations(&self) -> Vec<Observation> {
        self.prompts.iter().chain(&self.settings).map(Found::observation).collect()
    }

    fn list<D: ReadAt>(
        &mut self,
        volume: &Volume<D>,
        folder: &str,
        chosen: &mut Vec<(String, Entry, Role)>,
    ) -> Result<(), volume::ReadError> {
        let entries = match volume.list(folder) {
            Ok(entries) => entries,
            Err(error) if error.is_io() => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "a folder of the volume cannot be read");
                return Ok(());
            }
        };
        for entry in entries {
            let path = if folder.is_empty() {
                entry.name.clone()
            } else {
                format!("{folder}/{}", entry.name)
            };
            self.newest = self.newest.max(entry.modified);
            self.names.insert(mailbox::fold(&path));
            let role = mailbox::role(&path, facts(&entry));
            match role {
                Role::Prompt | Role::NamePrompt if chosen.len() >= MAX_PROMPTS => {
                    self.truncated = true;
                }
                Role::Prompt | Role::NamePrompt | Role::Settings => {
                    chosen.push((path, entry, role));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Found {
    fn observation(&self) -> Observation {
        Observation {
            path: self.sighting.path.clone(),
            fingerprint: self.sighting.fingerprint(),
            consistent: self.consistent,
            empty: self.sighting.stamp.len_bytes == 0,
        }
    }
}

fn facts(entry: &Entry) -> EntryFacts {
    EntryFacts {
        is_dir: entry.is_dir(),
        hidden: entry.is_hidden(),
        system: entry.is_system(),
        len_bytes: entry.len_bytes,
    }
}

fn look<D: ReadAt>(
    volume: &Volume<D>,
    path: String,
    entry: &Entry,
    role: Role,
    consistent: bool,
) -> Result<Found, volume::ReadError> {
    let bytes = if consistent { content(volume, entry)? } else { Vec::new() };
    let sighting = Sighting {
        path,
        stamp: stamp(entry),
        digest: Digest::of(&bytes),
        named: role == Role::NamePrompt,
        damaged: false,
    };
    let bytes = (role == Role::Settings).then_some(bytes);
    Ok(Found { sighting, consistent, bytes })
}

/// The content as far as it matters: a file that is too large for a prompt is told from another
/// by its beginning and its entry.
///
/// # Errors
/// The device cannot be read. (A chain that breaks off reads as empty.)
pub fn content<D: ReadAt>(
    volume: &Volume<D>,
    entry: &Entry,
) -> Result<Vec<u8>, volume::ReadError> {
    match volume.read_prefix(entry, limits::PROMPT_BYTES + 1) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.is_io() => Err(error),
        Err(_) => Ok(Vec::new()),
    }
}

fn stamp(entry: &Entry) -> Stamp {
    Stamp {
        first_cluster: entry.first_cluster,
        len_bytes: entry.len_bytes,
        modified: (entry.modified.date, entry.modified.time),
        created: (entry.created.date, entry.created.time),
    }
}
