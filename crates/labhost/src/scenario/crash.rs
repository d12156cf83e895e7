//! The daemon killed under a host, by a seeded choice of moments: nothing of the host's is lost and
//! each prompt is answered once.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::Lab;
use super::steps::{
    self, ANSWER_LIMIT, Plugged, QUESTION, QUESTIONS, Writer, answers, ask, ensure_answered_once,
    log, remounted_with, response_name, response_on,
};
use crate::daemon::Daemon;
use crate::error::{Doing, ensure};
use crate::files::{self, Random};
use crate::lun::Lun;
use crate::mount::{How, Mount};
use crate::{Result, desktop, report, stick, wait};

/// Between the pieces of the file that the host writes.
const PIECE_PAUSE: Duration = Duration::from_millis(40);

/// The daemon dies while the host writes to the mounted volume all the time; the next one takes
/// the gadget over, and the host notices nothing.
pub fn killed_under_host(lab: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    let mount = stick.mount(How::Flush)?;
    let seen = stick.lun.medium_number()?;
    ask(&mount, "prompt.txt", QUESTION)?;
    stick.daemon.wait_logged(log::THINKING, ANSWER_LIMIT)?;
    let writer = Writer::start(&mount.path("copy.bin"), lab.seed(), PIECE_PAUSE)?;
    writer.wait_for_more()?;
    stick.daemon.kill()?;
    writer.wait_for_more()?;
    let mut daemon = steps::serve()?;
    daemon.wait_logged(log::ADOPTED, ANSWER_LIMIT)?;
    writer.wait_for_more()?;
    let took = daemon.wait_logged(log::ANSWERED, ANSWER_LIMIT)?;
    report::measured("restart_to_answer", took);
    daemon.wait_logged(log::SHOWN, ANSWER_LIMIT)?;
    let content = writer.finish()?;
    report::flushed("copy.bin", &content);
    ensure(stick.lun.medium_number()? == seen, || {
        "the host saw a change of LUN 0's medium".into()
    })?;
    mount.unmount()?;
    remounted_with(&response_name("prompt.txt"))?;
    // That the host counts changes at all.
    ensure(stick.lun.medium_number()? != seen, || {
        "the host does not count changes of the medium".into()
    })?;
    steps::ensure_on_stick("copy.bin", &content)?;
    ensure_answered_once("prompt.txt")?;
    ensure(daemon.times_logged(log::ANSWERED) == 1, || {
        "the prompt was answered twice".into()
    })?;
    daemon.stop()
}

/// The daemon dies while a viewer on the host has an answer open on LUN 1. The next one leaves that
/// alone, and shows the next answer on the spare.
pub fn killed_under_viewer(_: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    let mount = stick.mount(How::Flush)?;
    mount.put_synced("prompt.txt", QUESTION)?;
    stick.daemon.wait_logged(log::SHOWN, ANSWER_LIMIT)?;
    let viewed = answers(1)?;
    let first = response_on(&viewed, "prompt.txt")?;
    let media = || Ok((stick.lun.medium_number()?, Lun::wait(1)?.medium_number()?));
    let seen = media()?;
    stick.daemon.kill()?;

    let mut daemon = steps::serve()?;
    daemon.wait_logged(log::ADOPTED, ANSWER_LIMIT)?;
    mount.put_synced("second.txt", QUESTIONS[1])?;
    daemon.wait_logged(log::ANSWERED, ANSWER_LIMIT)?;
    let spare = Lun::wait(2)?;
    let took = spare.wait_medium(ANSWER_LIMIT)?;
    report::measured("ready_to_spare", took);
    let on_spare = Mount::new(&spare.block()?, How::ReadOnly)?;
    let names = on_spare.list();
    let wanted = ["prompt.txt", "second.txt"].map(response_name);
    ensure(wanted.iter().all(|name| names.contains(name)), || {
        format!("the spare holds {names:?}")
    })?;
    let again = response_on(&viewed, "prompt.txt")?;
    files::ensure_same("the response that is open", &again, &first)?;
    ensure(media()? == seen, || "a medium in use was changed".into())?;
    for mount in [on_spare, viewed, mount] {
        mount.unmount()?;
    }
    for prompt in ["prompt.txt", "second.txt"] {
        remounted_with(&response_name(prompt))?;
        ensure_answered_once(prompt)?;
    }
    daemon.stop()?;
    steps::ensure_none_lives()
}

