//! What must hold for a stick that has finished what cuts of its power had left open. Used by
//! [`torture`](super).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use labhost::files::sha256;
use labhost::scenario::torture::expected_file;
use labhost::stick;

use crate::error::At;
use crate::{Result, tool};

/// The image of LUN 0 among the exported files.
const STICK: &str = "stick.img";

/// What the host relies on.
#[derive(Debug, Default, Clone)]
pub struct Promises {
    /// Files that it has flushed: path and SHA-256.
    pub flushed: BTreeMap<String, String>,
    /// Prompts that it has flushed.
    pub asked: BTreeSet<String>,
}

/// What of that does not hold for the exported files; `image` is where the volume is put for that.
///
/// # Errors
/// A tool is missing, or there is no room.
pub fn losses(
    files: &BTreeMap<String, Vec<u8>>,
    promises: &Promises,
    image: &Path,
) -> Result<Vec<String>> {
    let Some(bytes) = files.get(STICK) else {
        return Ok(vec!["the volume's image is gone".to_owned()]);
    };
    fs::write(image, bytes).at(image)?;
    let mut losses = Vec::new();
    let fsck = tool::run(tool::command("fsck.fat").arg("-n").arg(image));
    match fsck {
        Err(crate::LabError::Failed { said, status, .. }) => {
            losses.push(format!("fsck.fat is not content ({status}): {said}"));
        }
        result => drop(result?),
    }
    for (path, expected) in &promises.flushed {
        match read(image, path) {
            Ok(content) if sha256(&content) == *expected => {}
            Ok(_) => losses.push(format!("{path} is not as the host flushed it")),
            Err(why) => losses.push(format!("{path}, which the host had flushed: {why}")),
        }
    }
    let names = stick::names(image).unwrap_or_default();
    for prompt in prompts(&names).chain(promises.asked.iter().map(String::as_str)) {
        let is_promised = promises.asked.contains(prompt);
        losses.extend(wrong_answer(files, image, &names, prompt, is_promised));
    }
    losses.sort();
    losses.dedup();
    Ok(losses)
}

fn read(image: &Path, path: &str) -> std::result::Result<Vec<u8>, String> {
    let content = stick::read_file(image, path).map_err(|error| error.to_string())?;
    content.ok_or_else(|| "it is gone".to_owned())
}

/// Prompts on the volume, promised or not.
fn prompts(names: &[String]) -> impl Iterator<Item = &str> {
    let is_prompt = |name: &&String| name.starts_with('q') && name.matches('.').count() == 1;
    names.iter().filter(is_prompt).map(String::as_str)
}

/// A promised prompt has one answer, the right one; another one has it or none, or an error: it may
/// have been cut short.
fn wrong_answer(
    files: &BTreeMap<String, Vec<u8>>,
    image: &Path,
    names: &[String],
    prompt: &str,
    is_promised: bool,
) -> Option<String> {
    let stem = prompt.strip_suffix("txt").unwrap_or(prompt);
    let answers: Vec<&String> = names
        .iter()
        .filter(|name| name.strip_prefix(stem).is_some_and(|rest| rest != "txt"))
        .collect();
    let response = format!("{stem}response.txt");
    match &answers[..] {
        [] if !is_promised => None,
        [only] if **only == response => {
            let expected = files.get(&expected_file(prompt));
            let is_right = read(image, &response).ok().as_ref() == expected;
            (is_promised && !is_right).then(|| format!("{response} is not the right one"))
        }
        [_] if !is_promised => None,
        _ => Some(format!("{prompt} has these answers: {answers:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use labhost::stick::FatType;

    const PROMPT: &str = "q1-0.txt";

    fn losses_of(on_stick: &[(&str, &[u8])], asked: bool) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let image = folder.path().join("a.img");
        stick::format(&image, 16, FatType::Fat16, "X", on_stick).expect("room");
        let files = BTreeMap::from([
            (STICK.to_owned(), fs::read(&image).expect("it")),
            (expected_file(PROMPT), b"42".to_vec()),
        ]);
        let mut promises = Promises::default();
        promises.flushed.insert("own.bin".into(), sha256(b"own"));
        if asked {
            promises.asked.insert(PROMPT.into());
        }
        losses(&files, &promises, &folder.path().join("b.img")).expect("fsck.fat")
    }

    #[test]
    fn what_is_promised_must_be_there() {
        let own = ("own.bin", &b"own"[..]);
        let ask = (PROMPT, &b"Why?"[..]);
        let right = ("q1-0.response.txt", &b"42"[..]);
        let again = ("q1-0.response-2.txt", &b"42"[..]);
        assert_eq!(losses_of(&[own, ask, right], true), [""; 0]);
        assert_eq!(losses_of(&[own, ask], false), [""; 0]);
        type Case<'a> = (&'a [(&'a str, &'a [u8])], &'a str);
        let cases: [Case<'_>; 5] = [
            (&[ask, right], "own.bin"),
            (&[("own.bin", b"oxn"), ask, right], "own.bin is not"),
            (&[own, ask], "has these answers: []"),
            (&[own, ask, right, again], "response-2"),
            (
                &[own, ask, ("q1-0.response.txt", b"43")],
                "not the right one",
            ),
        ];
        for (on_stick, wanted) in cases {
            let losses = losses_of(on_stick, true);
            let [only] = &losses[..] else {
                panic!("{losses:?}");
            };
            assert!(only.contains(wanted), "{only}");
        }
    }

    #[test]
    fn a_volume_that_is_not_whole_is_a_loss() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let image = folder.path().join("a.img");
        let none = losses(&BTreeMap::new(), &Promises::default(), &image).expect("fsck.fat");
        assert_eq!(none.len(), 1);
        stick::format(&image, 16, FatType::Fat16, "X", &[]).expect("room");
        let mut bytes = fs::read(&image).expect("it");
        // The second table, in which every cluster is free by now.
        bytes[600..700].fill(0xff);
        let files = BTreeMap::from([(STICK.to_owned(), bytes)]);
        let torn = losses(&files, &Promises::default(), &image).expect("fsck.fat");
        assert!(torn[0].contains("fsck.fat"), "{torn:?}");
    }
}
