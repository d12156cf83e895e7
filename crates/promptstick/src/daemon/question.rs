//! Reads a prompt from the volume when its turn has come. It is believed only if it still is what
//! was accepted.

use mailbox::limits::PROMPT_LIMIT_BYTES;
use mailbox::prompt::{self, Refusal};
use mailbox::{Complaint, Digest, Job, Settings, TextForm};
use volume::{Entry, ReadAt, ReadError, Volume};

/// What came of it.
pub enum Question {
    /// It can be put to the model.
    Asks(prompt::Question),
    /// It cannot, and this is why.
    Refused(Refusal),
    /// It is not there, or not the same any more.
    Changed,
}

/// Reads the prompt of `job`; `stick` are the settings in force.
///
/// # Errors
/// The device failed.
pub fn read<D: ReadAt>(
    volume: &Volume<D>,
    job: &Job,
    stick: &Settings,
) -> Result<Question, ReadError> {
    let entry = match volume.find(&job.path) {
        Ok(Some(entry)) => entry,
        Err(error @ ReadError::Io(_)) => return Err(error),
        Ok(None) | Err(_) => return Ok(Question::Changed),
    };
    let stamp = scan::stamp(&entry);
    if job.digest == scan::digest_of_damaged(stamp) {
        // A file that turns out to be whole was mended meanwhile, in the table alone.
        let why = why_damaged(volume, entry)?;
        return Ok(why.map_or(Question::Changed, |why| refuse(Complaint::Damaged { why })));
    }
    if job.digest == scan::digest_of_large(stamp) {
        return Ok(refuse(Complaint::TooLarge {
            bytes: u64::from(entry.len_bytes),
            limit_bytes: PROMPT_LIMIT_BYTES,
        }));
    }
    let content = scan::content(volume, &entry)?;
    let Some(content) = content.filter(|content| Digest::of(content) == job.digest) else {
        return Ok(Question::Changed);
    };
    Ok(match prompt::read(&job.path, job.named, &content, stick) {
        Ok(question) => Question::Asks(question),
        Err(refusal) => Question::Refused(refusal),
    })
}

/// What is wrong with a file, if it still is.
fn why_damaged<D: ReadAt>(volume: &Volume<D>, entry: Entry) -> Result<Option<String>, ReadError> {
    match volume.inspect(&[entry]) {
        Ok(inspections) => {
            let mut problems = inspections.iter().flat_map(|found| &found.problems);
            Ok(problems.next().map(ToString::to_string))
        }
        Err(error @ ReadError::Io(_)) => Err(error),
        Err(error) => Ok(Some(error.to_string())),
    }
}

fn refuse(complaint: Complaint) -> Question {
    Question::Refused(Refusal {
        complaint,
        form: TextForm::default(),
    })
}