/// Longer than several attempts of a daemon that cannot go on.
const SEVERAL_ATTEMPTS: Duration = Duration::from_secs(6);

/// A file of the host's.
const KEPT_BYTES: usize = 300_000;

/// The daemon dies, and the next one finds a state folder that it cannot use: the drive, which the
/// host has mounted, goes on as it is, and so does the daemon when the folder is mended.
pub fn killed_and_state_broken(lab: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    let mount = stick.mount(How::Flush)?;
    ask(&mount, "prompt.txt", QUESTION)?;
    stick.daemon.wait_logged(log::ANSWERED, ANSWER_LIMIT)?;
    let seen = stick.lun.medium_number()?;
    stick.daemon.kill()?;
    let state = Path::new(stick::FOLDER).join("stick.img.state");
    let aside = Path::new("/run/state");
    fs::rename(&state, aside).doing("taking the state folder away")?;
    fs::write(&state, b"not a folder").doing("breaking the state folder")?;

    let mut daemon = steps::serve()?;
    daemon.wait_logged(log::UNUSABLE, ANSWER_LIMIT)?;
    let kept = files::random(lab.seed(), KEPT_BYTES);
    mount.put_synced("kept.bin", &kept)?;
    wait::pass(SEVERAL_ATTEMPTS);
    let still = mount.get("prompt.txt")?.unwrap_or_default();
    files::ensure_same("prompt.txt", &still, QUESTION)?;
    ensure(stick.lun.medium_number()? == seen, || {
        "the host saw a change of LUN 0's medium".into()
    })?;

    fs::remove_file(&state).doing("mending the state folder")?;
    fs::rename(aside, &state).doing("giving the state folder back")?;
    daemon.wait_logged(log::READY, ANSWER_LIMIT)?;
    mount.unmount()?;
    remounted_with(&response_name("prompt.txt"))?;
    steps::ensure_on_stick("kept.bin", &kept)?;
    daemon.stop()
}

/// Rounds of [`killed_often`] where `lab.rounds` does not say otherwise.
const ROUNDS: u64 = 12;

/// A moment that does not come within so long does not come: the daemon is killed then.
const MOMENT_LIMIT: Duration = Duration::from_secs(20);

/// For all that was left undone by kills, on a machine that is short of time.
const ALL_LIMIT: Duration = Duration::from_secs(900);

/// After the last response another one to the same prompt would be there within so long: the
/// daemon reads an accepted prompt again after 8 s.
const NO_MORE: Duration = Duration::from_secs(15);

/// The daemon is killed at seeded moments and restarted, again and again, while the host mounts,
/// writes and unmounts in between.
pub fn killed_often(lab: &Lab) -> Result<()> {
    let rounds = lab
        .parameter("lab.rounds")
        .and_then(|text| text.parse().ok());
    let rounds = rounds.unwrap_or(ROUNDS);
    report::step(format!("seed {}, {rounds} rounds", lab.seed()));
    desktop::start()?;
    let mut random = Random::new(lab.seed());
    let mut daemon = steps::serve()?;
    for round in 0..rounds {
        let mount = steps::mounted(How::Flush)?;
        let prompt = write_prompt(&mount, round, &mut random)?;
        let mount = if random.below(3) == 0 {
            Some(mount)
        } else {
            gone(mount)?
        };
        let moment = Moment::choose(&mut random, mount.is_some());
        report::step(format!("{prompt}: killed at {moment:?}"));
        moment.wait(&daemon);
        daemon.kill()?;
        steps::ensure_none_lives()?;
        if let Some(mount) = mount {
            mount.unmount()?;
        }
        daemon = steps::serve()?;
    }
    let prompts: Vec<String> = (0..rounds).map(prompt_name).collect();
    all_answered(&prompts)?;
    wait::pass(NO_MORE);
    for prompt in &prompts {
        ensure_answered_once(prompt)?;
        let response = stick::read_file(&stick::image(), &response_name(prompt))?;
        ensure(
            response.is_some_and(|response| !response.is_empty()),
            || format!("the response to {prompt} is empty"),
        )?;
    }
    daemon.stop()
}

