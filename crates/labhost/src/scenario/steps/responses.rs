//! What must be on the stick, read from its image beside the host.

use std::fs;

use fatfs::FatType;

use crate::daemon::{self, Daemon};
use crate::error::{Doing, ensure};
use crate::{Failure, Result, files, stick};

/// The name of a prompt without its ending.
fn stem(prompt: &str) -> &str {
    prompt.strip_suffix(".txt").unwrap_or(prompt)
}

/// The name of the first response to `prompt`.
pub fn response_name(prompt: &str) -> String {
    format!("{}.response.txt", stem(prompt))
}

/// A file as it is on the stick now; `None` also where a host is just changing the volume so that
/// it cannot be read.
pub fn on_stick(name: &str) -> Option<Vec<u8>> {
    stick::read_file(&stick::image(), name).ok().flatten()
}

/// Fails unless the file is on the stick with this content.
///
/// # Errors
/// It is not.
pub fn ensure_on_stick(name: &str, content: &[u8]) -> Result<()> {
    let seen = stick::read_file(&stick::image(), name)?;
    let seen = seen.ok_or_else(|| Failure::Wrong(format!("{name} is gone")))?;
    files::ensure_same(name, &seen, content)
}

/// Fails unless `prompt` has one response on the stick, and no error.
///
/// # Errors
/// It has not.
pub fn ensure_answered_once(prompt: &str) -> Result<()> {
    let names = stick::names(&stick::image())?;
    let ours = |name: &&String| {
        let rest = name.strip_prefix(stem(prompt));
        rest.is_some_and(|rest| rest.starts_with(".response") || rest.starts_with(".error"))
    };
    let found: Vec<&String> = names.iter().filter(ours).collect();
    ensure(found == [&response_name(prompt)], || {
        format!("{prompt} has {found:?} instead of one response")
    })
}

/// What the program answers to the same prompt on a plain image: the same prompt gives the same
/// answer.
///
/// # Errors
/// The program failed, or gave none.
pub fn expected_response(name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let folder = std::path::Path::new("/tmp/expected");
    let (image, state) = (folder.join("stick.img"), folder.join("stick.img.state"));
    stick::format(
        &image,
        stick::USUAL_MEBIBYTES,
        FatType::Fat16,
        stick::LABEL,
        &[(name, content)],
    )?;
    if state.exists() {
        fs::remove_dir_all(state).doing("removing the state of an earlier answer")?;
    }
    Daemon::run(&["answer", &image.to_string_lossy(), "--model", daemon::MODEL])?;
    let response = stick::read_file(&image, &response_name(name))?;
    response.ok_or_else(|| Failure::Wrong(format!("no response to {name} on a plain image")))
}

/// The response must be what the program says to the same prompt on a plain image.
///
/// # Errors
/// It is not.
pub fn ensure_expected(name: &str, content: &[u8], response: &[u8]) -> Result<()> {
    let expected = expected_response(name, content)?;
    files::ensure_same(&response_name(name), response, &expected)
}
