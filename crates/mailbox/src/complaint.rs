//! What goes into an error file: two lines, what happened and what to do.
//!
//! Invariants, tested as a table: exactly two lines; plain words; numbers with units. The daemon
//! makes a complaint from whatever went wrong and publishes [`Complaint::text`].

use crate::settings::SettingsError;
use crate::text::Kind;

/// Why a prompt has no response.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Complaint {
    /// Nothing in it but blanks.
    Empty,
    /// Not text.
    NotText {
        /// What it is.
        kind: Kind,
    },
    /// The file is larger than a prompt may be.
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The largest that is read.
        limit_bytes: u64,
    },
    /// The prompt does not fit the model's context.
    TooLong {
        /// Its length.
        tokens: u64,
        /// The longest that fits.
        limit_tokens: u64,
    },
    /// Its own settings, or `SETTINGS.TOML`, cannot be used.
    BadSettings(SettingsError),
    /// The file on the volume is damaged and stays so.
    Damaged {
        /// In what way, in plain words.
        why: String,
    },
    /// The settings name a model that is not there.
    ModelMissing {
        /// The model's file name.
        name: String,
        /// The models that are there.
        found: Vec<String>,
    },
    /// There is no model on the stick at all.
    NoModel,
    /// The model's file cannot be used.
    ModelFailed {
        /// The model's file name.
        name: String,
        /// Why, in plain words.
        why: String,
    },
    /// The model does not fit into memory.
    OutOfMemory {
        /// What it needs, if that is known.
        needed_bytes: Option<u64>,
        /// What there is.
        available_bytes: Option<u64>,
    },
    /// The program that runs the model ended abnormally.
    Crashed,
    /// The model wrote nothing.
    NoText,
    /// A JSON response was not finished within the limit.
    JsonCut {
        /// The limit.
        max_tokens: u32,
    },
    /// A JSON response was not finished when prompt and response filled the model's context.
    JsonCutByContext {
        /// Tokens of the response by then.
        tokens: u32,
    },
    /// The response is larger than a file of ours may be.
    ResponseLimit {
        /// Its size.
        bytes: u64,
        /// The largest that is written.
        limit_bytes: u64,
    },
}

/// Models that an error names at most.
const MODELS_NAMED_MAX: usize = 5;

/// Characters of foreign text that an error shows at most.
const SHOWN_MAX_CHARS: usize = 120;

/// Bytes of a kibibyte and a mebibyte.
const KIB: u64 = 1024;
const MIB: u64 = KIB * 1024;

impl Complaint {
    /// The error file's text: exactly two lines, each ended.
    pub fn text(&self) -> String {
        format!("{}\n{}\n", one_line(&self.what()), one_line(&self.advice()))
    }

    fn what(&self) -> String {
        match self {
            Self::Empty => "There is nothing in this prompt to answer.".to_owned(),
            Self::NotText { kind } => format!("This is {kind}, not plain text."),
            Self::TooLarge { bytes, limit_bytes } => {
                let (size, limit) = (size(*bytes), size(*limit_bytes));
                format!("The file is too large: it has {size}, and a prompt may have {limit}.")
            }
            Self::TooLong {
                tokens,
                limit_tokens,
            } => format!(
                "The prompt is too long for the model: it has {tokens} tokens (pieces of words), \
                 and at most {limit_tokens} fit."
            ),
            Self::BadSettings(error) => error.what(),
            Self::Damaged { why } => format!("The file is damaged: {}.", shown(why)),
            Self::ModelMissing { name, .. } => {
                format!(
                    "The settings ask for the model \"{}\", which is not here.",
                    shown(name)
                )
            }
            Self::NoModel => "There is no language model on this stick.".to_owned(),
            Self::ModelFailed { name, why } => {
                format!(
                    "The model \"{}\" cannot be used: {}.",
                    shown(name),
                    shown(why)
                )
            }
            Self::OutOfMemory {
                needed_bytes,
                available_bytes,
            } => memory(*needed_bytes, *available_bytes),
            Self::Crashed => "The model stopped working while it answered this prompt.".to_owned(),
            Self::NoText => "The model had nothing to say to this prompt.".to_owned(),
            Self::JsonCut { max_tokens } => {
                format!("The JSON response was not finished after {max_tokens} tokens.")
            }
            Self::JsonCutByContext { tokens } => format!(
                "The JSON response was not finished: after {tokens} tokens it and the prompt \
                 filled all that the model can hold."
            ),
            Self::ResponseLimit { bytes, limit_bytes } => {
                let (size, limit) = (size(*bytes), size(*limit_bytes));
                format!("The response is too large: it has {size}, and at most {limit} are kept.")
            }
        }
    }

