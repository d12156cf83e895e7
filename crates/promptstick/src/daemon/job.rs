//! From the bytes of a prompt to a request for the engine, and from what the engine said to the
//! bytes of the answer. Pure, but for the look whether a model file exists.

use std::path::PathBuf;

use engine::{Failure, Finish, ModelOptions, Request, Sampling, Summary};
use mailbox::{Complaint, Digest, Format, Job, Outcome, Settings, TextForm};

use crate::config::Config;

/// A prompt that is ready for the engine.
#[derive(Debug)]
pub struct Prepared {
    /// What to load.
    pub model: ModelOptions,
    /// What to ask.
    pub request: Request,
    /// How to answer.
    pub reply: Reply,
}

/// What the answer needs to know of its prompt.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Encoding and line ends of the prompt.
    pub form: TextForm,
    /// Settings of the stick, overridden by the prompt's own.
    pub settings: Settings,
}

/// Makes a request of a prompt's bytes.
///
/// # Errors
/// What is wrong with the prompt, to be told in its error file.
pub fn prepare(
    job: &Job,
    bytes: &[u8],
    stick: &Settings,
    config: &Config,
) -> Result<Prepared, Complaint> {
    if job.damaged {
        return Err(Complaint::Damaged);
    }
    let (text, form) = if job.named {
        (mailbox::question(&job.path), TextForm::default())
    } else {
        let decoded = mailbox::read_prompt(bytes, job.stamp.len_bytes)?;
        (decoded.text, decoded.form)
    };
    let (settings, body) = mailbox::split_settings(&text, stick)?;
    let body = body.trim();
    if body.is_empty() {
        return Err(Complaint::Empty);
    }
    let model = ModelOptions {
        path: model_path(&settings, config)?,
        context_tokens: config.context_tokens,
        threads: config.threads,
        ..ModelOptions::default()
    };
    let request = request(body, &settings, &job.digest);
    Ok(Prepared { model, request, reply: Reply { form, settings } })
}

fn model_path(settings: &Settings, config: &Config) -> Result<PathBuf, Complaint> {
    let path = match &settings.model {
        Some(name) => config.models.join(name),
        None => config.model.clone(),
    };
    if path.is_file() {
        return Ok(path);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Err(Complaint::ModelMissing { name, available: models_in(&config.models) })
}

/// The names of the models that the stick could use, sorted; empty where the folder is missing.
fn models_in(folder: &std::path::Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.to_ascii_lowercase().ends_with(".gguf"))
        .collect();
    names.sort();
    names
}

fn request(body: &str, settings: &Settings, digest: &Digest) -> Request {
    Request {
        prompt: body.to_owned(),
        system: settings.system.clone(),
        sampling: Sampling {
            temperature: settings.temperature,
            top_k: settings.top_k,
            top_p: settings.top_p,
            min_p: settings.min_p,
            repeat_penalty: settings.repeat_penalty,
            // The same prompt gives the same answer, also after a power cut in the middle.
            seed: settings.seed.unwrap_or_else(|| digest.seed()),
        },
        max_tokens: settings.max_tokens,
        stop: settings.stop.clone(),
        json: settings.format == Format::Json,
    }
}

/// The answer's bytes, as they will lie on the volume.
#[must_use]
pub fn respond(text: &str, summary: &Summary, reply: &Reply) -> Outcome {
    let cut = matches!(summary.finish, Finish::MaxTokens | Finish::ContextFull);
    if cut && reply.settings.format == Format::Json {
        return complain(&Complaint::JsonCut { tokens: summary.response_tokens });
    }
    let mut text = text.trim().to_owned();
    if text.is_empty() {
        return complain(&Complaint::NoResponse);
    }
    if cut {
        text.push_str("\n\n");
        text.push_str(&cut_note(summary));
    }
    Outcome::Response { bytes: mailbox::encode(&text, &reply.form) }
}

fn cut_note(summary: &Summary) -> String {
    let tokens = summary.response_tokens;
    match summary.finish {
        Finish::ContextFull => format!(
            "[The response stops here: after {tokens} tokens the model's context is full. \
             A shorter prompt leaves more room.]"
        ),
        _ => format!(
            "[The response stops here: its limit of {tokens} tokens is reached. \
             For more, raise max_tokens in SETTINGS.TOML and change the prompt.]"
        ),
    }
}

/// The error file's bytes.
#[must_use]
pub fn complain(complaint: &Complaint) -> Outcome {
    Outcome::Error { bytes: mailbox::encode(&complaint.text(), &TextForm::default()) }
}

/// What the engine could not do, in the words of the stick.
#[must_use]
pub fn complaint(failure: &Failure) -> Complaint {
    match failure {
        Failure::TooLong { tokens, limit_tokens } => {
            Complaint::TooLong { tokens: *tokens, limit_tokens: *limit_tokens }
        }
        Failure::DoesNotFit { needed_bytes, available_bytes } => {
            Complaint::OutOfMemory { needed: *needed_bytes, available: *available_bytes }
        }
        other => Complaint::ModelFailed { why: other.to_string() },
    }
}
