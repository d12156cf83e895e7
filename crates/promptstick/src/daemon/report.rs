//! What the daemon says of its work: to the log, and for `answer` to the person at the terminal.
//!
//! A prompt's name can be the prompt (`ask/`), so the log names jobs by number, and by path only
//! where the operator asked for it. A state that lasts is reported when it begins, not each time.

use engine::{Failure, ModelInfo, Summary};
use mailbox::{Job, JobId};
use medium::Bus;

use super::answers::{Model, Trouble};
use crate::output;

/// Errors that are remembered for the status file.
const ERRORS_MAX: usize = 3;

/// So many changes of the connection are told in so long: more than plugging in takes.
const BUS_CHANGES_MAX: u32 = 10;
const BUS_CHANGES_MS: u64 = 60_000;

/// What of the drive can fail by itself.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// The volume that takes prompts.
    Volume,
    /// The media that show answers.
    Answers,
    /// The drive, into which the volume's medium is to come back.
    Drive,
}

/// Where it goes, and what was said last.
#[derive(Debug)]
pub struct Report {
    names: bool,
    terminal: bool,
    held: bool,
    no_room: bool,
    /// Folders that could not be read, and why.
    unreadable: Vec<(&'static str, String)>,
    /// Why something could not be written or changed, by [`Part`].
    put_off: [Option<String>; 3],
    waiting: usize,
    published: usize,
    bus: Option<Bus>,
    /// Since when changes of it are counted, and how many there were.
    bus_changes: (u64, u32),
    model: Option<Model>,
    tokens_per_s: Option<f64>,
    /// The newest first.
    errors: Vec<Trouble>,
    in_trouble: bool,
}

impl Report {
    /// To the log alone; `names`: paths of prompts may appear there.
    pub fn to_log(names: bool) -> Self {
        Self {
            names,
            terminal: false,
            held: false,
            no_room: false,
            unreadable: Vec::new(),
            put_off: [const { None }; 3],
            waiting: 0,
            published: 0,
            bus: None,
            bus_changes: (0, 0),
            model: None,
            tokens_per_s: None,
            errors: Vec::new(),
            in_trouble: false,
        }
    }

    /// To the log, and the results to standard output.
    pub fn to_terminal() -> Self {
        Self {
            terminal: true,
            ..Self::to_log(true)
        }
    }

    /// The engine has a model in memory.
    pub fn loaded(&mut self, model: &ModelInfo) {
        self.model = Some(Model {
            name: model.name.clone(),
            quantisation: model.quantisation.clone(),
        });
        tracing::info!(
            model = model.name,
            quantisation = model.quantisation,
            context_tokens = model.context_tokens,
            needed_bytes = model.needed_bytes,
            backend = %model.backend,
            prompt_style = ?model.prompt_style,
            "model loaded"
        );
    }

    /// The engine begins.
    pub fn thinking(&self, job: &Job) {
        tracing::info!(job = %job.id, path = self.name(&job.path), "thinking");
    }

    /// The engine has finished.
    pub fn answered(&mut self, job: &Job, summary: &Summary) {
        self.in_trouble = false;
        self.tokens_per_s = Some(summary.tokens_per_second()).filter(|speed| *speed > 0.0);
        let tokens_per_s = format!("{:.1}", summary.tokens_per_second());
        tracing::info!(
            job = %job.id,
            path = self.name(&job.path),
            prompt_tokens = summary.prompt_tokens,
            response_tokens = summary.response_tokens,
            load_ms = summary.load_ms,
            prefill_ms = summary.prefill_ms,
            decode_ms = summary.decode_ms,
            tokens_per_s,
            "answered"
        );
        if self.terminal {
            let tokens = summary.response_tokens;
            let path = output::printable(&job.path);
            say(&format!("{path}: {tokens} tokens, {tokens_per_s} tokens/s"));
        }
    }

    /// The prompt itself is at fault; it gets an error file.
    pub fn refused(&self, job: &Job) {
        tracing::info!(job = %job.id, path = self.name(&job.path), "cannot be asked");
    }

    /// The engine failed; the prompt gets an error file.
    pub fn failed(&self, job: &Job, failure: &Failure) {
        tracing::error!(job = %job.id, path = self.name(&job.path), %failure, "not answered");
    }

    /// A prompt gets an error file with these bytes.
    pub fn trouble_with(&mut self, path: &str, bytes: &[u8]) {
        let text = mailbox::decode(bytes).map(|decoded| decoded.text);
        let first = text
            .ok()
            .and_then(|text| Some(text.lines().next()?.to_owned()));
        self.in_trouble = true;
        self.errors.insert(
            0,
            Trouble {
                name: path.to_owned(),
                what: first.unwrap_or_default(),
            },
        );
        self.errors.truncate(ERRORS_MAX);
    }