fn prompt_name(round: u64) -> String {
    format!("question {round}.txt")
}

fn gone(mount: Mount) -> Result<Option<Mount>> {
    mount.unmount().map(|()| None)
}

/// A prompt and a file of the host's own, both flushed.
fn write_prompt(mount: &Mount, round: u64, random: &mut Random) -> Result<String> {
    const OWN_BYTES: u64 = 500_000;
    let prompt = prompt_name(round);
    let own = format!("photo {round}.bin");
    let len = usize::try_from(random.below(OWN_BYTES)).unwrap_or_default();
    let content = files::random(random.next(), len);
    mount.put(&own, &content)?;
    let question = QUESTIONS
        .iter()
        .cycle()
        .nth(usize::try_from(round).unwrap_or_default());
    let question = question.copied().unwrap_or_default();
    mount.put(&prompt, question)?;
    mount.sync()?;
    report::flushed(&own, &content);
    report::flushed(&prompt, question);
    Ok(prompt)
}

/// When the daemon is killed: so long after a sign of where it is.
#[derive(Debug)]
struct Moment {
    after: Sign,
    delay: Duration,
}

/// Where the daemon is.
#[derive(Debug, Clone, Copy)]
enum Sign {
    /// Anywhere.
    Now,
    /// Its log says this.
    Logged(&'static str),
    /// It is writing to the volume: there is a journal, for some milliseconds.
    Journal,
}

impl Moment {
    /// One of: while a prompt settles, during inference, while the medium is taken, while it is
    /// written, while it is away, around its insertion. A host that keeps the volume sees no
    /// publication.
    fn choose(random: &mut Random, is_held: bool) -> Self {
        let (after, least_us, most_us) = match (random.below(8), is_held) {
            (0, _) => (Sign::Now, 0, 1_500_000),
            (1, _) => (Sign::Logged(log::THINKING), 0, 1_500_000),
            (2, _) => (Sign::Logged(log::ANSWERED), 0, 60_000),
            (_, true) => (Sign::Logged(log::SHOWN), 0, 300_000),
            (3, false) => (Sign::Logged(log::PUBLISHED), 0, 300_000),
            (4, false) => (Sign::Logged(log::PUBLISHED), 2_000_000, 3_200_000),
            _ => (Sign::Journal, 0, 4_000),
        };
        let delay_us = least_us + random.below(most_us - least_us);
        Self {
            after,
            delay: Duration::from_micros(delay_us),
        }
    }

    fn wait(&self, daemon: &Daemon) {
        // Short against the time for which there is a journal; to look into the log takes longer.
        let look = match self.after {
            Sign::Journal => Duration::from_micros(200),
            Sign::Now | Sign::Logged(_) => Duration::from_millis(10),
        };
        let journal = stick::file("stick.img.journal");
        let start = Instant::now();
        let reached = || match self.after {
            Sign::Now => true,
            Sign::Logged(text) => daemon.times_logged(text) > 0,
            Sign::Journal => journal.exists(),
        };
        while !reached() && start.elapsed() < MOMENT_LIMIT {
            thread::sleep(look);
        }
        wait::pass(self.delay);
    }
}

/// Waits until each of these prompts has a response on the stick.
fn all_answered(prompts: &[String]) -> Result<()> {
    let (_, took) = wait::until("all responses", ALL_LIMIT, || {
        // In the middle of a publication the volume may be unreadable for a moment.
        let names = stick::names(&stick::image()).unwrap_or_default();
        let done = prompts
            .iter()
            .all(|prompt| names.contains(&response_name(prompt)));
        Ok(done.then_some(()))
    })?;
    report::measured("all_answered", took);
    Ok(())
}
