//! A stick that loses power in the middle of its work, again and again: what one boot of it does.
//! The harness (`lab::torture`) has the disk, cuts the power, and judges what a later boot exports.
//!
//! The stick's files lie in an ext4 file system on that disk. What earlier rounds left open is
//! finished and exported; then a host copies files and prompts, until the power goes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::mount::{MsFlags, mount};

use super::Lab;
use super::steps::{self, QUESTIONS, SWAP_LIMIT, Writer, inserted, response_name};
use crate::error::{Doing, ensure};
use crate::files::{self, Random};
use crate::lun::Lun;
use crate::modules::{self, Modules};
use crate::mount::{How, Mount};
use crate::{Result, init, report, stick, wait};

/// The disk that loses power.
const DISK: &str = "/dev/vdb";

/// The parameter with the number of the round.
pub const ROUND_PARAMETER: &str = "lab.round";

/// The parameter with the prompts that have been promised an answer, with commas between.
pub const ASKED_PARAMETER: &str = "lab.asked";

/// What the stick had when it came up, before the daemon was started: followed by [`Found`].
pub const FOUND: &str = "found";

/// The host begins its work: from now on the power may go.
pub const ARMED: &str = "armed";

/// What the daemon's log says when an answer is there, and when it is on the volume.
pub use steps::log::{ANSWERED, PUBLISHED};

/// Longer than the daemon takes for all that several cuts left undone, with the 65 s after which a
/// file that stays unfinished counts as damaged.
const ALL_LIMIT: Duration = Duration::from_secs(400);

/// Between looks at the volume.
const LOOK: Duration = Duration::from_millis(250);

/// The most prompts of a round.
const PROMPTS: u64 = 2;

/// The largest file of the host's own.
const OWN_BYTES: u64 = 200_000;

/// Between the pieces of a file that the host writes all the while: too short for the device to
/// read the volume between two, and long enough that no round fills the volume.
const PIECE_PAUSE: Duration = Duration::from_millis(250);

/// What the daemon makes of clusters that belong to no file.
const RECOVERED: &str = "FSCK";

/// The name of a prompt.
pub fn prompt_name(round: u64, number: u64) -> String {
    format!("q{round}-{number}.txt")
}

/// The file with the answer to a prompt of that name, as the program gives it on a plain image.
pub fn expected_file(prompt: &str) -> String {
    format!("expected{}", question(prompt))
}

/// Which of [`QUESTIONS`] it asks.
fn question(prompt: &str) -> usize {
    let digits = prompt.bytes().filter(u8::is_ascii_digit).map(usize::from);
    digits.sum::<usize>() % QUESTIONS.len()
}

/// No two are the same bytes: one that appears while another goes would be that one, renamed. The
/// answer is short, for what is tortured is the disk, and depends on the question alone.
fn content(prompt: &str) -> Vec<u8> {
    let settings = format!("+++\nmax_tokens = 12\nseed = 1\n# {prompt}\n+++\n");
    [settings.as_bytes(), QUESTIONS[question(prompt)]].concat()
}

/// One boot, which has no end.
pub fn torture(lab: &Lab) -> Result<()> {
    let round = lab
        .parameter(ROUND_PARAMETER)
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    let asked = lab.parameter(ASKED_PARAMETER).unwrap_or_default();
    let asked: Vec<&str> = asked.split(',').filter(|name| !name.is_empty()).collect();
    mount_disk()?;
    found(&asked);
    expect()?;
    let _daemon = steps::serve_watched_with("")?;
    let lun = Lun::wait(0)?;
    lun.touch()?;
    finished(&asked)?;
    // Into the disk that is not tortured: what comes next to this one is the host's work.
    stick::export(init::export(lab)?)?;
    report::tell(&crate::protocol::Line::Exported);

    let mut random = Random::new(lab.seed());
    report::step(ARMED);
    work(round, &asked, &mut random)?;
    loop {
        wait::pass(ALL_LIMIT);
    }
}

fn mount_disk() -> Result<()> {
    Modules::from_list()?.load_all(&modules::EXT4)?;
    let (at, kind) = (stick::FOLDER, Some("ext4"));
    let options = Some("errors=remount-ro");
    mount(Some(DISK), at, kind, MsFlags::MS_NOATIME, options).doing("mounting the stick's disk")
}

