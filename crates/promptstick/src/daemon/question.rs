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

#[cfg(test)]
mod tests {
    use mailbox::JobId;
    use volume::{FatTime, FormatOptions, WriteAt as _};

    use super::*;

    const PATH: &str = "prompt.txt";
    const CLUSTER_BYTES: u32 = 512;

    /// A volume with a prompt of two clusters.
    fn image() -> Vec<u8> {
        let mut image = vec![0; 3 << 20];
        let options = FormatOptions {
            cluster_bytes: Some(CLUSTER_BYTES),
            ..FormatOptions::default()
        };
        volume::format(&mut image, &options).expect("room");
        let changes = {
            let volume = Volume::open(&image).expect("a volume");
            let mut edit = volume.edit();
            let prompt = [b'?'; CLUSTER_BYTES as usize + 1];
            edit.create(PATH, &prompt, FatTime::FIRST).expect("room");
            edit.finish().expect("changes")
        };
        for sector in changes.sectors() {
            let written = image.write_at(sector.offset_bytes, &sector.after);
            written.expect("in memory");
        }
        image
    }

    /// The prompt as it is accepted when its clusters are not those of its length.
    fn damaged_job(image: &Vec<u8>) -> Job {
        let entry = Volume::open(image).expect("a volume").find(PATH);
        let entry = entry.expect("readable").expect("the prompt");
        let stamp = scan::stamp(&entry);
        Job {
            id: JobId(1),
            path: PATH.into(),
            digest: scan::digest_of_damaged(stamp),
            stamp,
            named: false,
        }
    }

    fn read_from(image: &Vec<u8>, job: &Job) -> Question {
        let volume = Volume::open(image).expect("a volume");
        read(&volume, job, &Settings::default()).expect("in memory")
    }

    /// Where the first table says what follows the prompt's first cluster.
    fn link_offset(image: &Vec<u8>) -> usize {
        let volume = Volume::open(image).expect("a volume");
        let entry = volume.find(PATH).expect("readable").expect("the prompt");
        let table = volume.geometry().fat_offset_bytes;
        usize::try_from(table).expect("small") + 2 * entry.first_cluster as usize
    }

    #[test]
    fn what_counted_as_damaged_is_refused_only_while_it_is() {
        let mut image = image();
        let job = damaged_job(&image);
        let link = link_offset(&image);
        let next = [image[link], image[link + 1]];
        image[link..link + 2].copy_from_slice(&[0xFF; 2]);
        let refused = read_from(&image, &job);
        assert!(matches!(
            refused,
            Question::Refused(Refusal {
                complaint: Complaint::Damaged { .. },
                ..
            })
        ));
        // A host writes its table later than its directory.
        image[link..link + 2].copy_from_slice(&next);
        assert!(matches!(read_from(&image, &job), Question::Changed));
    }
}
