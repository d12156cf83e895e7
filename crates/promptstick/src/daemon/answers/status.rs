//! The status file: what the stick is doing, on one screen. Pure: plain fields in, text out.
//!
//! Names of prompts may appear: the file lies on the user's own drive. Invariants, tested: CRLF,
//! at most 24 lines of 79 columns, whatever the names. Used by the gadget's loop.

use std::time::Duration;

use crate::output::steers;

/// One screen, as for `README.TXT`.
const COLUMNS: usize = 79;
/// Queued prompts that are named.
const NAMED_MAX: usize = 10;
/// Errors that are shown.
const ERRORS_MAX: usize = 3;
/// Names are cut to this many characters, beginning and end kept, where a line says more.
const NAME_COLUMNS: usize = 40;
const PREFIX: &str = "STATUS-";
const EXTENSION: &str = ".TXT";

/// What there is to say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Version of promptstick.
    pub version: String,
    /// Time since the daemon's start.
    pub up: Duration,
    /// The prompt in work.
    pub running: Option<Running>,
    /// The prompts that wait, the next one first; as many as there are names for.
    pub queue: Vec<String>,
    /// How many wait in all.
    pub queued: usize,
    /// `max_tokens` of the settings in force.
    pub max_tokens: u32,
    /// Tokens per second, of the response in work or the last one.
    pub tokens_per_s: Option<f64>,
    /// Answers that are not on PROMPTSTICK yet.
    pub waiting: usize,
    /// The last errors, the newest first.
    pub errors: Vec<Trouble>,
    /// The model in memory, or the last one.
    pub model: Option<Model>,
    /// Free space on PROMPTSTICK.
    pub free_bytes: Option<u64>,
}

/// The prompt in work.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// Path of the prompt.
    pub name: String,
    /// How far it is.
    pub stage: Stage,
    /// Where its response is cut, in tokens.
    pub max_tokens: u32,
}

/// How far a prompt is.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// The model is being loaded.
    Loading,
    /// The model reads the prompt.
    Reading {
        /// Tokens read.
        tokens: u32,
        /// Tokens that it has.
        of: u32,
    },
    /// The model writes.
    Writing {
        /// Tokens so far.
        tokens: u32,
    },
}

/// A prompt that got an error file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Path of the prompt or of its error file.
    pub name: String,
    /// The first line of the error file: what happened.
    pub what: String,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The name in its file.
    pub name: String,
    /// The type of most of its weights.
    pub quantisation: String,
}

/// `STATUS-0001.TXT` and so on: a name is never used twice.
pub fn status_name(number: u32) -> String {
    format!("{PREFIX}{number:04}{EXTENSION}")
}

/// The highest number among the status files of these names; 0 where there is none.
pub fn last_number<'a>(names: impl IntoIterator<Item = &'a str>) -> u32 {
    let number = |name: &str| {
        let digits = name.strip_prefix(PREFIX)?.strip_suffix(EXTENSION)?;
        digits.parse().ok()
    };
    names.into_iter().filter_map(number).max().unwrap_or(0)
}

impl Status {
    /// The file's text.
    pub fn text(&self) -> String {
        let up = time(self.up);
        let mut lines = vec![
            format!("promptstick {}, {up} after its start", self.version),
            String::new(),
        ];
        self.say_running(&mut lines);
        self.say_queue(&mut lines);
        self.say_errors(&mut lines);
        if let Some(Model { name, quantisation }) = &self.model {
            lines.push(format!(
                "Model: {}, {quantisation}",
                cut(name, NAME_COLUMNS)
            ));
        }
        if let Some(bytes) = self.free_bytes {
            lines.push(format!("Free space on PROMPTSTICK: {}", size(bytes)));
        }
        self.say_where(&mut lines);
        let mut text = String::new();
        for line in lines {
            text.push_str(&cut(&line, COLUMNS));
            text.push_str("\r\n");
        }
        text
    }

    fn say_running(&self, lines: &mut Vec<String>) {
        let Some(running) = &self.running else {
            lines.push("Ready: no prompt is being answered.".to_owned());
            return;
        };
        let name = cut(&running.name, COLUMNS - "Thinking: ".len());
        lines.push(format!("Thinking: {name}"));
        let most = running.max_tokens;
        let then = || match self.seconds_for(u64::from(most)) {
            Some(left) => format!(", then at most {}", time(left)),
            None => String::new(),
        };
        lines.push(match running.stage {
            Stage::Loading => "  loading the model".to_owned(),
            Stage::Reading { tokens, of } => {
                format!("  reading the prompt, {tokens} of {of} tokens{}", then())
            }
            Stage::Writing { tokens } => self.writing(tokens, most),
        });
    }

