//! What `try` tells at the end: the response, the speed, the state of the volume.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, bail};

use super::Bench;
use super::daemon::{Daemon, STOP_PROMISE};
use crate::process;
use crate::progress::Took;

/// What the daemon logs for each response, with the fields that [`speed`] reads.
const ANSWERED: &str = "answered";

/// Prints the response, the only thing on standard output.
pub fn response(text: &str) {
    eprintln!("---- prompt.response.txt");
    println!("{}", text.trim_end());
    eprintln!("----");
}

/// Prints how fast the model was and how long the person waited.
pub fn speed(log: &str, waited: Duration) {
    match (field(log, "response_tokens"), field(log, "tokens_per_s")) {
        (Some(tokens), Some(rate)) => {
            eprintln!("      {tokens} tokens at {rate} tokens/s (the daemon's log)");
        }
        _ => eprintln!("      the daemon's log does not tell the speed"),
    }
    eprintln!(
        "      {} from the drop to the response on the volume",
        Took(waited)
    );
}

/// The value of `name=` on the last line that tells of an answer.
fn field<'a>(log: &'a str, name: &str) -> Option<&'a str> {
    let line = log.lines().rev().find(|line| line.contains(ANSWERED))?;
    line.split_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        .map(|value| value.trim_matches('"'))
}

/// Has fsck.fat judge the volume.
///
/// # Errors
/// It found something.
pub fn fsck(image: &Path) -> anyhow::Result<()> {
    let mut command = process::command("fsck.fat");
    let verdict =
        process::output(command.arg("-n").arg(image)).context("the volume is not clean")?;
    let last = verdict.lines().last().unwrap_or_default();
    eprintln!(
        "      fsck.fat -n finds nothing wrong: {}",
        without_path(last)
    );
    Ok(())
}

/// Reads a file of the volume, with mtools.
///
/// # Errors
/// It is not there.
pub fn read(image: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut command = process::command("mtype");
    let text = process::output(command.arg("-i").arg(image).arg(format!("::{name}")))?;
    Ok(text.into_bytes())
}

/// `/tmp/x/stick.img: 5 files, 11/32695 clusters` without the folder.
fn without_path(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(_, rest)| rest)
}

/// Prints what the daemon logged, for a person who wants to know why it failed.
pub fn log(daemon: &Daemon) {
    match daemon.log() {
        Ok(text) => eprintln!("---- the daemon's log\n{}\n----", text.trim_end()),
        Err(error) => eprintln!("      {error:#}"),
    }
}

/// Says how the daemon ended after SIGTERM.
///
/// # Errors
/// With an error, or later than promised.
pub fn ending((status, took): (ExitStatus, Duration)) -> anyhow::Result<()> {
    if !status.success() {
        bail!("the daemon ended with {status} after SIGTERM");
    }
    if took > STOP_PROMISE {
        bail!(
            "the daemon took {} to end after SIGTERM; 1 s is promised",
            Took(took)
        );
    }
    eprintln!(
        "      SIGTERM: the daemon ended cleanly after {} ms",
        took.as_millis()
    );
    Ok(())
}

/// Says where the files are and how to look at them.
pub fn how_to_look(folder: &Path, bench: &Bench) {
    let image = folder.join("stick.img");
    let image = image.display();
    eprintln!("\nKept: {}", folder.display());
    eprintln!("  mdir -i {image} ::");
    eprintln!("  mtype -i {image} ::README.TXT");
    eprintln!("  {} volume check {image}", bench.program.display());
    eprintln!("  less {}", folder.join("daemon.log").display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_the_last_answer() {
        let log = "INFO answered response_tokens=3 tokens_per_s=9.0\n\
                   INFO answered path=\"prompt.txt\" response_tokens=57 tokens_per_s=\"41.2\"\n\
                   INFO published\n";
        assert_eq!(field(log, "response_tokens"), Some("57"));
        assert_eq!(field(log, "tokens_per_s"), Some("41.2"));
        assert_eq!(field(log, "tokens"), None);
        assert_eq!(field("INFO ready\n", "response_tokens"), None);
    }

    #[test]
    fn the_verdict_without_the_folder() {
        assert_eq!(
            without_path("/tmp/a/stick.img: 5 files, 1/2 clusters"),
            "5 files, 1/2 clusters"
        );
        assert_eq!(without_path("something else"), "something else");
    }
}
