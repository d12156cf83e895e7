//! A volume, a user and the mailbox on a real folder. Shared by the tests by example.

use std::collections::BTreeMap;
use std::path::Path;

use crate::name::fold;
use crate::{Changes, Digest, Mailbox, Outcome, Sighting, Stamp};

/// For comparing with what appeared.
pub const NOTHING: [&str; 0] = [];

pub const SERIAL: u32 = 0x1234_5678;

/// A volume and the mailbox beside it.
pub struct Stick {
    pub state: tempfile::TempDir,
    pub mailbox: Mailbox,
    pub prompts: BTreeMap<String, (Vec<u8>, Stamp)>,
    pub answers: BTreeMap<String, Vec<u8>>,
    clock: u16,
}

fn open(path: &Path) -> Mailbox {
    Mailbox::open(path, SERIAL).unwrap()
}

pub fn response(text: &str) -> Outcome {
    Outcome::Response {
        bytes: text.as_bytes().to_vec(),
    }
}

impl Stick {
    pub fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let mailbox = open(state.path());
        Self {
            state,
            mailbox,
            prompts: BTreeMap::new(),
            answers: BTreeMap::new(),
            clock: 0,
        }
    }

    fn stamp(&mut self, content: &str) -> Stamp {
        self.clock += 1;
        Stamp {
            first_cluster: u32::from(self.clock),
            len_bytes: u32::try_from(content.len()).unwrap(),
            modified: (1, self.clock),
            created: (1, self.clock),
        }
    }

    pub fn save(&mut self, path: &str, content: &str) {
        let stamp = self.stamp(content);
        self.prompts.insert(path.into(), (content.into(), stamp));
    }

    pub fn rename(&mut self, from: &str, to: &str) {
        let file = self.prompts.remove(from).unwrap();
        self.prompts.insert(to.into(), file);
    }

    pub fn look(&mut self) -> Changes {
        let sightings: Vec<_> = self
            .prompts
            .iter()
            .map(|(path, (content, stamp))| Sighting {
                path: path.clone(),
                stamp: *stamp,
                digest: Digest::of(content),
                named: path.starts_with("ask/") && content.is_empty(),
            })
            .collect();
        let content = |path: &str| {
            let mut files = self.answers.iter();
            let (_, bytes) = files.find(|(name, _)| fold(name) == fold(path))?;
            Some(Digest::of(bytes))
        };
        self.mailbox.resolve_intents(&content).unwrap();
        self.mailbox.reconcile(&sightings, &self.exists()).unwrap()
    }

    pub fn exists(&self) -> impl Fn(&str) -> bool + use<> {
        let names: Vec<_> = self.answers.keys().map(|path| fold(path)).collect();
        move |path| names.contains(&fold(path))
    }

    /// Answers all that is queued and publishes all that is ready; the paths that appeared.
    pub fn work(&mut self) -> Vec<String> {
        while let Some(job) = self.mailbox.next() {
            self.mailbox.answered(job.id, &response(&job.path)).unwrap();
        }
        let ids: Vec<_> = self.mailbox.ready().iter().map(|ready| ready.id).collect();
        let names = self.mailbox.names_for(&ids, &self.exists());
        self.mailbox.publishing(&names).unwrap();
        for (id, name) in &names {
            let bytes = self.mailbox.outcome_bytes(*id).unwrap().unwrap();
            assert!(
                self.answers.insert(name.clone(), bytes).is_none(),
                "{name} was overwritten"
            );
        }
        self.mailbox.published(&names).unwrap();
        names.into_iter().map(|(_, name)| name).collect()
    }

    pub fn look_and_work(&mut self) -> Vec<String> {
        self.look();
        self.work()
    }

    pub fn restart(self) -> Self {
        let Self {
            state,
            mailbox,
            prompts,
            answers,
            clock,
        } = self;
        drop(mailbox);
        let mailbox = open(state.path());
        Self {
            state,
            mailbox,
            prompts,
            answers,
            clock,
        }
    }
}