    fn advice(&self) -> String {
        match self {
            Self::Empty => "Write a question into the file and save it again.".to_owned(),
            Self::NotText { .. } => {
                "Open it in its own program, save it as plain text (.txt) and put that file here."
                    .to_owned()
            }
            Self::TooLarge { limit_bytes, .. } => format!(
                "Split it into files of at most {} each, or leave out what is not needed.",
                size(*limit_bytes)
            ),
            Self::TooLong {
                tokens,
                limit_tokens,
            } => too_long_advice(*tokens, *limit_tokens),
            Self::BadSettings(error) => error.advice(),
            Self::Damaged { .. } => "Copy the file to the stick again. If that does not help, \
                                     let your computer check the drive for errors."
                .to_owned(),
            Self::ModelMissing { found, .. } => model_advice(found),
            Self::NoModel => "Put a model (a file that ends in .gguf) into the stick's models \
                              folder, then delete this file and save the prompt again."
                .to_owned(),
            Self::ModelFailed { .. } => "Copy the model to the stick again or choose another one \
                                         in SETTINGS.TOML, then delete this file and save the \
                                         prompt again."
                .to_owned(),
            Self::OutOfMemory { .. } => "Choose a smaller model in SETTINGS.TOML, then delete \
                                         this file and save the prompt again."
                .to_owned(),
            Self::Crashed => "Delete this file and save the prompt again to try once more, or \
                              choose another model in SETTINGS.TOML."
                .to_owned(),
            Self::NoText => "Say more in the prompt and save it again.".to_owned(),
            Self::JsonCut { max_tokens } => format!(
                "Set max_tokens higher than {max_tokens} or ask for less, then delete this file \
                 and save the prompt again."
            ),
            Self::JsonCutByContext { .. } => {
                "Shorten the prompt or ask for less, and save it again.".to_owned()
            }
            Self::ResponseLimit { .. } => {
                "Set max_tokens lower or ask for less, then delete this file and save the prompt \
                 again."
                    .to_owned()
            }
        }
    }
}

fn memory(needed_bytes: Option<u64>, available_bytes: Option<u64>) -> String {
    match (needed_bytes, available_bytes) {
        (Some(needed), Some(available)) => format!(
            "The model does not fit into memory: it needs {}, and {} are free.",
            size(needed),
            size(available)
        ),
        (Some(needed), None) => {
            format!(
                "The model does not fit into memory: it needs {}.",
                size(needed)
            )
        }
        _ => "The model ran out of memory while it answered this prompt.".to_owned(),
    }
}

fn too_long_advice(tokens: u64, limit_tokens: u64) -> String {
    let over = tokens.saturating_sub(limit_tokens);
    // Rounded up, so that cutting as much as it says is enough.
    let percent = over.saturating_mul(100).div_ceil(tokens.max(1)).min(100);
    format!("Shorten the prompt by about {percent} % and save it again.")
}

fn model_advice(found: &[String]) -> String {
    let names: Vec<String> = found
        .iter()
        .take(MODELS_NAMED_MAX)
        .map(|name| format!("\"{}\"", shown(name)))
        .collect();
    let then = "then delete this file and save the prompt again";
    match names.len() {
        0 => format!("Put that file into the stick's models folder, {then}."),
        _ => format!("Choose one of {}, {then}.", names.join(", ")),
    }
}