    fn writing(&self, tokens: u32, most: u32) -> String {
        let mut line = format!("  {tokens} of at most {most} tokens");
        if let Some(speed) = self.speed() {
            line += &format!(", {speed:.1} tokens/s");
        }
        if let Some(left) = self.seconds_for(u64::from(most.saturating_sub(tokens))) {
            line += &format!(", at most {} left", time(left));
        }
        line
    }

    fn say_queue(&self, lines: &mut Vec<String>) {
        if self.queued == 0 {
            lines.push("Queue: empty".to_owned());
            return;
        }
        let prompts = counted(self.queued, "prompt");
        let tokens = (self.queued as u64).saturating_mul(u64::from(self.max_tokens));
        lines.push(match self.seconds_for(tokens) {
            Some(all) => format!("Queue: {prompts}, at most some {}", time(all)),
            None => format!("Queue: {prompts}"),
        });
        let named = self.queue.iter().take(NAMED_MAX.min(self.queued));
        let mut count = 0;
        for (number, name) in (1..).zip(named) {
            lines.push(format!(
                "  {number}. {}",
                cut(name, COLUMNS - "  10. ".len())
            ));
            count = number;
        }
        if self.queued > count {
            lines.push(format!("  and {} more", self.queued - count));
        }
    }

    fn say_errors(&self, lines: &mut Vec<String>) {
        if self.errors.is_empty() {
            return;
        }
        lines.push("Last errors:".to_owned());
        for error in self.errors.iter().take(ERRORS_MAX) {
            lines.push(format!(
                "  {}: {}",
                cut(&error.name, NAME_COLUMNS),
                error.what
            ));
        }
    }

    fn say_where(&self, lines: &mut Vec<String>) {
        if self.waiting == 0 {
            lines.push("All answers are on PROMPTSTICK.".to_owned());
            return;
        }
        let answers = counted(self.waiting, "answer");
        lines.push(format!(
            "{answers} not on PROMPTSTICK yet: read here, or eject"
        ));
        lines.push("(unmount) PROMPTSTICK and leave the stick plugged in.".to_owned());
    }

    fn speed(&self) -> Option<f64> {
        self.tokens_per_s
            .filter(|speed| speed.is_finite() && *speed > 0.0)
    }

    /// How long so many tokens take.
    fn seconds_for(&self, tokens: u64) -> Option<Duration> {
        // Exact up to 2^53 tokens, and an estimate anyway.
        #[allow(clippy::cast_precision_loss)]
        let seconds = tokens as f64 / self.speed()?;
        Duration::try_from_secs_f64(seconds.ceil()).ok()
    }
}

/// "1 prompt", "2 prompts".
fn counted(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

/// A time as people say it, in its two largest units; whole minutes from ten of them up.
fn time(time: Duration) -> String {
    const EXACT_MINUTES: u64 = 10;
    let seconds = time.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, 1..EXACT_MINUTES) => format!("{minutes} min {} s", seconds % 60),
        (0, _) => format!("{minutes} min"),
        (1..24, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} days {} h", hours / 24, hours % 24),
    }
}

/// A size in KiB or MiB, with one digit after the point.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 2] = [(1 << 20, "MiB"), (1 << 10, "KiB")];
    let (unit, name) = *UNITS
        .iter()
        .find(|(unit, _)| bytes >= *unit)
        .unwrap_or(&UNITS[1]);
    let tenths = u128::from(bytes) * 10 / u128::from(unit);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// At most `columns` characters, the middle left out, and none that moves the cursor.
fn cut(text: &str, columns: usize) -> String {
    const GAP: &str = "...";
    let clean = |c: char| if steers(c) { '?' } else { c };
    let count = text.chars().count();
    if count <= columns {
        return text.chars().map(clean).collect();
    }
    let kept = columns.saturating_sub(GAP.len());
    let (head, tail) = (kept - kept / 2, kept / 2);
    let head = text.chars().take(head).map(clean);
    let tail = text.chars().skip(count - tail).map(clean);
    head.chain(GAP.chars()).chain(tail).collect()
}

#[cfg(test)]
mod tests;
