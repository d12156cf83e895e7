//! What the daemon says of its work: to the log, and for `answer` to the person at the terminal.
//!
//! A prompt's name can be the prompt (`ask/`), so the log names jobs by number, and by path only
//! where the operator asked for it. A state that lasts is reported when it begins, not each time.

use std::cell::{Cell, RefCell};

use engine::{Failure, ModelInfo, Summary};
use mailbox::{Complaint, Job, JobId, Settings};

/// Where it goes.
#[derive(Debug)]
pub struct Report {
    names: bool,
    terminal: bool,
    held: Cell<bool>,
    settings: RefCell<Option<Complaint>>,
}

impl Report {
    /// To the log alone; `names`: paths of prompts may appear there.
    pub fn to_log(names: bool) -> Self {
        Self { names, terminal: false, held: Cell::new(false), settings: RefCell::new(None) }
    }

    /// To the log, and the results to standard output.
    pub fn to_terminal() -> Self {
        Self { terminal: true, ..Self::to_log(true) }
    }

    /// The engine has a model in memory.
    pub fn loaded(&self, model: &ModelInfo) {
        tracing::info!(
            model = %model.name,
            quantisation = %model.quantisation,
            context_tokens = model.context_tokens,
            "model loaded"
        );
    }

    /// The engine begins.
    pub fn started(&self, job: &Job) {
        tracing::info!(job = %job.id, path = self.name(&job.path), "thinking");
    }

    /// The engine has finished.
    pub fn answered(&self, job: &Job, summary: &Summary) {
        let tokens_per_s = format!("{:.1}", summary.tokens_per_s());
        tracing::info!(
            job = %job.id,
            path = self.name(&job.path),
            prompt_tokens = summary.prompt_tokens,
            response_tokens = summary.response_tokens,
            prefill_ms = summary.prefill_ms,
            decode_ms = summary.decode_ms,
            tokens_per_s,
            "answered"
        );
        if self.terminal {
            println!(
                "{}: {} tokens, {tokens_per_s} tokens/s",
                job.path, summary.response_tokens
            );
        }
    }

    /// The prompt gets an error file.
    pub fn complained(&self, job: &Job, complaint: &Complaint) {
        let kind = complaint.kind();
        tracing::warn!(job = %job.id, path = self.name(&job.path), kind, "cannot be answered");
    }

    /// The engine failed; the prompt gets an error file.
    pub fn failed(&self, job: &Job, failure: &Failure) {
        tracing::error!(job = %job.id, %failure, "the engine failed");
    }

    /// The prompt changed or went away while the engine worked on it.
    pub fn dropped(&self, job: &Job) {
        tracing::info!(job = %job.id, path = self.name(&job.path), "stopped: the prompt is gone");
    }

    /// A host keeps the medium although there is something to publish.
    pub fn held(&self) {
        if !self.held.replace(true) {
            tracing::info!("an answer is ready; waiting for the host to let go of the volume");
        }
    }

    /// An answer is on the volume.
    pub fn published(&self, job: JobId, path: &str) {
        self.held.set(false);
        tracing::info!(%job, path = self.name(path), "published");
        if self.terminal {
            println!("{path}");
        }
    }

    /// There was no room for an answer.
    pub fn no_room(&self, job: JobId, error: &volume::EditError) {
        tracing::warn!(%job, %error, "the answer waits: it does not fit onto the volume");
        if self.terminal {
            eprintln!("promptstick: an answer is kept back: {error}");
        }
    }

    /// The settings on the stick were read.
    pub fn settings(&self, in_force: &Settings, complaint: Option<&Complaint>) {
        let before = self.settings.replace(complaint.cloned());
        if before.as_ref() == complaint {
            return;
        }
        match complaint {
            Some(_) => tracing::warn!(?in_force, "SETTINGS.TOML is wrong; the last good ones stay"),
            None => tracing::info!("SETTINGS.TOML is right again"),
        }
    }

    fn name<'a>(&self, path: &'a str) -> Option<&'a str> {
        self.names.then_some(path)
    }
}
