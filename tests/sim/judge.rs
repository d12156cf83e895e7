//! What must hold at the end of a history, when the hosts have let go and the device had its time:
//! every file that a host knows to be durable is there bit for bit, every prompt has its one
//! answer, and no tool finds fault with the volume. And what must hold meanwhile: no host is shown an
//! answer to half a prompt.

use std::collections::BTreeMap;

use labhost::model::{Blocks, Volume as HostVolume};
use labhost::scsi::BLOCK_BYTES;
use mailbox::{Settings, encode, prompt};
use volume::testing::PagedImage;
use volume::{FatTime, ReadAt as _, RepairLimits, Volume};

use super::engine::{Engine, answer};
use super::host::{Belief, Content, Reading};

/// Files by their paths.
type Files = BTreeMap<String, Vec<u8>>;

/// What is wrong with what is left of a history.
pub fn judge(image: &PagedImage, belief: &Belief, engine: &Engine) -> Vec<String> {
    let mut faults = Vec::new();
    match files(image) {
        Ok(files) => {
            kept(&files, belief, &mut faults);
            answered(&files, belief, engine, &mut faults);
            complained(&files, belief, engine, &mut faults);
        }
        Err(error) => faults.push(format!("the volume cannot be read: {error}")),
    }
    whole(image, &mut faults);
    faults
}

/// Every file, as `fatfs` reads it.
pub fn files(image: &PagedImage) -> labhost::Result<Files> {
    let mut volume = HostVolume::open(&Snapshot(image.clone()))?;
    let mut files = Files::new();
    for entry in volume.list_all()? {
        if !entry.is_folder {
            let content = volume.get(&entry.path)?.unwrap_or_default();
            files.insert(entry.path, content);
        }
    }
    Ok(files)
}

/// The hosts' files.
fn kept(files: &Files, belief: &Belief, faults: &mut Vec<String>) {
    for (path, file) in &belief.files {
        let found = files.get(path).map(Vec::as_slice);
        match file.certain() {
            Some(expected) if expected.map(AsRef::as_ref) != found => {
                let len = |content: Option<&[u8]>| content.map(<[u8]>::len);
                faults.push(format!(
                    "{path}: {:?} bytes were flushed, {:?} are there",
                    len(expected.map(AsRef::as_ref)),
                    len(found),
                ));
            }
            _ => {}
        }
    }
}

/// The answers: one to each prompt that is certain, none twice, none to what was no whole prompt.
fn answered(files: &Files, belief: &Belief, engine: &Engine, faults: &mut Vec<String>) {
    let mut counts: BTreeMap<&[u8], Vec<&str>> = BTreeMap::new();
    let responses = files.iter().filter(|(path, _)| path.contains(".response"));
    for (path, content) in responses {
        counts.entry(content).or_default().push(path);
    }
    for (content, paths) in &counts {
        let is_anything = |path: &&str| belief.is_touched(path) || belief.is_in_doubt(path);
        if paths.len() > 1 && !paths.iter().any(is_anything) {
            faults.push(format!(
                "one answer, {} bytes, is there as {paths:?}",
                content.len()
            ));
        }
    }
    let known: Vec<Vec<u8>> = belief.ever.iter().filter_map(response).collect();
    for (content, paths) in &counts {
        let is_known = known.iter().any(|known| known == content);
        if !is_known && !belief.is_touched(paths[0]) && !belief.is_in_doubt(paths[0]) {
            faults.push(format!(
                "{paths:?} answers what no host has written as a whole"
            ));
        }
    }
    for (path, file) in &belief.files {
        let Some(Some(content)) = file.certain() else {
            continue;
        };
        if !is_prompt(path) {
            continue;
        }
        let has_answer = response(content).is_some_and(|answer| counts.contains_key(&answer[..]));
        // It may have failed, and been asked again after the power was gone.
        let has_error =
            has_failed(content, engine) && files.keys().any(|name| is_error_of(path, name));
        if !has_answer && !has_error && !belief.has_deleted_answer_of(path) {
            faults.push(format!("{path} has no answer"));
        }
    }
}

