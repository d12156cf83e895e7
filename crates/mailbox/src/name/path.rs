//! Parts of a path on the volume.
//!
//! Invariant: nothing here fails; a path that is not ours simply has no folder of ours.

use super::fold;

/// The folders that are looked into, and no others: the root, `prompts`, `ask`.
pub const FOLDERS: [&str; 3] = ["", "prompts", "ask"];

/// The folder in which an empty file's name is the question.
const ASK: &str = "ask";

/// Extensions of prompts.
const PROMPT_EXTENSIONS: [&str; 2] = [".txt", ".md"];

/// Splits a path into folder (`""` for the root) and file name.
pub fn split_path(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// A folder and a file name as one path.
pub fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// Whether `folder` is one of [`FOLDERS`], in any case.
pub(super) fn is_listed(folder: &str) -> bool {
    let folder = fold(folder);
    FOLDERS.iter().any(|listed| *listed == folder)
}

/// Whether `folder` is `ask`, in any case.
pub(super) fn is_ask(folder: &str) -> bool {
    fold(folder) == ASK
}

/// `name` without `.txt` or `.md`, if it ends in one of them (in any case).
pub(super) fn strip_prompt_extension(name: &str) -> Option<&str> {
    PROMPT_EXTENSIONS
        .iter()
        .find_map(|extension| strip_suffix_fold(name, extension))
}

/// `name` without the ASCII `suffix`, in any case.
pub(super) fn strip_suffix_fold<'a>(name: &'a str, suffix: &str) -> Option<&'a str> {
    let (stem, end) = name.split_at_checked(name.len().checked_sub(suffix.len())?)?;
    end.eq_ignore_ascii_case(suffix).then_some(stem)
}

/// What an empty file in `ask/` asks: its name without `.txt` or `.md`. Underscores stay.
pub fn question_in_name(path: &str) -> &str {
    let (_, name) = split_path(path);
    strip_prompt_extension(name).unwrap_or(name).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_last_separator() {
        assert_eq!(split_path("a.txt"), ("", "a.txt"));
        assert_eq!(
            split_path("ask/Why is it so.txt"),
            ("ask", "Why is it so.txt")
        );
        assert_eq!(split_path("a/b/c"), ("a/b", "c"));
        assert_eq!(split_path(""), ("", ""));
    }

    #[test]
    fn a_question_is_the_name_as_it_is() {
        assert_eq!(
            question_in_name("ask/How do I use_this stick.TXT"),
            "How do I use_this stick"
        );
        assert_eq!(question_in_name("ask/Что это.md"), "Что это");
        assert_eq!(question_in_name("ask/What is v1.2"), "What is v1.2");
        assert_eq!(question_in_name("ask/ .txt"), "");
    }

    #[test]
    fn suffixes_never_split_a_character() {
        assert_eq!(strip_suffix_fold("é", ".txt"), None);
        assert_eq!(strip_suffix_fold("ééé", ".txt"), None);
        assert_eq!(strip_suffix_fold("é.TxT", ".txt"), Some("é"));
    }
}
