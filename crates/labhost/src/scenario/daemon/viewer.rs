//! A host that keeps the volume, reads answers on the other drives, and keeps them open.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::time::{Duration, Instant};

use crate::error::{Doing, ensure};
use crate::lun::Lun;
use crate::mount::{How, Mount};
use crate::scenario::Lab;
use crate::scenario::steps::{
    ANSWER_LIMIT, Plugged, QUESTION, QUESTIONS, QUIET_WATCH, STORY, SWAP_LIMIT, SlowBoard, answers,
    ask, ensure_expected, inserted, log, response_name, response_on,
};
use crate::{Result, files, report, wait};

/// A screen, for the status file.
const SCREEN_LINES: usize = 24;
const SCREEN_COLUMNS: usize = 79;

/// The first bytes of an image: no text (PNG specification, 5.2).
const NO_TEXT: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

/// What begins the only line of a partial response that is not the model's.
const NOT_COMPLETE: &str = "\r\n\r\n[not complete";

/// Prompts of one scenario.
const PROMPTS: [(&str, &[u8]); 3] = [
    ("first.txt", QUESTION),
    ("second.txt", QUESTIONS[1]),
    ("third.txt", QUESTIONS[2]),
];

/// All files that were ever seen on the drives for answers: a name means one content for ever.
#[derive(Default)]
struct Seen(BTreeMap<String, Vec<u8>>);

impl Seen {
    /// Reads everything on a drive; a file that was seen before must be as it was.
    fn look(&mut self, mount: &Mount) -> Result<()> {
        for name in mount.list() {
            let content = mount.get(&name)?.unwrap_or_default();
            self.note(name, content)?;
        }
        Ok(())
    }

    /// As [`Self::look`], where the medium was torn from under the mount: what can still be read
    /// must be right.
    fn look_at_ruins(&mut self, mount: &Mount) -> Result<()> {
        for name in mount.list() {
            match mount.get(&name) {
                Ok(content) => self.note(name, content.unwrap_or_default())?,
                Err(error) => report::step(format!("cannot be read any more: {error}")),
            }
        }
        Ok(())
    }

    fn note(&mut self, name: String, content: Vec<u8>) -> Result<()> {
        if let Some(known) = self.0.get(&name) {
            return files::ensure_same(&name, &content, known);
        }
        report::step(format!("new: {name}, {} bytes", content.len()));
        if name.starts_with("STATUS-") {
            ensure_screen(&name, &content)?;
        }
        self.0.insert(name, content);
        Ok(())
    }

    fn text(&self, name: &str) -> String {
        let content = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        String::from_utf8_lossy(content).into_owned()
    }

    /// The newest status file.
    fn status(&self) -> String {
        let names = self.0.keys().filter(|name| name.starts_with("STATUS-"));
        names.max().map(|name| self.text(name)).unwrap_or_default()
    }

    /// Each response must be what the program says on a plain image.
    fn ensure_all_expected(&self) -> Result<()> {
        for (name, content) in PROMPTS {
            let response = self.0.get(&response_name(name));
            ensure_expected(
                name,
                content,
                response.map(Vec::as_slice).unwrap_or_default(),
            )?;
        }
        Ok(())
    }
}

fn ensure_screen(name: &str, content: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(content);
    report::step(format!("{name}: {text}"));
    let fits = text.lines().count() <= SCREEN_LINES
        && text
            .lines()
            .all(|line| line.chars().count() <= SCREEN_COLUMNS);
    ensure(fits, || format!("{name} is larger than a screen"))?;
    ensure_says(&text, &["promptstick ", "Free space on PROMPTSTICK: "])
}

fn ensure_says(text: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure(text.contains(word), || {
            format!("the status does not say {word:?}: {text}")
        })?;
    }
    Ok(())
}

/// An answer on a drive for answers, which a viewer has open.
struct Viewer {
    mount: Mount,
    file: File,
    content: Vec<u8>,
}

impl Viewer {
    /// Asks, waits for the answer on this drive, and opens it.
    fn open(stick: &mut Plugged, volume: &Mount, number: u8, seen: &mut Seen) -> Result<Self> {
        let (name, content) = PROMPTS[usize::from(number) - 1];
        ask(volume, name, content)?;
        let ready = stick.wait_answered(number.into())?;
        let mount = answers(number)?;
        let content = response_on(&mount, name)?;
        report::measured(&format!("lun{number}_readable"), ready.elapsed());
        seen.look(&mount)?;
        let path = mount.path(&response_name(name));
        let file = File::open(&path).doing(format!("opening {}", path.display()))?;
        Ok(Self {
            mount,
            file,
            content,
        })
    }

    /// What the viewer has open still reads as it did.
    fn ensure_same(&mut self) -> Result<()> {
        let mut content = Vec::new();
        self.file.rewind().doing("rewinding the open answer")?;
        let read = self.file.read_to_end(&mut content);
        read.doing("reading the open answer again")?;
        files::ensure_same("the open answer", &content, &self.content)
    }

    /// Closes the file and unmounts the drive.
    fn close(self) -> Result<()> {
        drop(self.file);
        self.mount.unmount()
    }
}

