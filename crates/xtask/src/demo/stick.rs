//! The host's side of `try`: a volume in a file, used through mtools only.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::daemon::Daemon;
use crate::process;
use crate::progress::Heartbeat;

/// The prompt's file, and the two that may follow it (docs/SPEC.md, names).
const PROMPT: &str = "prompt.txt";
const RESPONSE: &str = "prompt.response.txt";
const ERROR: &str = "prompt.error.txt";

/// How long an answer may take: a model of 135 million parameters needs about a minute for a long
/// answer on one slow core; a larger one given with `--model` may need more.
const ANSWER_LIMIT: Duration = Duration::from_secs(15 * 60);

/// How often the volume is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A volume in a file.
pub struct Stick {
    image: PathBuf,
    folder: PathBuf,
}

impl Stick {
    /// Makes and formats `stick.img` in `folder`.
    ///
    /// # Errors
    /// The program failed.
    pub fn format(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let image = folder.join("stick.img");
        let mut command = process::command(program);
        command
            .args(["volume", "format"])
            .arg(&image)
            .args(["--size", "64M"]);
        process::output(&mut command)?;
        Ok(Self {
            image,
            folder: folder.to_path_buf(),
        })
    }

    /// The file that holds the volume.
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// Puts the prompt in the root folder.
    ///
    /// # Errors
    /// mcopy failed.
    pub fn drop_prompt(&self, prompt: &str) -> anyhow::Result<()> {
        let file = self.folder.join(PROMPT);
        fs::write(&file, format!("{prompt}\n")).context("cannot write the prompt file")?;
        let mut command = process::command("mcopy");
        process::output(command.arg("-i").arg(&self.image).arg(&file).arg("::")).map(drop)
    }

    /// Waits for the response file, as a host sees it.
    ///
    /// # Errors
    /// The daemon ended, answered with an error file, or took too long.
    pub fn wait_for_response(&self, daemon: &mut Daemon) -> anyhow::Result<String> {
        let start = Instant::now();
        let _alive = Heartbeat::start("waiting for the response");
        while start.elapsed() < ANSWER_LIMIT {
            daemon.must_run()?;
            if let Some(text) = self.read_settled(RESPONSE) {
                return Ok(text);
            }
            if let Some(text) = self.read_settled(ERROR) {
                bail!("the prompt was answered by {ERROR}:\n{text}");
            }
            thread::sleep(LOOK_AGAIN);
        }
        bail!(
            "no {RESPONSE} on the volume after {} minutes",
            ANSWER_LIMIT.as_secs() / 60
        )
    }

    /// The text of a file that is there and reads the same twice: nothing tells mtools that the
    /// daemon is in the middle of writing, so a single look may see half of it.
    fn read_settled(&self, name: &str) -> Option<String> {
        let first = self.read(name)?;
        thread::sleep(LOOK_AGAIN);
        let second = self.read(name)?;
        (first == second).then_some(first)
    }

    fn read(&self, name: &str) -> Option<String> {
        let mut command = process::command("mtype");
        // A failure is the file's absence.
        let text = process::output(command.arg("-i").arg(&self.image).arg(format!("::{name}")));
        text.ok().filter(|text| !text.is_empty())
    }
}
