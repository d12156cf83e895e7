//! The daemon killed under a host, by a seeded choice of moments: nothing of the host's is lost and
//! each prompt is answered once.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Lab;
use super::served::{
    self, ADOPTED, ANSWER_LIMIT, ANSWERED, PUBLISHED, QUESTIONS, SHOWN, THINKING,
    ensure_answered_once, response_name,
};
use crate::daemon::Daemon;
use crate::error::{Doing, ensure};
use crate::files::{self, Random};
use crate::lun::Lun;
use crate::mount::{How, Mount};
use crate::{Failure, Result, desktop, report, stick, sysfs, wait};

/// Longer than the host takes to notice a medium.
const NOTICED_LIMIT: Duration = Duration::from_secs(60);

/// What the log says when the daemon cannot go on, and when it can.
const TROUBLE: &str = "trying again until it is mended";
/// See [`TROUBLE`].
const READY: &str = "ready for prompts";

/// Longer than several attempts of a daemon that cannot go on.
const SEVERAL_ATTEMPTS: Duration = Duration::from_secs(6);

/// A file of the host's.
const KEPT_BYTES: usize = 300_000;

/// The daemon dies while the host writes to the mounted volume all the time; the next one takes
/// the gadget over, and the host notices nothing.
pub fn killed_under_host(lab: &Lab) -> Result<()> {
    desktop::start()?;
    let daemon = served::serve()?;
    let lun = Lun::wait(0)?;
    lun.wait_medium(NOTICED_LIMIT)?;
    let mount = Mount::new(&lun.block()?, How::Flush)?;
    let seen = disk_sequence(&lun)?;
    mount.put("prompt.txt", QUESTIONS[0])?;
    report::flushed("prompt.txt", QUESTIONS[0]);
    served::wait_logged(&daemon, THINKING, 1)?;
    let writer = Writer::start(&mount.path("copy.bin"), lab.seed())?;
    writer.wait_for_more()?;
    daemon.kill()?;
    writer.wait_for_more()?;
    let daemon = served::serve()?;
    served::wait_logged(&daemon, ADOPTED, 1)?;
    writer.wait_for_more()?;
    let took = served::wait_logged(&daemon, ANSWERED, 1)?;
    report::measured("restart_to_answer", took);
    served::wait_logged(&daemon, SHOWN, 1)?;
    let content = writer.finish()?;
    report::flushed("copy.bin", &content);
    ensure(disk_sequence(&lun)? == seen, || {
        "the host saw a change of LUN 0's medium".into()
    })?;
    mount.unmount()?;
    served::remounted_with(&response_name("prompt"))?;
    // That the host counts changes at all.
    ensure(disk_sequence(&lun)? != seen, || {
        "the host does not count changes of the medium".into()
    })?;
    served::ensure_on_stick("copy.bin", &content)?;
    ensure_answered_once("prompt")?;
    ensure(served::logged(&daemon, ANSWERED) == 1, || {
        "the prompt was answered twice".into()
    })?;
    daemon.stop()
}

/// The daemon dies while a viewer on the host has an answer open on LUN 1. The next one leaves that
/// alone, and shows the next answer on the spare.
pub fn killed_under_viewer(_: &Lab) -> Result<()> {
    desktop::start()?;
    let daemon = served::serve()?;
    let mount = served::mounted(How::Flush)?;
    mount.put_synced("prompt.txt", QUESTIONS[0])?;
    served::wait_logged(&daemon, SHOWN, 1)?;
    let lun = Lun::wait(1)?;
    lun.wait_medium(NOTICED_LIMIT)?;
    let viewed = Mount::new(&lun.block()?, How::ReadOnly)?;
    let first = viewed.get(&response_name("prompt"))?.unwrap_or_default();
    ensure(!first.is_empty(), || "LUN 1 has no response".into())?;
    let (seen, seen_zero) = (disk_sequence(&lun)?, disk_sequence(&Lun::wait(0)?)?);
    daemon.kill()?;

    let daemon = served::serve()?;
    served::wait_logged(&daemon, ADOPTED, 1)?;
    mount.put_synced("second.txt", QUESTIONS[1])?;
    served::wait_logged(&daemon, ANSWERED, 1)?;
    let spare = Lun::wait(2)?;
    let took = spare.wait_medium(ANSWER_LIMIT)?;
    report::measured("ready_to_spare", took);
    let on_spare = Mount::new(&spare.block()?, How::ReadOnly)?;
    let names = on_spare.list();
    let wanted = [response_name("prompt"), response_name("second")];
    ensure(wanted.iter().all(|name| names.contains(name)), || {
        format!("the spare holds {names:?}")
    })?;
    let again = viewed.get(&response_name("prompt"))?.unwrap_or_default();
    files::ensure_same("the response that is open", &again, &first)?;
    let now = (disk_sequence(&lun)?, disk_sequence(&Lun::wait(0)?)?);
    ensure(now == (seen, seen_zero), || {
        "a medium in use was changed".into()
    })?;
    for mount in [on_spare, viewed, mount] {
        mount.unmount()?;
    }
    for stem in ["prompt", "second"] {
        served::remounted_with(&response_name(stem))?;
        ensure_answered_once(stem)?;
    }
    daemon.stop()?;
    served::ensure_none_lives()
}