    /// The last thing that happened was an error.
    pub fn is_in_trouble(&self) -> bool {
        self.in_trouble || self.put_off.iter().any(Option::is_some)
    }

    /// The last errors, the newest first.
    pub fn errors(&self) -> Vec<Trouble> {
        self.errors.clone()
    }

    /// The model that was loaded last.
    pub fn model(&self) -> Option<Model> {
        self.model.clone()
    }

    /// How fast the last response was.
    pub fn tokens_per_s(&self) -> Option<f64> {
        self.tokens_per_s
    }

    /// The state of the connection to a computer. One that changes all the time, as a computer can
    /// make it do, is not worth a log that is full of it.
    pub fn bus(&mut self, now_ms: u64, bus: Bus) {
        if self.bus.replace(bus) == Some(bus) {
            return;
        }
        let (since_ms, count) = &mut self.bus_changes;
        if now_ms >= *since_ms + BUS_CHANGES_MS {
            (*since_ms, *count) = (now_ms, 0);
        }
        *count = count.saturating_add(1);
        match bus {
            _ if *count > BUS_CHANGES_MAX + 1 => {}
            _ if *count > BUS_CHANGES_MAX => {
                tracing::info!("the connection changes all the time; no more of that for a while");
            }
            Bus::Detached => tracing::info!("no computer is connected"),
            Bus::Enumerating => tracing::debug!("a computer is about to use the drive"),
            Bus::Configured => tracing::info!("a computer uses the drive"),
            Bus::Suspended => tracing::info!("the computer sleeps"),
        }
    }

    /// The prompt changed or went away while the engine worked on it.
    pub fn dropped(&self, job: &Job) {
        let path = self.name(&job.path);
        tracing::info!(job = %job.id, path, "stopped: the prompt changed or is gone");
    }

    /// These folders could not be read at the last reading.
    pub fn unreadable(&mut self, folders: &[(&'static str, String)]) {
        if self.unreadable == folders {
            return;
        }
        for (folder, why) in folders {
            tracing::warn!(folder, why, "a folder of the volume cannot be read");
        }
        self.unreadable = folders.to_vec();
    }

    /// So many prompts lie on the volume beyond those that are followed.
    pub fn too_many(&mut self, waiting: usize) {
        if std::mem::replace(&mut self.waiting, waiting) == 0 && waiting > 0 {
            tracing::warn!(
                waiting,
                "too many prompts; some wait until others are deleted"
            );
        }
    }

    /// A host keeps the medium although there is something to publish.
    pub fn held(&mut self) {
        if !std::mem::replace(&mut self.held, true) {
            tracing::info!("an answer is ready; waiting for the host to let go of the volume");
            if self.terminal {
                output::remark("promptstick: waiting: another program has the image open");
            }
        }
    }

    /// An answer is on the volume.
    pub fn published(&mut self, job: JobId, path: &str) {
        self.held = false;
        self.no_room = false;
        self.went_well(Part::Volume);
        self.published += 1;
        tracing::info!(%job, path = self.name(path), "published");
        if self.terminal {
            say(&format!("-> {}", output::printable(path)));
        }
    }

    /// Answers that were put onto the volume.
    pub fn published_count(&self) -> usize {
        self.published
    }

    /// An answer could not be put onto the volume: there is no room, or its folder is damaged.
    pub fn no_room(&mut self, job: JobId, error: &volume::EditError) {
        if !std::mem::replace(&mut self.no_room, true) {
            let error = self.names.then(|| error.to_string());
            tracing::warn!(%job, error, "an answer cannot be put onto the volume and waits");
        }
    }

    /// A part of the drive could not be written or changed for another reason.
    pub fn put_off(&mut self, part: Part, error: &anyhow::Error) {
        let text = format!("{error:#}");
        let last = &mut self.put_off[part as usize];
        if last.as_ref() != Some(&text) {
            tracing::error!("{text}; the answers wait, and it is tried again");
            *last = Some(text);
        }
    }

    /// A part of the drive was written or changed.
    pub fn went_well(&mut self, part: Part) {
        self.put_off[part as usize] = None;
    }

    /// The volume holds the beginning of a file, so it stays with the host.
    pub fn unfinished(&self) {
        tracing::info!("the computer has not finished a file; waiting until it has");
    }

    fn name<'a>(&self, path: &'a str) -> Option<&'a str> {
        self.names.then_some(path)
    }
}

/// The result is on the volume, whether or not somebody reads of it.
fn say(line: &str) {
    let _ = output::print(&format!("{line}\n"));
}
