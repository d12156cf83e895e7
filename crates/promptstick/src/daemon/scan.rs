//! One reading of the volume: which prompts and settings are there, how they look, and which names
//! are taken. Bounded: so many files, so many bytes of each; contents are hashed and let go.

use std::collections::HashSet;

use mailbox::limits::{JOBS_MAX, PROMPT_LIMIT_BYTES};
use mailbox::{Digest, EntryFacts, Role, Sighting, Stamp};
use medium::{Observation, View};
use volume::{ChainProblem, Entry, FatTime, Inspection, ReadAt, ReadError, Volume};

/// What a reading found.
#[derive(Debug, Default)]
pub struct Scan {
    /// The volume's marks say that a host uses it.
    pub in_use: bool,
    /// Prompts, in the order of their folders.
    pub prompts: Vec<Found>,
    /// The settings file.
    pub settings: Option<Found>,
    /// Modification times of everything that was listed.
    pub times: Vec<FatTime>,
    /// Prompts beyond those that can be followed: they wait until some of those are gone.
    pub waiting: usize,
    names: HashSet<String>,
}

/// One file of interest.
#[derive(Debug)]
pub struct Found {
    /// As the mailbox knows it.
    pub sighting: Sighting,
    /// The settings' content; a prompt's is read again when its turn comes.
    pub content: Vec<u8>,
    consistent: bool,
}

impl Scan {
    /// Reads the volume.
    ///
    /// # Errors
    /// The device failed. A damaged folder is not an error: it has nothing to say.
    pub fn read<D: ReadAt>(volume: &Volume<D>) -> Result<Self, ReadError> {
        let mut scan = Self {
            in_use: !volume.dirty_marks()?.is_clean(),
            ..Self::default()
        };
        let mut chosen = Vec::new();
        for folder in mailbox::FOLDERS {
            scan.list(volume, folder, &mut chosen)?;
        }
        let entries: Vec<Entry> = chosen.iter().map(|chosen| chosen.entry.clone()).collect();
        let inspections = volume.inspect(&entries)?;
        for (chosen, inspection) in chosen.into_iter().zip(inspections) {
            let found = chosen.look(volume, is_believable(&inspection, scan.in_use))?;
            match chosen.role {
                Role::Settings => scan.settings = Some(found),
                _ => scan.prompts.push(found),
            }
        }
        Ok(scan)
    }

    /// Whether something of that name is on the volume, as FAT compares names.
    pub fn exists(&self, path: &str) -> bool {
        self.names.contains(&mailbox::name::fold(path))
    }

    /// What the settling rules look at.
    pub fn observations(&self) -> Vec<Observation> {
        self.prompts
            .iter()
            .chain(&self.settings)
            .map(Found::observation)
            .collect()
    }

    /// The view of the one who holds the medium: nobody else can write, so what is there has
    /// settled. What is inconsistent stays unsettled; the usual rules will call it damaged.
    pub fn as_view(&self) -> View {
        let mut view = View::default();
        for found in self.prompts.iter().chain(&self.settings) {
            let paths = if found.consistent {
                &mut view.settled
            } else {
                &mut view.unsettled
            };
            paths.insert(found.sighting.path.clone());
        }
        view
    }

    fn list<D: ReadAt>(
        &mut self,
        volume: &Volume<D>,
        folder: &str,
        chosen: &mut Vec<Chosen>,
    ) -> Result<(), ReadError> {
        let entries = match volume.list(folder) {
            Ok(entries) => entries,
            Err(error @ ReadError::Io(_)) => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "a folder of the volume cannot be read");
                return Ok(());
            }
        };
        for entry in entries {
            let name = &entry.name;
            let path = if folder.is_empty() {
                name.clone()
            } else {
                format!("{folder}/{name}")
            };
            self.times.push(entry.modified);
            self.names.insert(mailbox::name::fold(&path));
            let role = mailbox::role(&path, facts(&entry));
            if role.is_prompt() && chosen.len() >= JOBS_MAX {
                self.waiting += 1;
            } else if role.is_prompt() || role == Role::Settings {
                chosen.push(Chosen { path, entry, role });
            }
        }
        Ok(())
    }
}

/// A directory entry of interest.
struct Chosen {
    path: String,
    entry: Entry,
    role: Role,
}

impl Chosen {
    fn look<D: ReadAt>(&self, volume: &Volume<D>, consistent: bool) -> Result<Found, ReadError> {
        let content = if consistent {
            content(volume, &self.entry)?
        } else {
            None
        };
        let stamp = stamp(&self.entry);
        let sighting = Sighting {
            path: self.path.clone(),
            digest: digest(content.as_deref(), consistent, stamp),
            named: self.role == Role::NamePrompt,
            stamp,
        };
        let content = content
            .filter(|_| self.role == Role::Settings)
            .unwrap_or_default();
        Ok(Found {
            sighting,
            content,
            consistent,
        })
    }
}

impl Found {
    fn observation(&self) -> Observation {
        let Sighting {
            path,
            stamp,
            digest,
            ..
        } = &self.sighting;
        let mut bytes = digest.0.to_vec();
        bytes.extend(stamp_bytes(*stamp));
        Observation {
            path: path.clone(),
            fingerprint: Digest::of(&bytes).0,
            consistent: self.consistent,
            empty: stamp.len_bytes == 0,
        }
    }
}

/// While a host is at it, data that is still to come shows as NULs; otherwise NULs are content.
pub fn is_believable(inspection: &Inspection, in_use: bool) -> bool {
    let is_nul_tail = |problem: &ChainProblem| matches!(problem, ChainProblem::NulTail { .. });
    inspection
        .problems
        .iter()
        .all(|problem| is_nul_tail(problem) && !in_use)
}

/// The content of a file, or `None` where it is too large for a prompt.
///
/// # Errors
/// The device failed. (A chain that breaks off counts as too large: there is nothing to read.)
pub fn content<D: ReadAt>(volume: &Volume<D>, entry: &Entry) -> Result<Option<Vec<u8>>, ReadError> {
    match volume.read(entry, PROMPT_LIMIT_BYTES) {
        Ok(content) => Ok(Some(content)),
        Err(error @ ReadError::Io(_)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// What tells this content from another. Where there is none to read, the directory entry does,
/// and a damaged file is another one than the same file mended.
pub fn digest(content: Option<&[u8]>, consistent: bool, stamp: Stamp) -> Digest {
    match content {
        Some(content) => Digest::of(content),
        None => {
            let mut bytes = vec![u8::from(consistent)];
            bytes.extend(stamp_bytes(stamp));
            Digest::of(&bytes)
        }
    }
}

/// The directory's data of a file.
pub fn stamp(entry: &Entry) -> Stamp {
    let raw = |time: FatTime| (time.date, time.time);
    Stamp {
        first_cluster: entry.first_cluster,
        len_bytes: entry.len_bytes,
        modified: raw(entry.modified),
        created: raw(entry.created),
    }
}

fn stamp_bytes(stamp: Stamp) -> Vec<u8> {
    let Stamp {
        first_cluster,
        len_bytes,
        modified,
        created,
    } = stamp;
    let times = [modified.0, modified.1, created.0, created.1];
    let sizes = [first_cluster, len_bytes]
        .into_iter()
        .flat_map(u32::to_le_bytes);
    sizes
        .chain(times.into_iter().flat_map(u16::to_le_bytes))
        .collect()
}

fn facts(entry: &Entry) -> EntryFacts {
    EntryFacts {
        is_dir: entry.is_dir(),
        hidden: entry.is_hidden(),
        system: entry.is_system(),
        len_bytes: entry.len_bytes,
    }
}