/// A size in the unit that suits it.
fn size(bytes: u64) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        0..KIB => format!("{bytes} bytes"),
        KIB..MIB if bytes.is_multiple_of(KIB) => format!("{} KiB", bytes / KIB),
        KIB..MIB => format!("{:.1} KiB", f64_of(bytes) / f64_of(KIB)),
        _ => format!("{:.1} MiB", f64_of(bytes) / f64_of(MIB)),
    }
}

/// Exact to 53 bits, more than any memory has.
#[allow(clippy::cast_precision_loss)]
fn f64_of(bytes: u64) -> f64 {
    bytes as f64
}

/// Foreign text as a part of a sentence: one line, shortened, without a full stop.
pub(crate) fn shown(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut shown: String = text.chars().take(SHOWN_MAX_CHARS).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    one_line(&shown)
}

/// `text` without anything that could end the line.
fn one_line(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars()
        .map(|c| if breaks(c) { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Problem, Settings};

    /// Every complaint about a prompt, and its two lines.
    fn about_prompts() -> Vec<(Complaint, &'static str)> {
        vec![
            (
                Complaint::Empty,
                "There is nothing in this prompt to answer.\n\
                 Write a question into the file and save it again.\n",
            ),
            (
                Complaint::NotText {
                    kind: Kind::Known("a PNG picture"),
                },
                "This is a PNG picture, not plain text.\n\
                 Open it in its own program, save it as plain text (.txt) and put that file \
                 here.\n",
            ),
            (
                Complaint::TooLarge {
                    bytes: 70_000,
                    limit_bytes: 65_536,
                },
                "The file is too large: it has 68.4 KiB, and a prompt may have 64 KiB.\n\
                 Split it into files of at most 64 KiB each, or leave out what is not needed.\n",
            ),
            (
                Complaint::TooLong {
                    tokens: 1000,
                    limit_tokens: 750,
                },
                "The prompt is too long for the model: it has 1000 tokens (pieces of words), \
                 and at most 750 fit.\n\
                 Shorten the prompt by about 25 % and save it again.\n",
            ),
            (
                Complaint::Damaged {
                    why: "its end is missing".into(),
                },
                "The file is damaged: its end is missing.\n\
                 Copy the file to the stick again. If that does not help, let your computer \
                 check the drive for errors.\n",
            ),
        ]
    }

    /// Complaints about settings, one of each kind, and their two lines.
    fn about_settings() -> Vec<(Complaint, &'static str)> {
        let bad = |text| Complaint::BadSettings(Settings::parse(text).unwrap_err());
        let whole = |problem| {
            Complaint::BadSettings(SettingsError {
                line: None,
                problem,
            })
        };
        vec![
            (
                bad("\nmax_token = 5"),
                "The settings cannot be used. Line 2: there is no setting called \
                 \"max_token\".\n\
                 Did you mean \"max_tokens\"? Correct the line and save the file again.\n",
            ),
            (
                bad("zzz = 5"),
                "The settings cannot be used. Line 1: there is no setting called \"zzz\".\n\
                 Remove the line, or look in SETTINGS.TOML for the settings that there are, and \
                 save the file again.\n",
            ),
            (
                bad("top_k = -1"),
                "The settings cannot be used. Line 1: \"top_k\" must be a whole number from 0 to \
                 1000, not -1.\n\
                 Correct the line that begins with \"top_k\" and save the file again.\n",
            ),
            (
                whole(Problem::TooLarge {
                    bytes: 70_000,
                    limit_bytes: 16_384,
                }),
                "The settings cannot be used: the file has 70000 bytes; at most 16384 are read.\n\
                 Delete the file to go back to the usual settings, or remove from it what is not \
                 needed and save it again.\n",
            ),
            (
                whole(Problem::Damaged {
                    why: "its end is missing".into(),
                }),
                "The settings cannot be used: the file is damaged (its end is missing).\n\
                 Save the file again. If that does not help, delete it and let your computer \
                 check the drive for errors.\n",
            ),
        ]
    }

    /// Every complaint about a model, and its two lines.
    fn about_models() -> Vec<(Complaint, &'static str)> {
        let missing = |found: &[&str]| Complaint::ModelMissing {
            name: "big.gguf".into(),
            found: found.iter().map(|name| (*name).to_owned()).collect(),
        };
        vec![
            (
                missing(&["small.gguf", "tiny.gguf"]),
                "The settings ask for the model \"big.gguf\", which is not here.\n\
                 Choose one of \"small.gguf\", \"tiny.gguf\", then delete this file and save \
                 the prompt again.\n",
            ),
            (
                missing(&[]),
                "The settings ask for the model \"big.gguf\", which is not here.\n\
                 Put that file into the stick's models folder, then delete this file and save \
                 the prompt again.\n",
            ),
            (
                Complaint::NoModel,
                "There is no language model on this stick.\n\
                 Put a model (a file that ends in .gguf) into the stick's models folder, then \
                 delete this file and save the prompt again.\n",
            ),
            (
                Complaint::ModelFailed {
                    name: "a.gguf".into(),
                    why: "it is cut short.\n".into(),
                },
                "The model \"a.gguf\" cannot be used: it is cut short.\n\
                 Copy the model to the stick again or choose another one in SETTINGS.TOML, then \
                 delete this file and save the prompt again.\n",
            ),
        ]
    }

    /// Every complaint about memory, and its two lines.
    fn about_memory() -> Vec<(Complaint, &'static str)> {
        vec![
            (
                Complaint::OutOfMemory {
                    needed_bytes: Some(300 * MIB),
                    available_bytes: Some(200 * MIB),
                },
                "The model does not fit into memory: it needs 300.0 MiB, and 200.0 MiB are \
                 free.\n\
                 Choose a smaller model in SETTINGS.TOML, then delete this file and save the \
                 prompt again.\n",
            ),
            (
                Complaint::OutOfMemory {
                    needed_bytes: None,
                    available_bytes: None,
                },
                "The model ran out of memory while it answered this prompt.\n\
                 Choose a smaller model in SETTINGS.TOML, then delete this file and save the \
                 prompt again.\n",
            ),
        ]
    }

    /// Every complaint about what a model did, and its two lines.
    fn about_responses() -> Vec<(Complaint, &'static str)> {
        vec![
            (
                Complaint::Crashed,
                "The model stopped working while it answered this prompt.\n\
                 Delete this file and save the prompt again to try once more, or choose another \
                 model in SETTINGS.TOML.\n",
            ),
            (
                Complaint::NoText,
                "The model had nothing to say to this prompt.\n\
                 Say more in the prompt and save it again.\n",
            ),
            (
                Complaint::JsonCut { max_tokens: 256 },
                "The JSON response was not finished after 256 tokens.\n\
                 Set max_tokens higher than 256 or ask for less, then delete this file and save \
                 the prompt again.\n",
            ),
            (
                Complaint::JsonCutByContext { tokens: 90 },
                "The JSON response was not finished: after 90 tokens it and the prompt filled \
                 all that the model can hold.\n\
                 Shorten the prompt or ask for less, and save it again.\n",
            ),
            (
                Complaint::ResponseLimit {
                    bytes: 2 * MIB,
                    limit_bytes: MIB,
                },
                "The response is too large: it has 2.0 MiB, and at most 1.0 MiB are kept.\n\
                 Set max_tokens lower or ask for less, then delete this file and save the \
                 prompt again.\n",
            ),
        ]
    }

    #[test]
    fn each_complaint_is_two_lines_as_in_the_table() {
        let tables = [
            about_prompts(),
            about_settings(),
            about_models(),
            about_memory(),
            about_responses(),
        ];
        for (complaint, text) in tables.concat() {
            assert_eq!(complaint.text(), text);
            assert_eq!(text.lines().count(), 2);
        }
    }

    #[test]
    fn foreign_text_cannot_add_a_line_or_grow_one() {
        let name = format!("a\n\r\u{2028}b{}", "x".repeat(1000));
        let complaint = Complaint::ModelMissing {
            name: name.clone(),
            found: vec![name; 50],
        };
        let text = complaint.text();
        assert_eq!(text.matches(['\n', '\r', '\u{2028}']).count(), 2);
        assert!(text.len() < 1200, "{}", text.len());
    }
}
