//! Reads a prompt from the volume when its turn has come. It is believed only if it still is what
//! was accepted.

use mailbox::limits::PROMPT_LIMIT_BYTES;
use mailbox::prompt::{self, Refusal};
use mailbox::{Complaint, Job, Settings, TextForm};
use volume::{ReadAt, ReadError, Volume};

use super::scan;

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
    let inspection = volume.inspect(std::slice::from_ref(&entry))?.remove(0);
    let consistent = scan::is_believable(&inspection, false);
    let content = if consistent {
        scan::content(volume, &entry)?
    } else {
        None
    };
    if scan::digest(content.as_deref(), consistent, scan::stamp(&entry)) != job.digest {
        return Ok(Question::Changed);
    }
    Ok(match content {
        Some(content) => match prompt::read(&job.path, job.named, &content, stick) {
            Ok(question) => Question::Asks(question),
            Err(refusal) => Question::Refused(refusal),
        },
        None if consistent => refuse(Complaint::TooLarge {
            bytes: u64::from(entry.len_bytes),
            limit_bytes: PROMPT_LIMIT_BYTES,
        }),
        None => {
            let why = inspection
                .problems
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            refuse(Complaint::Damaged { why })
        }
    })
}

fn refuse(complaint: Complaint) -> Question {
    Question::Refused(Refusal {
        complaint,
        form: TextForm::default(),
    })
}
