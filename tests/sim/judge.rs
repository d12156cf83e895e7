//! What must hold at the end of a history, when the hosts have let go and the device had its time:
//! every file that a host knows to be durable is there bit for bit, every prompt has its one
//! answer, and no tool finds fault with the volume. And what must hold meanwhile: no host is shown
//! an answer to half a prompt.

use std::collections::{BTreeMap, BTreeSet};

use labhost::model::{Blocks, Volume as HostVolume};
use labhost::scsi::BLOCK_BYTES;
use mailbox::{Settings, encode, prompt};
use volume::testing::PagedImage;
use volume::{FatTime, ReadAt as _, RepairLimits, Volume};

use super::engine::{Engine, answer};
use super::host::{Belief, Content, Reading, is_response, prompt_of};

/// Files by their paths.
type Files = BTreeMap<String, Vec<u8>>;

/// What is wrong with what is left of a history.
pub fn judge(image: &PagedImage, belief: &Belief, engine: &Engine) -> Vec<String> {
    let mut faults = judge_files(image, belief, engine);
    whole(image, &mut faults);
    faults
}

/// What is wrong with the files, on a volume that need not be whole.
pub fn judge_files(image: &PagedImage, belief: &Belief, engine: &Engine) -> Vec<String> {
    let mut faults = Vec::new();
    match files(image) {
        Ok(files) => {
            kept(&files, belief, &mut faults);
            answered(&files, belief, engine, &mut faults);
            complained(&files, belief, engine, &mut faults);
        }
        Err(error) => faults.push(format!("the volume cannot be read: {error}")),
    }
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

/// The answers: one to each prompt that is certain, none twice, none to what its prompt never was.
fn answered(files: &Files, belief: &Belief, engine: &Engine, faults: &mut Vec<String>) {
    let mut answers: BTreeMap<String, Vec<(&str, &[u8])>> = BTreeMap::new();
    for (path, content) in files {
        if let Some(prompt) = prompt_of(path)
            && path.contains(".response")
            && !belief.is_touched(path)
            && !belief.is_in_doubt(&prompt)
            && !is_torn(files, belief, &prompt)
        {
            answers.entry(prompt).or_default().push((path, content));
        }
    }
    for (prompt, answers) in &answers {
        let known: Vec<Vec<u8>> = belief
            .contents(prompt)
            .iter()
            .filter_map(response)
            .collect();
        for (at, (path, content)) in answers.iter().enumerate() {
            if !known.iter().any(|known| known == content) {
                faults.push(format!("{path} answers what {prompt} never was"));
            }
            let before = answers[..at].iter().filter(|(_, other)| other == content);
            // What was changed and changed back is asked again.
            let contents = belief.contents(prompt).iter();
            let contents = contents.filter(|content| !content.is_empty());
            let mut asks: Vec<bool> = contents
                .map(|known| response(known).as_deref() == Some(*content))
                .collect();
            asks.dedup();
            let asked = asks.iter().filter(|asks| **asks).count();
            if before.count() >= asked.max(1) {
                faults.push(format!("{path} is there twice"));
            }
        }
    }
    for (path, file) in &belief.files {
        let Some(Some(content)) = file.certain() else {
            continue;
        };
        if !is_prompt(path) || belief.has_deleted_answer_of(path) {
            continue;
        }
        let expected = response(content);
        let newest = answers.get(path).and_then(|answers| {
            let mut answers = answers.clone();
            answers.sort_by_key(|(path, _)| ordinal(path));
            answers.pop()
        });
        let is_answered = newest.is_some_and(|(_, newest)| expected.as_deref() == Some(newest));
        // One that a host was about to delete when it was cut off: it may be whole, or what the cut
        // has left of it, which answers the same prompt as well as a whole one does (SPEC 4.2).
        let is_kept = files.iter().any(|(name, content)| {
            let is_response = name.contains(".response") && prompt_of(name).as_ref() == Some(path);
            let answers = expected.as_ref() == Some(content) || belief.is_same_since_deletion(path);
            is_response && belief.is_in_doubt(name) && answers
        });
        // It may have failed, and been asked again after the power was gone.
        let has_error =
            has_failed(content, engine) && files.keys().any(|name| is_error_of(path, name));
        if !is_answered && !is_kept && !has_error {
            let newest = newest.map(|(name, _)| name);
            faults.push(format!(
                "{path} has no answer; the newest there is {newest:?}"
            ));
        }
    }
}

/// The N of `NAME.response-N.txt`.
fn ordinal(path: &str) -> u32 {
    let number = path
        .strip_suffix(".txt")
        .and_then(|path| path.rsplit_once('-'));
    number
        .and_then(|(_, number)| number.parse().ok())
        .unwrap_or(1)
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
    for path in files.keys().filter(|path| path.contains(".error")) {
        let prompt = prompt_of(path).unwrap_or_default();
        let has_reason = |content| has_failed(content, engine);
        let is_founded = belief.contents(&prompt).iter().any(has_reason);
        let is_torn = is_torn(files, belief, &prompt);
        let is_excused = is_torn || belief.is_touched(path) || belief.is_in_doubt(&prompt);
        if !is_founded && !is_excused {
            faults.push(format!("{path} complains without a reason"));
        }
    }
}

/// Whether a prompt has a name that nobody gave: a cut in the middle of a host's write of names can
/// leave one.
fn is_torn(files: &Files, belief: &Belief, prompt: &str) -> bool {
    files.contains_key(prompt) && !belief.is_touched(prompt) && !is_response(prompt)
}

/// The responses on a volume, and what is wrong with those that are new.
#[derive(Default)]
pub struct Published {
    pub responses: BTreeSet<String>,
    pub faults: Vec<String>,
}

/// What was published just now must be the answer to what its prompt holds just now, and must have
/// cost no file anything; `before` are the responses after the publication before.
pub fn judge_published(
    image: &PagedImage,
    belief: &Belief,
    before: &BTreeSet<String>,
) -> Published {
    let mut published = Published::default();
    let files = match files(image) {
        Ok(files) => files,
        Err(error) => {
            let what = format!("the volume cannot be read after a publication: {error}");
            published.faults.push(what);
            return published;
        }
    };
    kept(&files, belief, &mut published.faults);
    for (path, content) in files.iter().filter(|(path, _)| path.contains(".response")) {
        let prompt = prompt_of(path).unwrap_or_default();
        let now = files.get(&prompt).map(|prompt| prompt.as_slice().into());
        let is_right = now.as_ref().and_then(response).as_ref() == Some(content);
        if !is_right && !before.contains(path) && !belief.is_in_doubt(&prompt) {
            let what = format!("{path} was published, and {prompt} is something else");
            published.faults.push(what);
        }
        published.responses.insert(path.clone());
    }
    published
}

/// What is wrong with what a host was shown on a drive for answers: names there have no folder.
pub fn judge_shown(shown: &Reading, belief: &Belief) -> Option<String> {
    let Reading { path, content, .. } = shown;
    let name = prompt_of(path).filter(|_| path.contains(".response"))?;
    // Two of the same name, from two folders.
    let name = match name
        .strip_suffix(").txt")
        .and_then(|name| name.rsplit_once(" ("))
    {
        Some((name, _)) => format!("{name}.txt"),
        None => name,
    };
    let mut prompts = [name.clone(), format!("prompts/{name}")].into_iter();
    let is_right = |prompt: String| {
        let mut contents = belief.contents(&prompt).iter();
        let is_known = contents.any(|known| response(known).as_ref() == Some(content));
        is_known || (belief.is_touched(&prompt) && belief.is_in_doubt(&prompt))
    };
    // As in `is_torn`.
    let is_strange = !prompts.clone().any(|prompt| belief.is_touched(&prompt));
    let is_right = name.contains('~') || is_strange || prompts.any(is_right);
    (!is_right).then(|| format!("{path} was shown, the answer to half a prompt"))
}

/// Whether a file that a host wrote is a prompt.
fn is_prompt(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let folder = path.strip_suffix(name).unwrap_or_default();
    let is_ours = is_response(path) || name.starts_with("._");
    name.ends_with(".txt") && !is_ours && matches!(folder, "" | "prompts/")
}

fn is_error_of(prompt: &str, path: &str) -> bool {
    let stem = prompt.strip_suffix(".txt").unwrap_or(prompt);
    path.strip_prefix(stem)
        .is_some_and(|rest| rest.starts_with(".error"))
}

/// No tool finds fault: ours here, `fsck.fat` in [`fsck`].
pub fn whole(image: &PagedImage, faults: &mut Vec<String>) {
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
