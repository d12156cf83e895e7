//! Clocks that are far off: after 2038, when 32 bits of seconds are full; before 1980, when FAT's
//! calendar begins; after 2107, when it ends.

use crate::daemon::{self, Daemon};
use crate::error::ensure;
use crate::scenario::Lab;
use crate::scenario::steps::{Plugged, QUESTION, QUESTIONS, log};
use crate::{Result, clock, stick};

/// 2040-01-01 00:00:00 UTC, in seconds since 1970.
const IN_2040: (i64, &str) = (2_208_988_800, "2040-01-01");
/// 1975-01-01 00:00:00 UTC.
const IN_1975: (i64, &str) = (157_766_400, "1975-01-01");
/// 2110-01-01 00:00:00 UTC.
const IN_2110: (i64, &str) = (4_417_977_600, "2110-01-01");

/// What `promptstick answer` says of a volume whose prompts are all answered.
const NOTHING_LEFT: &str = "nothing new to answer";

/// A prompt is answered in 2040; the next daemon finds itself in 1975, knows what was answered, and
/// answers another prompt; under its feet it becomes 2110, and it answers a third. In 2040 again,
/// nothing is left to do.
pub fn clock(_: &Lab) -> Result<()> {
    set(IN_2040)?;
    let mut stick = Plugged::on_desktop("")?;
    answered(&mut stick, "first.txt", QUESTION, IN_2040)?;
    stick.daemon.stop()?;

    set(IN_1975)?;
    let mut stick = Plugged::on_bare_host("")?;
    answered(&mut stick, "second.txt", QUESTIONS[1], IN_1975)?;
    set(IN_2110)?;
    answered(&mut stick, "third.txt", QUESTIONS[2], IN_2110)?;
    let answers = stick.daemon.times_logged(log::ANSWERED);
    ensure(answers == 2, || {
        format!("{answers} answers of a daemon that had two prompts")
    })?;
    stick.daemon.stop()?;

    set(IN_2040)?;
    let image = stick::image();
    let said = Daemon::run(&["answer", &image.to_string_lossy(), "--model", daemon::MODEL])?;
    ensure(said.trim() == NOTHING_LEFT, || {
        format!("something was left to answer: {said}")
    })
}

fn set((seconds, date): (i64, &str)) -> Result<()> {
    clock::set(seconds, date)
}

/// The host copies a prompt and finds the response, and the daemon's log has the date.
fn answered(stick: &mut Plugged, name: &str, prompt: &[u8], (_, date): (i64, &str)) -> Result<()> {
    stick.ask_and_unmount(name, prompt)?;
    stick.response_after_swap(name)?;
    let log = stick.daemon.log();
    let answered = log.lines().rfind(|line| line.contains(log::ANSWERED));
    ensure(answered.is_some_and(|line| line.starts_with(date)), || {
        format!("the log says {answered:?} on {date}")
    })
}
