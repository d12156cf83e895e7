//! What a person sees while long steps run: numbered headings, a sign of life, the time each took.
//! Used by `try` and `test`. Everything here goes to standard error, so that standard output holds
//! results only.

use std::fmt;
use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often a long step shows that it is alive: well below the time after which CI services take
/// a silent job for dead (10 minutes), and short enough for a person.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A time as people say it: `0.4 s`, `12 s`, `3 min 05 s`.
pub struct Took(pub Duration);

impl fmt::Display for Took {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..10 => write!(out, "{:.1} s", self.0.as_secs_f64()),
            10..60 => write!(out, "{seconds} s"),
            _ => write!(out, "{} min {:02} s", seconds / 60, seconds % 60),
        }
    }
}

/// Prints a line every [`HEARTBEAT`] until it is dropped.
pub struct Heartbeat {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Says `what` is going on, and for how long.
    pub fn start(what: &str) -> Self {
        let what = what.to_owned();
        Self::telling(move || what.clone())
    }

    /// Says what `state` gives each time, and for how long.
    pub fn telling(state: impl Fn() -> String + Send + 'static) -> Self {
        let (stop, stopped) = mpsc::channel::<()>();
        let start = Instant::now();
        // On a terminal cargo draws its bar on the last line: take its place, it comes back.
        let clear = if std::io::stderr().is_terminal() {
            "\r\x1b[K"
        } else {
            ""
        };
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                eprintln!(
                    "{clear}      … {}, {} so far",
                    state(),
                    Took(start.elapsed())
                );
            }
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread that only prints must not hide the result of the step.
            let _ = thread.join();
        }
    }
}

/// Numbered steps, `[2/6] …`, and how each check ended.
pub struct Steps {
    total: usize,
    started: usize,
    done: Vec<Done>,
}

/// One finished check.
struct Done {
    title: String,
    took: Duration,
    error: Option<anyhow::Error>,
}

impl Steps {
    /// Announces `total` steps.
    pub fn new(total: usize) -> Self {
        Self {
            total,
            started: 0,
            done: Vec::new(),
        }
    }

    /// Prints the heading of the next step, for a command that stops at the first failure.
    pub fn begin(&mut self, title: &str) {
        self.started += 1;
        eprintln!("\n[{}/{}] {title}", self.started, self.total);
    }

    /// Runs one step; a failure is kept for [`Steps::finish`] and the next step runs all the same.
    pub fn check(&mut self, title: &str, step: impl FnOnce() -> anyhow::Result<()>) {
        self.begin(title);
        let start = Instant::now();
        let error = step().err();
        let took = start.elapsed();
        match &error {
            None => eprintln!("      ok, {}", Took(took)),
            Some(error) => eprintln!("      FAILED, {}: {error:#}", Took(took)),
        }
        self.done.push(Done {
            title: title.to_owned(),
            took,
            error,
        });
    }

    /// Lists every check with its time and gives the titles of those that failed.
    pub fn finish(&self) -> Vec<String> {
        let width = self
            .done
            .iter()
            .map(|step| step.title.chars().count())
            .max()
            .unwrap_or(0);
        eprintln!();
        for step in &self.done {
            let verdict = if step.error.is_some() { "FAILED" } else { "ok" };
            eprintln!("{verdict:>6}  {:width$}  {}", step.title, Took(step.took));
        }
        let failed = self.done.iter().filter(|step| step.error.is_some());
        failed.map(|step| step.title.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_say_them() {
        let shown = |ms| Took(Duration::from_millis(ms)).to_string();
        assert_eq!(shown(432), "0.4 s");
        assert_eq!(shown(12_900), "12 s");
        assert_eq!(shown(185_000), "3 min 05 s");
    }

    #[test]
    fn a_failed_check_is_kept_and_the_next_one_runs() {
        let mut steps = Steps::new(2);
        steps.check("one", || anyhow::bail!("broken"));
        let mut ran = false;
        steps.check("two", || {
            ran = true;
            Ok(())
        });
        assert!(ran);
        assert_eq!(steps.finish(), ["one"]);
    }
}
