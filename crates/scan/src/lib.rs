//! One reading of the volume: which prompts and settings are there, how they look, and which names
//! are taken. Bounded: so many files, so many bytes of each; contents are hashed and let go.
//! How many reads and how much memory that is: `docs/SPEC.md` section 1.4.
//!
//! Used by the daemon.

use std::collections::HashSet;

use mailbox::limits::{JOBS_MAX, PROMPT_LIMIT_BYTES};
use mailbox::{Digest, EntryFacts, Role, SettingsFile, Sighting, Stamp};
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
    /// Folders that are there and cannot be read now, and why: nothing is known of what is in them.
    pub unreadable: Vec<(&'static str, String)>,
    /// Folded paths.
    names: HashSet<String>,
}

/// One file of interest.
#[derive(Debug)]
pub struct Found {
    /// As the mailbox knows it.
    pub sighting: Sighting,
    /// What the settings file holds; a prompt is read again when its turn comes.
    pub settings: Option<Vec<u8>>,
    consistent: bool,
}

impl Scan {
    /// Reads the volume.
    ///
    /// # Errors
    /// The device failed. What is damaged is not an error: it has nothing to say.
    pub fn read<D: ReadAt>(volume: &Volume<D>) -> Result<Self, ReadError> {
        let mut scan = Self {
            in_use: !volume.dirty_marks()?.is_clean(),
            ..Self::default()
        };
        let mut chosen = Vec::new();
        for folder in mailbox::FOLDERS {
            scan.list(volume, folder, &mut chosen)?;
        }
        let believable = scan.believable(volume, &chosen)?;
        for (chosen, consistent) in chosen.into_iter().zip(believable) {
            let found = chosen.look(volume, consistent)?;
            match chosen.role {
                Role::Settings => scan.settings = Some(found),
                _ => scan.prompts.push(found),
            }
        }
        Ok(scan)
    }

    /// Whether something of that name is on the volume, as FAT compares names, or may be: in a
    /// folder that cannot be read, everything is taken to be there still.
    pub fn exists(&self, path: &str) -> bool {
        self.is_unreadable(path) || self.names.contains(&mailbox::name::fold(path))
    }

    /// Whether the folder of that path cannot be read.
    pub fn is_unreadable(&self, path: &str) -> bool {
        let (folder, _) = mailbox::name::split_path(path);
        let mut unreadable = self.unreadable.iter();
        unreadable.any(|(name, _)| name.eq_ignore_ascii_case(folder))
    }

    /// What the settling rules look at.
    pub fn observations(&self) -> Vec<Observation> {
        let all = self.prompts.iter().chain(&self.settings);
        all.map(Found::observation).collect()
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
        folder: &'static str,
        chosen: &mut Vec<Chosen>,
    ) -> Result<(), ReadError> {
        let entries = match volume.list(folder) {
            Ok(entries) => entries,
            Err(ReadError::NotFound { .. } | ReadError::NotAFolder { .. }) => return Ok(()),
            Err(error @ ReadError::Io(_)) => return Err(error),
            Err(error) => {
                self.unreadable.push((folder, error.to_string()));
                return Ok(());
            }
        };
        // A damaged folder can hold a name twice; the first is what `Volume::find` finds.
        let mut paths = HashSet::new();
        for entry in entries {
            let path = mailbox::name::join(folder, &entry.name);
            self.times.push(entry.modified);
            self.names.insert(mailbox::name::fold(&path));
            let role = mailbox::role(&path, facts(&entry));
            let wanted = role.is_prompt() || role == Role::Settings;
            if !wanted || !paths.insert(path.clone()) {
                continue;
            }
            if role.is_prompt() && chosen.len() >= JOBS_MAX {
                self.waiting += 1;
            } else {
                chosen.push(Chosen { path, entry, role });
            }
        }
        Ok(())
    }

    /// Which of the files can be believed as they are. One that says that it is too large is
    /// refused for that; its chain, which may be as long as the volume, is not followed.
    fn believable<D: ReadAt>(
        &self,
        volume: &Volume<D>,
        chosen: &[Chosen],
    ) -> Result<Vec<bool>, ReadError> {
        let is_small = |file: &&Chosen| u64::from(file.entry.len_bytes) <= PROMPT_LIMIT_BYTES;
        let small = chosen.iter().filter(is_small);
        let entries: Vec<Entry> = small.map(|file| file.entry.clone()).collect();
        let inspections = match volume.inspect(&entries) {
            Ok(inspections) => inspections,
            Err(error @ ReadError::Io(_)) => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "the volume cannot be inspected");
                return Ok(vec![false; chosen.len()]);
            }
        };
        let mut inspections = inspections.iter();
        let mut believable = |file: &Chosen| match is_small(&file) {
            true => inspections
                .next()
                .is_some_and(|seen| is_believable(seen, self.in_use)),
            false => true,
        };
        Ok(chosen.iter().map(&mut believable).collect())
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
        let digest = match &content {
            Some(content) => Digest::of(content),
            None if consistent => digest_of_large(stamp),
            None => digest_of_damaged(stamp),
        };
        let sighting = Sighting {
            path: self.path.clone(),
            digest,
            named: self.role == Role::NamePrompt,
            stamp,
        };
        let settings = content.filter(|_| self.role == Role::Settings);
        Ok(Found {
            sighting,
            settings,
            consistent,
        })
    }
}

impl Found {
    /// The settings file as the mailbox takes it.
    pub fn settings_file(&self) -> SettingsFile<'_> {
        let digest = self.sighting.digest;
        match &self.settings {
            Some(content) => SettingsFile::Content(content),
            None if self.consistent => SettingsFile::TooLarge {
                digest,
                bytes: u64::from(self.sighting.stamp.len_bytes),
            },
            None => SettingsFile::Damaged {
                digest,
                why: "its chain of clusters is broken".to_owned(),
            },
        }
    }

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

/// The content of a file, or `None` where it is too large for a prompt or breaks off.
///
/// # Errors
/// The device failed.
pub fn content<D: ReadAt>(volume: &Volume<D>, entry: &Entry) -> Result<Option<Vec<u8>>, ReadError> {
    match volume.read(entry, PROMPT_LIMIT_BYTES) {
        Ok(content) => Ok(Some(content)),
        Err(error @ ReadError::Io(_)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// What tells one file that is too large for a prompt from another: the directory entry.
pub fn digest_of_large(stamp: Stamp) -> Digest {
    digest_of_entry(b"large", stamp)
}

/// The same for a damaged file, which is another one than the same file mended.
pub fn digest_of_damaged(stamp: Stamp) -> Digest {
    digest_of_entry(b"damaged", stamp)
}

fn digest_of_entry(kind: &[u8], stamp: Stamp) -> Digest {
    Digest::of(&[kind, &stamp_bytes(stamp)].concat())
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