/// The daemon dies, and the next one finds a state folder that it cannot use: the drive, which the
/// host has mounted, goes on as it is, and so does the daemon when the folder is mended.
pub fn killed_and_state_broken(lab: &Lab) -> Result<()> {
    desktop::start()?;
    let daemon = served::serve()?;
    let mount = served::mounted(How::Flush)?;
    mount.put_synced("prompt.txt", QUESTIONS[0])?;
    served::wait_logged(&daemon, ANSWERED, 1)?;
    let lun = Lun::wait(0)?;
    let seen = disk_sequence(&lun)?;
    daemon.kill()?;
    let (state, aside) = (served::image("stick.img.state"), Path::new("/run/state"));
    fs::rename(&state, aside).doing("taking the state folder away")?;
    fs::write(&state, b"not a folder").doing("breaking the state folder")?;

    let daemon = served::serve()?;
    served::wait_logged(&daemon, TROUBLE, 1)?;
    let kept = files::random(lab.seed(), KEPT_BYTES);
    mount.put_synced("kept.bin", &kept)?;
    wait::pass(SEVERAL_ATTEMPTS);
    let still = mount.get("prompt.txt")?.unwrap_or_default();
    files::ensure_same("prompt.txt", &still, QUESTIONS[0])?;
    ensure(disk_sequence(&lun)? == seen, || {
        "the host saw a change of LUN 0's medium".into()
    })?;

    fs::remove_file(&state).doing("mending the state folder")?;
    fs::rename(aside, &state).doing("giving the state folder back")?;
    served::wait_logged(&daemon, READY, 1)?;
    mount.unmount()?;
    served::remounted_with(&response_name("prompt"))?;
    ensure_answered_once("prompt")?;
    served::ensure_on_stick("kept.bin", &kept)?;
    daemon.stop()
}

/// How often the host has seen another medium in a unit (`diskseq`, Linux 5.15).
fn disk_sequence(lun: &Lun) -> Result<String> {
    let block = lun.block()?;
    let name = block.file_name().unwrap_or_default();
    sysfs::read(Path::new("/sys/block").join(name).join("diskseq"))
}

/// A program on the host that writes one file, piece after piece, each of them synced.
struct Writer {
    written: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<()>>,
    content: Vec<u8>,
}

impl Writer {
    /// The file does not grow beyond this; the volume is larger.
    const MOST_BYTES: usize = 40 << 20;
    const PIECE_BYTES: usize = 64 << 10;
    const PAUSE: Duration = Duration::from_millis(40);