/// Viewers keep both drives for answers: the second answer comes on the spare, the third waits
/// until one of them is closed.
pub fn pinned(_: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    let volume = stick.mount(How::Flush)?;
    let mut seen = Seen::default();
    let mut first = Viewer::open(&mut stick, &volume, 1, &mut seen)?;
    let mut second = Viewer::open(&mut stick, &volume, 2, &mut seen)?;
    let (name, content) = PROMPTS[2];
    ask(&volume, name, content)?;
    stick.wait_answered(3)?;
    let before = [
        Lun::wait(1)?.medium_number()?,
        Lun::wait(2)?.medium_number()?,
    ];
    wait::watch(QUIET_WATCH, || {
        ensure(!inserted(1)?.is_empty() && !inserted(2)?.is_empty(), || {
            "a medium was taken from a viewer".into()
        })
    })?;
    let after = [
        Lun::wait(1)?.medium_number()?,
        Lun::wait(2)?.medium_number()?,
    ];
    ensure(before == after, || "a medium of a viewer changed".into())?;
    first.ensure_same()?;
    second.ensure_same()?;
    first.close()?;
    let start = Instant::now();
    let mount = swapped(1)?;
    response_on(&mount, name)?;
    report::measured("shown_after_close", start.elapsed());
    seen.look(&mount)?;
    second.ensure_same()?;
    ensure(stick.daemon.times_logged(log::FORCED) == 0, || {
        "something was forced".into()
    })?;
    mount.unmount()?;
    second.close()?;
    finish(stick, volume, &seen)
}

/// The same where the operator allows force after 10 s.
pub fn forced(_: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("force_answers_s = 10")?;
    let volume = stick.mount(How::Flush)?;
    let mut seen = Seen::default();
    let first = Viewer::open(&mut stick, &volume, 1, &mut seen)?;
    let mut second = Viewer::open(&mut stick, &volume, 2, &mut seen)?;
    let (name, content) = PROMPTS[2];
    ask(&volume, name, content)?;
    let ready = stick.wait_answered(3)?;
    stick.daemon.wait_logged(log::FORCED, SWAP_LIMIT)?;
    report::measured("forced_after", ready.elapsed());
    wait::until("the drive to be filled again", SWAP_LIMIT, || {
        Ok((!inserted(1)?.is_empty()).then_some(()))
    })?;
    seen.look_at_ruins(&first.mount)?;
    second.ensure_same()?;
    first.close()?;
    let (mount, _) = wait::until("the third answer", ANSWER_LIMIT, || {
        let mount = answers(1)?;
        if mount.get(&response_name(name))?.is_some() {
            return Ok(Some(mount));
        }
        mount.unmount().map(|()| None)
    })?;
    seen.look(&mount)?;
    second.ensure_same()?;
    mount.unmount()?;
    second.close()?;
    finish(stick, volume, &seen)
}

/// A response in work is shown every 10 s, each time under a new name.
pub fn progress(_: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("progress_s = 10")?;
    let volume = stick.mount(How::Flush)?;
    let mut seen = Seen::default();
    let board = SlowBoard::start();
    ask(&volume, "story.txt", STORY)?;
    stick.daemon.wait_logged(log::THINKING, ANSWER_LIMIT)?;
    let partials = |seen: &Seen| -> Vec<String> {
        let names = seen.0.keys().filter(|name| name.contains(".partial-"));
        names.map(|name| seen.text(name)).collect()
    };
    wait::until("two partial responses", ANSWER_LIMIT, || {
        let mount = answers(1)?;
        seen.look(&mount)?;
        mount.unmount()?;
        if partials(&seen).len() < 2 {
            wait::pass(Duration::from_secs(1));
            return Ok(None);
        }
        Ok(Some(()))
    })?;
    ensure_says(&seen.status(), &["Thinking: story.txt", "tokens/s"])?;
    drop(board);
    stick.wait_answered(1)?;
    volume.unmount()?;
    let response = stick.response_after_swap("story.txt")?;
    let response = String::from_utf8_lossy(&response).into_owned();
    for partial in partials(&seen) {
        let text = partial.split(NOT_COMPLETE).next().unwrap_or_default();
        ensure(response.starts_with(text), || {
            format!("a partial response is not the beginning of the whole one: {text:?}")
        })?;
    }
    stick.daemon.stop()
}

/// What the status file says: ready, the model, free space, and an error.
pub fn status(_: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    let volume = stick.mount(How::Flush)?;
    ask(&volume, "good.txt", QUESTION)?;
    stick.wait_answered(1)?;
    ask(&volume, "bad.txt", NO_TEXT)?;
    stick.daemon.wait_logged(log::REFUSED, ANSWER_LIMIT)?;
    let mut seen = Seen::default();
    wait::until("the error on the second drive", ANSWER_LIMIT, || {
        let mount = answers(1)?;
        seen.look(&mount)?;
        mount.unmount()?;
        wait::pass(Duration::from_secs(1));
        Ok(seen.0.contains_key("bad.error.txt").then_some(()))
    })?;
    let says = ["Ready: no prompt", "Queue: empty", "Model: ", "bad.txt"];
    ensure_says(&seen.status(), &says)?;
    volume.unmount()?;
    stick.response_after_swap("good.txt")?;
    stick.daemon.stop()
}

/// Waits until a drive for answers has been emptied and filled again, and mounts it.
fn swapped(number: u8) -> Result<Mount> {
    let what = format!("LUN {number} to be emptied");
    wait::until_true(&what, SWAP_LIMIT, || !Lun::sees_medium(number))?;
    answers(number)
}

/// Unmounts LUN 0: all three responses appear there, as they were shown.
fn finish(mut stick: Plugged, volume: Mount, seen: &Seen) -> Result<()> {
    volume.unmount()?;
    stick.wait_swapped()?;
    let mount = stick.mount(How::Flush)?;
    for (name, _) in PROMPTS {
        let shown = seen.0.get(&response_name(name));
        let response = response_on(&mount, name)?;
        let shown = shown.map(Vec::as_slice).unwrap_or_default();
        files::ensure_same(name, &response, shown)?;
    }
    mount.unmount()?;
    stick.daemon.stop()?;
    seen.ensure_all_expected()
}