/// Tells how far the last round came.
fn found(asked: &[&str]) {
    let is_journal = stick::file("stick.img.journal").exists();
    let names = stick::names(&stick::image()).unwrap_or_default();
    let is_answered = |prompt: &&&str| names.contains(&response_name(prompt));
    let answered = asked.iter().filter(is_answered).count();
    report::step(format!(
        "{FOUND} journal={is_journal} answered={answered} asked={}",
        asked.len()
    ));
}

/// Makes the files that answers are compared with, where they are not there yet.
fn expect() -> Result<()> {
    for number in 0..QUESTIONS.len() as u64 {
        let prompt = prompt_name(0, number);
        let path = stick::file(&expected_file(&prompt));
        if !path.exists() {
            let response = steps::expected_response(&prompt, &content(&prompt))?;
            let partial = Path::new(stick::FOLDER).join("expected.new");
            files::write_synced(&partial, &response)?;
            fs::rename(&partial, &path).doing("keeping an expected answer")?;
        }
    }
    Ok(())
}

/// Waits until all prompts have answers, and the host has the medium.
fn finished(asked: &[&str]) -> Result<()> {
    let (_, took) = wait::until("answers to all prompts", ALL_LIMIT, || {
        wait::pass(LOOK);
        // It cannot be read at the moment.
        let Ok(names) = stick::names(&stick::image()) else {
            return Ok(None);
        };
        let gone = asked
            .iter()
            .find(|prompt| !names.iter().any(|name| name == *prompt));
        ensure(gone.is_none(), || {
            format!("{gone:?} is gone, which had been flushed")
        })?;
        let is_open = |prompt: &&&str| {
            let stem = prompt.strip_suffix("txt").unwrap_or(prompt);
            let mut answers = names.iter().filter_map(|name| name.strip_prefix(stem));
            !answers.any(|rest| rest.starts_with("response") || rest.starts_with("error"))
        };
        Ok((!asked.iter().any(|prompt| is_open(&prompt))).then_some(()))
    })?;
    report::measured("finished", took);
    wait::until_true("the medium to be back", SWAP_LIMIT, || {
        inserted(0).is_ok_and(|image| Path::new(&image) == stick::image())
    })
    .map(drop)
}

/// What the host does in a round.
fn work(round: u64, asked: &[&str], random: &mut Random) -> Result<()> {
    let mount = steps::mounted(How::Flush)?;
    tidy(&mount, round, asked)?;
    let len = usize::try_from(random.below(OWN_BYTES)).unwrap_or_default();
    mount.put_synced(
        &format!("own {round}.bin"),
        &files::random(random.next(), len),
    )?;
    for number in 0..=random.below(PROMPTS) {
        let prompt = prompt_name(round, number);
        mount.put_synced(&prompt, &content(&prompt))?;
        report::asked(&prompt);
    }
    // Mostly the host lets go, so that the volume is written; else it goes on writing, and the
    // answer is shown on the other drive.
    if random.below(4) > 0 {
        mount.unmount()?;
        return Ok(());
    }
    let path = mount.path(&format!("more {round}.bin"));
    let writer = Writer::start(&path, random.next(), PIECE_PAUSE)?;
    wait::pass(ALL_LIMIT);
    writer.finish().map(drop)
}

/// What earlier rounds had not flushed when the power went is not wanted any more.
fn tidy(mount: &Mount, round: u64, asked: &[&str]) -> Result<()> {
    let names = mount.list();
    let torn = names.iter().filter(|name| {
        let is_prompt =
            (0..round).any(|round| (0..PROMPTS).any(|number| prompt_name(round, number) == **name));
        let is_large = name.starts_with("more ") || name.starts_with(RECOVERED);
        is_large || (is_prompt && !asked.contains(&name.as_str()))
    });
    torn.into_iter().try_for_each(|name| mount.delete(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_is_asked_and_expected() {
        let mut seen: Vec<_> = (0..QUESTIONS.len() as u64)
            .map(|number| expected_file(&prompt_name(0, number)))
            .collect();
        seen.dedup();
        assert_eq!(seen.len(), QUESTIONS.len());
        assert_eq!(expected_file("q12-1.txt"), expected_file("q3-1.txt"));
    }
}