/// Whether the engine has failed at it at least once.
fn has_failed(content: &Content, engine: &Engine) -> bool {
    question(content).is_some_and(|question| engine.has_failed(&question.text))
}

/// The answer's bytes.
pub fn response(content: &Content) -> Option<Vec<u8>> {
    let question = question(content)?;
    let text = answer(&question.text);
    Some(encode(&format!("{}\n", text.trim()), question.form))
}

fn question(content: &Content) -> Option<prompt::Question> {
    prompt::read("prompt.txt", false, content, &Settings::default()).ok()
}

/// Complaints about prompts that nothing is wrong with.
fn complained(files: &Files, belief: &Belief, engine: &Engine, faults: &mut Vec<String>) {
    let errors = files.keys().filter(|path| path.contains(".error"));
    let unfounded = errors.filter(|path| {
        !engine.has_ever_failed() && !belief.is_touched(path) && !belief.is_in_doubt(path)
    });
    faults.extend(unfounded.map(|path| format!("{path} complains without a reason")));
}

/// The answers to all that was ever written as a whole; remembers them.
#[derive(Default)]
pub struct Known {
    answers: Vec<Vec<u8>>,
    contents: usize,
}

impl Known {
    /// What is wrong with what a host was shown on a drive for answers.
    pub fn judge(&mut self, shown: &Reading, belief: &Belief) -> Option<String> {
        let Reading { path, content, .. } = shown;
        if !path.contains(".response") || belief.is_in_doubt(path) {
            return None;
        }
        let fresh = belief.ever.get(self.contents..).unwrap_or_default();
        self.answers.extend(fresh.iter().filter_map(response));
        self.contents = belief.ever.len();
        let is_known = self.answers.contains(content);
        (!is_known).then(|| format!("{path} was shown, the answer to half a prompt"))
    }
}

/// Whether a file that a host wrote is a prompt.
fn is_prompt(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let folder = path.strip_suffix(name).unwrap_or_default();
    let is_ours = super::host::is_response(path) || name.starts_with("._");
    name.ends_with(".txt") && !is_ours && matches!(folder, "" | "prompts/")
}

fn is_error_of(prompt: &str, path: &str) -> bool {
    let stem = prompt.strip_suffix(".txt").unwrap_or(prompt);
    path.strip_prefix(stem)
        .is_some_and(|rest| rest.starts_with(".error"))
}

/// No tool finds fault: ours here, `fsck.fat` in [`fsck`].
fn whole(image: &PagedImage, faults: &mut Vec<String>) {
    let repaired = Volume::open(image)
        .map_err(|error| error.to_string())
        .and_then(|volume| {
            let repair = volume.repair(RepairLimits::default(), FatTime::FIRST);
            repair.map_err(|error| error.to_string())
        });
    match repaired {
        Ok(repair) if repair.changes.is_empty() => {}
        Ok(repair) => faults.push(format!("not whole: {:?}", repair.report)),
        Err(error) => faults.push(format!("not whole: {error}")),
    }
}

/// What `fsck.fat -n` says, if it finds fault.
pub fn fsck(image: &PagedImage) -> Option<String> {
    let mut bytes = vec![0; usize::try_from(image.len()).unwrap()];
    image.read_at(0, &mut bytes).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let mut fsck = super::tool::command("fsck.fat");
    let output = super::tool::output(fsck.arg("-n").arg(file.path()), b"");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (!output.status.success()).then_some(said)
}

/// An image as a host's block device.
#[derive(Clone)]
struct Snapshot(PagedImage);

impl Blocks for Snapshot {
    fn read(&self, block: u32, data: &mut [u8]) -> labhost::Result<()> {
        let offset = u64::from(block) * BLOCK_BYTES as u64;
        let read = self.0.read_at(offset, data);
        read.map_err(|error| labhost::Failure::Wrong(error.to_string()))
    }

    fn write(&self, _: u32, _: &[u8]) -> labhost::Result<()> {
        Err(labhost::Failure::Wrong("a snapshot is not written".into()))
    }

    fn count(&self) -> labhost::Result<u32> {
        Ok(u32::try_from(self.0.len() / BLOCK_BYTES as u64).unwrap())
    }
}
