//! A volume, a user, a daemon and a mailbox on a disk whose power can go. Shared by the tests with
//! power cuts and the ones against a model.
//!
//! The rig checks at each publication what must hold there: the name was never used, the answer
//! is to the content that the prompt has now.

use std::collections::{BTreeMap, HashMap, HashSet};

use volume::testing::Random;

use crate::name::fold;
use crate::testing::CutDisk;
use crate::{Changes, Digest, JobId, Mailbox, MailboxError, Outcome, Sighting, Stamp};

const SERIAL: u32 = 1;

#[derive(Clone, Debug)]
struct File {
    content: String,
    stamp: Stamp,
}

pub struct Rig {
    pub disk: CutDisk,
    mailbox: Option<Mailbox<CutDisk>>,
    random: Random,
    clock: u16,
    prompts: BTreeMap<String, File>,
    pub answers: BTreeMap<String, String>,
    /// Files of the user's that have names of answers, by folded path.
    pub strangers: BTreeMap<String, String>,
    names_ever: HashSet<String>,
    /// How often each identity was answered on the volume, and how often the user gave a reason to.
    pub answered: HashMap<Digest, usize>,
    pub reasons: HashMap<Digest, usize>,
    /// Identities of which a response was deleted.
    deleted: HashSet<Digest>,
    /// Identities of prompts that the user touched since the daemon looked last. To it, deleting
    /// the response then is the same as having deleted it before.
    touched: HashSet<Digest>,
}

fn is_named(path: &str, content: &str) -> bool {
    path.starts_with("ask/") && content.is_empty()
}

fn sighting(path: &str, file: &File) -> Sighting {
    Sighting {
        path: path.into(),
        stamp: file.stamp,
        digest: Digest::of(file.content.as_bytes()),
        named: is_named(path, &file.content),
    }
}

impl Rig {
    pub fn new(seed: u64) -> Self {
        Self {
            disk: CutDisk::default(),
            mailbox: None,
            random: Random::new(seed),
            clock: 0,
            prompts: BTreeMap::new(),
            answers: BTreeMap::new(),
            strangers: BTreeMap::new(),
            names_ever: HashSet::new(),
            answered: HashMap::new(),
            reasons: HashMap::new(),
            deleted: HashSet::new(),
            touched: HashSet::new(),
        }
    }

    fn identity(&self, path: &str) -> Option<Digest> {
        self.prompts
            .get(path)
            .map(|file| sighting(path, file).identity())
    }

    fn give_reason(&mut self, path: &str, is_one: bool) {
        let Some(identity) = self.identity(path) else {
            return;
        };
        let again = self.deleted.contains(&identity);
        self.touched.insert(identity);
        *self.reasons.entry(identity).or_default() += usize::from(is_one) + usize::from(again);
    }

    fn new_stamp(&mut self, content: &str) -> Stamp {
        self.clock += 1;
        let time = (0, self.clock);
        let len_bytes = u32::try_from(content.len()).unwrap();
        // An empty file has no cluster, and times count in steps of two seconds.
        let first_cluster = if content.is_empty() {
            0
        } else {
            u32::from(self.clock)
        };
        Stamp {
            first_cluster,
            len_bytes,
            modified: time,
            created: time,
        }
    }

    pub fn save(&mut self, path: &str, content: &str) {
        let before = self.identity(path);
        let stamp = self.new_stamp(content);
        self.prompts.insert(
            path.into(),
            File {
                content: content.into(),
                stamp,
            },
        );
        self.give_reason(path, before != self.identity(path));
    }

    pub fn rename(&mut self, from: &str, to: &str) {
        let before = self.identity(from);
        if let Some(file) = self.prompts.remove(from) {
            self.prompts.insert(to.into(), file);
            self.give_reason(to, before != self.identity(to));
        }
    }

    pub fn copy(&mut self, from: &str, to: &str) {
        if let Some(file) = self.prompts.get(from).cloned().filter(|_| from != to) {
            self.save(to, &file.content);
        }
    }

    pub fn delete(&mut self, path: &str) {
        self.give_reason(path, false);
        self.prompts.remove(path);
    }

    pub fn delete_answer(&mut self, index: usize) {
        let name = self
            .answers
            .keys()
            .nth(index % self.answers.len().max(1))
            .cloned();
        if let Some(identity) = name.and_then(|name| self.answers.remove(&name)) {
            let known = self
                .answered
                .keys()
                .find(|digest| digest.to_string() == identity);
            let Some(identity) = known.copied() else {
                return;
            };
            self.deleted.insert(identity);
            *self.reasons.entry(identity).or_default() +=
                usize::from(self.touched.contains(&identity));
        }
    }

    /// The mailbox, opened if it is not.
    fn mailbox(&mut self) -> Result<&mut Mailbox<CutDisk>, MailboxError> {
        if self.mailbox.is_none() {
            self.mailbox = Some(Mailbox::open_on(self.disk.clone(), SERIAL)?);
        }
        Ok(self.mailbox.as_mut().unwrap())
    }

    pub fn restart(&mut self) {
        self.mailbox = None;
        self.disk.restart(&mut self.random);
    }

