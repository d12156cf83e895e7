//! Attributes of sysfs and configfs: one small text each. Used by every module that speaks to the
//! kernel.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::error::Doing;

/// Reads an attribute, without the newline at its end.
///
/// # Errors
/// It cannot be read.
pub fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let text = fs::read_to_string(path).doing(format!("reading {}", path.display()))?;
    Ok(text.trim_end().to_owned())
}

/// Writes an attribute in one `write`, as the kernel wants it.
///
/// # Errors
/// The kernel refuses the value (the error number is kept).
pub fn write(path: impl AsRef<Path>, value: &str) -> Result<()> {
    let path = path.as_ref();
    let what = || format!("writing {value:?} to {}", path.display());
    let mut file = OpenOptions::new().write(true).open(path).doing(what())?;
    // An empty value would be no call at all: a newline is how these files take "nothing".
    let value = if value.is_empty() { "\n" } else { value };
    file.write_all(value.as_bytes()).doing(what())
}

/// Names in a folder, sorted; empty where the folder is not there.
pub fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Paths in a folder, sorted by name.
pub fn paths(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let folder = folder.as_ref();
    names(folder).iter().map(|name| folder.join(name)).collect()
}
