//! A host that lets go of the medium although it has not finished a file: no lock, no mark, and a
//! directory entry whose clusters the table does not know yet.

use std::time::{Duration, Instant};

use super::Lab;
use super::steps::{self, ANSWER_LIMIT, QUESTIONS, ensure_answered_once, log, response_name};
use crate::error::ensure;
use crate::model::{Careless, Host};
use crate::{Result, files, report};

/// Longer than the host takes for anything by itself.
const LIMIT: Duration = Duration::from_secs(60);

/// Longer than all waiting times of the daemon but the one for what stays damaged.
const LEFT_ALONE: Duration = Duration::from_secs(20);

/// The answer to a whole prompt waits while another file is unfinished: nothing is written next to
/// it, and the host never misses the medium. When the file is whole, both prompts have answers.
pub fn given_back(lab: &Lab) -> Result<()> {
    let mut daemon = steps::serve()?;
    let mut host = Careless::plug_in(LIMIT)?;
    let changes = host.changes();
    // Until there is an answer, however long that takes: a file that stays unfinished for 65 s
    // counts as damaged.
    host.lock(true)?;
    let photos = files::random(lab.seed(), 300_000);
    host.put("photos.bin", &photos)?;
    host.put("prompt.txt", QUESTIONS[0])?;
    daemon.wait_logged(log::ANSWERED, ANSWER_LIMIT)?;
    host.put_entry_first("second.txt", QUESTIONS[1])?;
    host.lock(false)?;
    daemon.wait_logged(log::UNFINISHED, ANSWER_LIMIT)?;

    let end = Instant::now() + LEFT_ALONE;
    host.until("the time to pass", LEFT_ALONE + LIMIT, |host| {
        ensure(host.is_there() && host.changes() == changes, || {
            "the medium was taken from the host".into()
        })?;
        Ok((Instant::now() >= end).then_some(()))
    })?;
    let (attempts, published) = (
        daemon.times_logged(log::UNFINISHED),
        daemon.times_logged(log::PUBLISHED),
    );
    ensure((attempts, published) == (1, 0), || {
        format!("wanted {attempts} times and published {published} times beside unfinished work")
    })?;

    let finished = Instant::now();
    host.finish("second.txt", QUESTIONS[1])?;
    for prompt in ["prompt.txt", "second.txt"] {
        let name = response_name(prompt);
        let (response, _) = host.until(&name, ANSWER_LIMIT, |host| host.get(&name))?;
        report::measured(&name, finished.elapsed());
        ensure(!response.is_empty(), || format!("{name} is empty"))?;
        ensure_answered_once(prompt)?;
    }
    daemon.stop()
}