    /// Does a step of the daemon until it succeeds. Whenever the power goes, it comes back; after a
    /// fault without a cut the same mailbox goes on.
    pub fn surely<T>(&mut self, step: impl Fn(&mut Self) -> Result<T, MailboxError>) -> T {
        loop {
            match step(self) {
                Ok(result) => return result,
                Err(_) if self.disk.is_off() => self.restart(),
                Err(error) => assert!(self.disk.takes_fault(), "{error}"),
            }
        }
    }

    pub fn look(&mut self) -> Result<Changes, MailboxError> {
        let sightings: Vec<_> = self
            .prompts
            .iter()
            .map(|(path, file)| sighting(path, file))
            .collect();
        let files = self.files();
        let mailbox = self.mailbox()?;
        mailbox.resolve_intents(&|path| files.get(&fold(path)).copied())?;
        assert!(
            mailbox
                .intended()
                .iter()
                .all(|(_, path)| !files.contains_key(&fold(path))),
            "an intent is open although a file has its name"
        );
        let changes = mailbox.reconcile(&sightings, &|path| files.contains_key(&fold(path)))?;
        self.touched.clear();
        Ok(changes)
    }

    /// Digests of all files that have names of answers, by folded path.
    fn files(&self) -> HashMap<String, Digest> {
        self.answers
            .iter()
            .chain(&self.strangers)
            .map(|(path, content)| (fold(path), Digest::of(content.as_bytes())))
            .collect()
    }

    /// The user makes a file under each name that an answer is still to get.
    pub fn squat(&mut self) {
        let names = self.surely(|rig| Ok(rig.mailbox()?.intended()));
        let files = self.files();
        for (_, name) in names {
            if !files.contains_key(&fold(&name)) {
                self.strangers.insert(fold(&name), "the user's own".into());
            }
        }
    }

    /// Answers the next job with its prompt's identity; whether there was one.
    pub fn answer(&mut self) -> Result<bool, MailboxError> {
        let mailbox = self.mailbox()?;
        let Some(job) = mailbox.next() else {
            return Ok(false);
        };
        let (path, named) = (job.path, job.named);
        let sighting = Sighting {
            path,
            stamp: job.stamp,
            digest: job.digest,
            named,
        };
        let bytes = sighting.identity().to_string().into_bytes();
        mailbox.answered(job.id, &Outcome::Response { bytes })?;
        Ok(true)
    }

    /// Looks, then records under which names it is about to publish all that is ready: an attempt
    /// that fails on the volume ends here.
    pub fn intend(&mut self) -> Result<Vec<(JobId, String)>, MailboxError> {
        self.look()?;
        let files = self.files();
        let mailbox = self.mailbox()?;
        let ids: Vec<_> = mailbox.ready().iter().map(|ready| ready.id).collect();
        let names = mailbox.names_for(&ids, &|path| files.contains_key(&fold(path)));
        assert_eq!(names.len(), ids.len());
        mailbox.publishing(&names)?;
        Ok(names)
    }

    /// Publishes what is ready, having looked first, as the daemon does.
    pub fn publish(&mut self) -> Result<(), MailboxError> {
        let names = self.intend()?;
        let ready = self.mailbox()?.ready();
        for ((id, name), ready) in names.iter().zip(&ready) {
            let bytes = self.mailbox()?.outcome_bytes(*id)?.unwrap();
            let identity = self.identity(&ready.path).unwrap();
            assert_eq!(
                bytes,
                identity.to_string().as_bytes(),
                "stale answer for {}",
                ready.path
            );
            assert!(self.names_ever.insert(fold(name)), "{name} was used before");
            assert!(!self.strangers.contains_key(&fold(name)), "{name} is taken");
            self.answers.insert(name.clone(), identity.to_string());
            *self.answered.entry(identity).or_default() += 1;
        }
        self.mailbox()?.published(&names)
    }

    /// Lets the daemon finish, then checks that all is answered and nothing is left to do.
    pub fn finish(&mut self) {
        self.surely(Self::look);
        while self.surely(Self::answer) {}
        self.surely(Self::publish);
        for restart in [false, true] {
            if restart {
                self.restart();
            }
            let operations = self.disk.operations();
            assert_eq!(self.surely(Self::look), Changes::default());
            assert!(!self.surely(Self::answer));
            assert!(
                restart || operations == self.disk.operations(),
                "a second look wrote"
            );
        }
        let counts = self.mailbox().unwrap().counts();
        assert_eq!((counts.queued, counts.ready), (0, 0));
        self.check_each_prompt_has_its_answer();
    }

    fn check_each_prompt_has_its_answer(&self) {
        let mut prompts: HashMap<Digest, usize> = HashMap::new();
        for path in self.prompts.keys() {
            *prompts.entry(self.identity(path).unwrap()).or_default() += 1;
        }
        for (identity, count) in prompts {
            let answered = self.answered.get(&identity).copied().unwrap_or(0);
            assert!(answered >= count, "{count} prompts and {answered} answers");
        }
        for (identity, answered) in &self.answered {
            let reasons = self.reasons.get(identity).copied().unwrap_or(0);
            assert!(
                *answered <= reasons,
                "{answered} answers for {reasons} reasons"
            );
        }
    }
}