    fn start(path: &Path, seed: u64) -> Result<Self> {
        let mut file = File::create(path).doing("creating a file on the volume")?;
        let content = files::random(seed, Self::MOST_BYTES);
        let (written, end) = <(Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
        let thread = thread::spawn({
            let (written, end, content) = (Arc::clone(&written), Arc::clone(&end), content.clone());
            move || {
                for piece in content.chunks(Self::PIECE_BYTES) {
                    if end.load(Ordering::Acquire) {
                        break;
                    }
                    file.write_all(piece)?;
                    file.sync_all()?;
                    written.fetch_add(piece.len(), Ordering::AcqRel);
                    thread::sleep(Self::PAUSE);
                }
                Ok(())
            }
        });
        Ok(Self {
            written,
            end,
            thread,
            content,
        })
    }

    /// Waits until it has written some more.
    fn wait_for_more(&self) -> Result<()> {
        const MORE_BYTES: usize = 4 * Writer::PIECE_BYTES;
        let aim = self.written.load(Ordering::Acquire) + MORE_BYTES;
        let is_there = || self.written.load(Ordering::Acquire) >= aim;
        wait::until_true("the host to write on", NOTICED_LIMIT, is_there)?;
        report::step(format!("the host has written {aim} bytes and goes on"));
        Ok(())
    }

    /// Ends it; what it has written.
    fn finish(self) -> Result<Vec<u8>> {
        self.end.store(true, Ordering::Release);
        let panicked = |_| Failure::Wrong("the writer panicked".into());
        let result = self.thread.join().map_err(panicked)?;
        result.doing("writing to the volume all the while")?;
        let mut content = self.content;
        content.truncate(self.written.load(Ordering::Acquire));
        Ok(content)
    }
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
    let mut daemon = served::serve()?;
    for round in 0..rounds {
        let mount = served::mounted(How::Flush)?;
        let stem = write_prompt(&mount, round, &mut random)?;
        let mount = if random.below(3) == 0 {
            Some(mount)
        } else {
            gone(mount)?
        };
        let moment = Moment::choose(&mut random, mount.is_some());
        report::step(format!("{stem}: killed at {moment:?}"));
        moment.wait(&daemon);
        daemon.kill()?;
        served::ensure_none_lives()?;
        if let Some(mount) = mount {
            mount.unmount()?;
        }
        daemon = served::serve()?;
    }
    let stems: Vec<String> = (0..rounds).map(stem).collect();
    all_answered(&stems)?;
    wait::pass(NO_MORE);
    for stem in &stems {
        ensure_answered_once(stem)?;
        let response = stick::read_file(&stick::image(), &response_name(stem))?;
        ensure(
            response.is_some_and(|response| !response.is_empty()),
            || format!("the response to {stem}.txt is empty"),
        )?;
    }
    daemon.stop()
}

fn stem(round: u64) -> String {
    format!("question {round}")
}

fn gone(mount: Mount) -> Result<Option<Mount>> {
    mount.unmount().map(|()| None)
}

/// A prompt and a file of the host's own, both flushed.
fn write_prompt(mount: &Mount, round: u64, random: &mut Random) -> Result<String> {
    const OWN_BYTES: u64 = 500_000;
    let stem = stem(round);
    let own = format!("photo {round}.bin");
    let len = usize::try_from(random.below(OWN_BYTES)).unwrap_or_default();
    let content = files::random(random.next(), len);
    mount.put(&own, &content)?;
    let prompt = format!("{stem}.txt");
    let question = QUESTIONS
        .iter()
        .cycle()
        .nth(usize::try_from(round).unwrap_or_default());
    let question = question.copied().unwrap_or_default();
    mount.put(&prompt, question)?;
    mount.sync()?;
    report::flushed(&own, &content);
    report::flushed(&prompt, question);
    Ok(stem)
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
            (1, _) => (Sign::Logged(THINKING), 0, 1_500_000),
            (2, _) => (Sign::Logged(ANSWERED), 0, 60_000),
            (_, true) => (Sign::Logged(SHOWN), 0, 300_000),
            (3, false) => (Sign::Logged(PUBLISHED), 0, 300_000),
            (4, false) => (Sign::Logged(PUBLISHED), 2_000_000, 3_200_000),
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
        let journal = served::image("stick.img.journal");
        let start = Instant::now();
        let reached = || match self.after {
            Sign::Now => true,
            Sign::Logged(text) => served::logged(daemon, text) > 0,
            Sign::Journal => journal.exists(),
        };
        while !reached() && start.elapsed() < MOMENT_LIMIT {
            thread::sleep(look);
        }
        wait::pass(self.delay);
    }
}

/// Waits until each of these prompts has a response on the stick.
fn all_answered(stems: &[String]) -> Result<()> {
    let (_, took) = wait::until("all responses", ALL_LIMIT, || {
        // In the middle of a publication the volume may be unreadable for a moment.
        let names = served::names(&stick::image()).unwrap_or_default();
        let done = stems
            .iter()
            .all(|stem| names.contains(&response_name(stem)));
        Ok(done.then_some(()))
    })?;
    report::measured("all_answered", took);
    Ok(())
}
