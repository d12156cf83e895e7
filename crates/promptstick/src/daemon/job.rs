//! From a prompt to a request for the engine, and from what the engine said to the bytes of the
//! answer. Pure, but for the look whether a model file exists.

use std::path::{Path, PathBuf};

use engine::{Failure, Finish, ModelOptions, Request, Sampling, Summary};
use mailbox::prompt::{Question, Refusal};
use mailbox::{Complaint, Format, Job, Outcome, Settings, TextForm};

use crate::config::Config;

/// What the engine is asked.
#[derive(Debug)]
pub struct Asked {
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
    form: TextForm,
    format: Format,
    model_name: String,
}

/// Makes a request of a question.
///
/// # Errors
/// There is no such model.
pub fn ask(job: &Job, question: Question, config: &Config) -> Result<Asked, Refusal> {
    let Question {
        text,
        settings,
        form,
    } = question;
    let path = model_path(&settings, config).map_err(|complaint| Refusal { complaint, form })?;
    let reply = Reply {
        form,
        format: settings.format,
        model_name: file_name(&path),
    };
    let model = ModelOptions {
        context_tokens: config.context_tokens,
        threads: config.threads,
        backend: config.backend,
        ..ModelOptions::new(path)
    };
    Ok(Asked {
        model,
        request: request(job, text, settings),
        reply,
    })
}

fn request(job: &Job, prompt: String, settings: Settings) -> Request {
    Request {
        prompt,
        sampling: Sampling {
            temperature: settings.temperature,
            top_k: settings.top_k,
            top_p: settings.top_p,
            min_p: settings.min_p,
            repeat_penalty: settings.repeat_penalty,
            // The same prompt gives the same answer, also after a power cut in the middle.
            seed: settings.seed.unwrap_or_else(|| job.seed()),
        },
        system: settings.system,
        max_tokens: settings.max_tokens,
        stop: settings.stop,
        json: settings.format == Format::Json,
    }
}

fn model_path(settings: &Settings, config: &Config) -> Result<PathBuf, Complaint> {
    let path = match &settings.model {
        Some(name) => config.models.join(name),
        None => config.model.clone(),
    };
    if path.is_file() {
        return Ok(path);
    }
    let found = models_in(&config.models);
    if found.is_empty() {
        return Err(Complaint::NoModel);
    }
    Err(Complaint::ModelMissing {
        name: file_name(&path),
        found,
    })
}

/// The names of the models that the stick could use, sorted; empty where the folder is missing.
fn models_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.to_ascii_lowercase().ends_with(".gguf"))
        .collect();
    names.sort();
    names
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

impl Reply {
    /// How the prompt is encoded, which the answer is, too.
    pub fn form(&self) -> TextForm {
        self.form
    }

    /// The answer to a prompt that the engine has finished.
    pub fn respond(&self, text: &str, summary: &Summary) -> Outcome {
        let tokens = summary.response_tokens;
        let note = match (summary.finish, self.format) {
            (Finish::MaxTokens, Format::Text) => Some(format!(
                "[The response stops here: its limit of {tokens} tokens is reached. \
                 For more, raise max_tokens in SETTINGS.TOML and change the prompt.]"
            )),
            (Finish::ContextFull, Format::Text) => Some(format!(
                "[The response stops here: after {tokens} tokens the model's context is full. \
                 A shorter prompt leaves more room.]"
            )),
            (Finish::MaxTokens, Format::Json) => {
                return self.complain(&Complaint::JsonCut { max_tokens: tokens });
            }
            (Finish::ContextFull, Format::Json) => {
                return self.complain(&Complaint::JsonCutByContext { tokens });
            }
            (Finish::EndOfText | Finish::Stop, _) => None,
        };
        let text = text.trim();
        if text.is_empty() {
            return self.complain(&Complaint::NoText);
        }
        let text = match note {
            Some(note) => format!("{text}\n\n{note}\n"),
            None => format!("{text}\n"),
        };
        Outcome::Response {
            bytes: mailbox::encode(&text, self.form),
        }
    }

    /// The answer to a prompt that the engine could not finish.
    pub fn fail(&self, failure: &Failure) -> Outcome {
        self.complain(&self.complaint(failure))
    }

    fn complain(&self, complaint: &Complaint) -> Outcome {
        Outcome::Error {
            bytes: mailbox::encode(&complaint.text(), self.form),
        }
    }

    fn complaint(&self, failure: &Failure) -> Complaint {
        let name = self.model_name.clone();
        match failure {
            Failure::TooLong {
                tokens,
                limit_tokens,
            } => Complaint::TooLong {
                tokens: u64::from(*tokens),
                limit_tokens: u64::from(*limit_tokens),
            },
            Failure::EmptyPrompt => Complaint::Empty,
            Failure::DoesNotFit {
                needed_bytes,
                available_bytes,
            } => Complaint::OutOfMemory {
                needed_bytes: Some(*needed_bytes),
                available_bytes: Some(*available_bytes),
            },
            Failure::OutOfMemory => Complaint::OutOfMemory {
                needed_bytes: None,
                available_bytes: None,
            },
            Failure::Crashed { .. } => Complaint::Crashed,
            Failure::ModelUnreadable { why }
            | Failure::BadRequest { why }
            | Failure::Worker { why }
            | Failure::Compute { why } => Complaint::ModelFailed {
                name,
                why: why.clone(),
            },
            other => Complaint::ModelFailed {
                name,
                why: other.to_string(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::Finish;

    use super::*;

    fn reply(format: Format) -> Reply {
        Reply {
            form: TextForm::default(),
            format,
            model_name: "m.gguf".into(),
        }
    }

    fn summary(finish: Finish) -> Summary {
        Summary {
            finish,
            prompt_tokens: 5,
            response_tokens: 7,
            prefill_ms: 1.0,
            decode_ms: 1.0,
            load_ms: 0.0,
        }
    }

    fn text(outcome: &Outcome) -> (bool, String) {
        let is_response = matches!(outcome, Outcome::Response { .. });
        (
            is_response,
            String::from_utf8(outcome.bytes().to_vec()).unwrap(),
        )
    }

    #[test]
    fn a_whole_response_is_the_text_and_nothing_else() {
        let outcome = reply(Format::Text).respond("  Yes.\n\n", &summary(Finish::EndOfText));
        assert_eq!(text(&outcome), (true, "Yes.\r\n".into()));
    }

    #[test]
    fn a_cut_response_says_so_and_a_cut_json_value_is_an_error() {
        for finish in [Finish::MaxTokens, Finish::ContextFull] {
            let (is_response, said) = text(&reply(Format::Text).respond("On", &summary(finish)));
            assert!(
                is_response && said.starts_with("On\r\n\r\n[The response stops here"),
                "{said}"
            );
            assert!(said.contains("7 tokens"), "{said}");
            let (is_response, said) = text(&reply(Format::Json).respond("[1", &summary(finish)));
            assert!(!is_response && said.contains("JSON"), "{said}");
        }
    }

    #[test]
    fn a_silent_model_is_an_error() {
        let outcome = reply(Format::Text).respond(" \n", &summary(Finish::EndOfText));
        assert!(!text(&outcome).0);
    }
}
