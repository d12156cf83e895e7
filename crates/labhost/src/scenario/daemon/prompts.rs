//! More than one prompt, and prompts that change.

use std::fs;
use std::time::Duration;

use crate::error::{Doing, ensure};
use crate::mount::How;
use crate::scenario::Lab;
use crate::scenario::steps::{
    ANSWER_LIMIT, Plugged, QUESTION, QUESTIONS, STORY, SlowBoard, ask, ensure_expected, log,
    make_history, on_stick, response_on,
};
use crate::{Result, files, report, wait};

/// Less than a file on a volume in use has to stay the same.
const BETWEEN_CHANGES: Duration = Duration::from_millis(700);

/// Linux writes a rename up to 35 s late.
const RENAME_LIMIT: Duration = Duration::from_secs(240);

/// Two more prompts arrive while one is being answered.
pub fn queue(_: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    let board = SlowBoard::start();
    stick.ask_and_unmount("first.txt", STORY)?;
    stick.daemon.wait_logged(log::THINKING, ANSWER_LIMIT)?;
    let mount = stick.mount(How::Flush)?;
    ask(&mount, "second.txt", QUESTION)?;
    ask(&mount, "third.txt", QUESTIONS[1])?;
    mount.unmount()?;
    ensure(stick.daemon.times_logged(log::ANSWERED) == 0, || {
        "the first answer was too fast for this scenario".into()
    })?;
    drop(board);
    stick.wait_published(3)?;
    let mount = stick.mount_showing("third.response.txt")?;
    for (name, content) in [
        ("first.txt", STORY),
        ("second.txt", QUESTION),
        ("third.txt", QUESTIONS[1]),
    ] {
        let response = response_on(&mount, name)?;
        ensure_expected(name, content, &response)?;
    }
    mount.unmount()?;
    stick.daemon.stop()
}

/// A prompt is changed while its answer is being made: it is answered once, as it finally was.
pub fn changed(_: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    let mount = stick.mount(How::Flush)?;
    let board = SlowBoard::start();
    mount.put("prompt.txt", STORY)?;
    stick.daemon.wait_logged(log::THINKING, ANSWER_LIMIT)?;
    ask(&mount, "prompt.txt", QUESTION)?;
    stick.daemon.wait_logged(log::CHANGED, ANSWER_LIMIT)?;
    drop(board);
    stick.wait_answered(1)?;
    mount.unmount()?;
    let response = stick.response_after_swap("prompt.txt")?;
    let answered = stick.daemon.times_logged(log::ANSWERED);
    ensure(answered == 1, || {
        format!("{answered} answers to one prompt")
    })?;
    stick.daemon.stop()?;
    ensure_expected("prompt.txt", QUESTION, &response)
}

/// A prompt that waits for its turn is written again and again, so that it has not settled when its
/// turn comes: it does not hold up anything, and is answered once, as it finally was.
pub fn queue_changed(_: &Lab) -> Result<()> {
    const MOST_CHANGES: u32 = 400;
    /// A prompt on a volume that is in use is accepted after 3 s.
    const ACCEPTED: Duration = Duration::from_secs(6);
    let mut stick = Plugged::on_desktop("")?;
    let mount = stick.mount(How::Flush)?;
    let board = SlowBoard::start();
    ask(&mount, "first.txt", STORY)?;
    stick.daemon.wait_logged(log::THINKING, ANSWER_LIMIT)?;
    mount.put("second.txt", QUESTIONS[1])?;
    wait::pass(ACCEPTED);
    ensure(stick.daemon.times_logged(log::ANSWERED) == 0, || {
        "the first answer was too fast for this scenario".into()
    })?;
    drop(board);
    let mut changes = 0;
    while stick.daemon.times_logged(log::ANSWERED) == 0 && changes < MOST_CHANGES {
        changes += 1;
        mount.put("second.txt", format!("Draft {changes}").as_bytes())?;
        wait::pass(BETWEEN_CHANGES);
    }
    report::step(format!("changed {changes} times"));
    ask(&mount, "second.txt", QUESTION)?;
    stick.wait_answered(2)?;
    mount.unmount()?;
    let response = stick.response_after_swap("second.txt")?;
    stick.daemon.stop()?;
    ensure_expected("second.txt", QUESTION, &response)
}

/// An editor saves a prompt as a temporary file that it renames, which Linux writes late: the one
/// prompt that comes of it has one answer.
pub fn rename_save(lab: &Lab) -> Result<()> {
    let mut stick = Plugged::on_desktop("")?;
    let mount = stick.mount(How::Flush)?;
    make_history(&mount, lab)?;
    let temporary = mount.path("prompt.tmp");
    files::write_synced(&temporary, QUESTION)?;
    fs::rename(&temporary, mount.path("prompt.txt")).doing("renaming")?;
    report::step("saved by renaming");
    report::asked("prompt.txt");
    let (_, took) = wait::until("the rename on the stick", RENAME_LIMIT, || {
        Ok(on_stick("prompt.txt"))
    })?;
    report::measured("late_rename", took);
    stick.wait_answered(1)?;
    mount.unmount()?;
    report::flushed("prompt.txt", QUESTION);
    let response = stick.response_after_swap("prompt.txt")?;
    let answered = stick.daemon.times_logged(log::ANSWERED);
    ensure(answered == 1, || {
        format!("{answered} answers to one prompt")
    })?;
    stick.daemon.stop()?;
    ensure_expected("prompt.txt", QUESTION, &response)
}
