//! What the library makes of a crafted image: everything that the daemon asks of it, with the reads
//! counted.

use std::collections::BTreeMap;

use volume::testing::CountingDevice;
use volume::{ChainProblem, ReadAt, ReadError, Volume};

/// The folders that are looked into.
pub const FOLDERS: [&str; 3] = ["", "prompts", "ask"];
/// Longest read that anything does.
const MAX_READ_BYTES: usize = 64 * 1024;
/// Longest file that the daemon reads.
const PROMPT_LIMIT_BYTES: u64 = 64 * 1024;

/// What was found.
#[derive(Debug, Default)]
pub struct Look {
    /// Why a folder cannot be listed.
    pub unreadable: BTreeMap<&'static str, ReadError>,
    /// What is wrong with each file and folder that is listed.
    pub problems: BTreeMap<String, Vec<ChainProblem>>,
    /// Names as they are shown, in the order of the slots.
    pub names: Vec<String>,
    /// Reads of the device.
    pub reads: u64,
}

impl Look {
    pub fn problems(&self, path: &str) -> &[ChainProblem] {
        let problems = self.problems.get(path);
        problems.unwrap_or_else(|| panic!("{path} is not listed: {:?}", self.names))
    }

    pub fn is_sound(&self, path: &str) -> bool {
        self.problems(path).is_empty()
    }
}

/// Looks at all of it. Content comes back whole or not at all.
pub fn look<D: ReadAt>(device: D) -> Look {
    let device = CountingDevice::new(device);
    let volume = Volume::open(&device).expect("a volume");
    let mut look = Look::default();
    let mut entries = Vec::new();
    for folder in FOLDERS {
        match volume.list(folder) {
            Ok(found) => {
                let path = |name: &str| mailbox::name::join(folder, name);
                look.names
                    .extend(found.iter().map(|entry| path(&entry.name)));
                entries.extend(found);
            }
            Err(ReadError::NotFound { .. } | ReadError::NotAFolder { .. }) => {}
            Err(error) => _ = look.unreadable.insert(folder, error),
        }
    }
    let inspections = volume.inspect(&entries).expect("bounded");
    let listed = look.names.iter().zip(&entries);
    for ((path, entry), inspection) in listed.zip(inspections) {
        if let Ok(content) = volume.read(entry, PROMPT_LIMIT_BYTES) {
            assert_eq!(content.len() as u64, u64::from(entry.len_bytes));
        }
        // Of two with one name the first is what a path leads to.
        look.problems
            .entry(path.clone())
            .or_insert(inspection.problems);
    }
    assert!(device.longest_bytes() <= MAX_READ_BYTES);
    look.reads = device.take_reads();
    look
}
