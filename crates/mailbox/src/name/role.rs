//! What a directory entry is to the stick: a prompt, the settings, one of our files, or nothing.
//!
//! Pure and total: any path and any facts give a role. Called by the daemon for each entry that it
//! lists in [`FOLDERS`](super::FOLDERS), before it reads a byte of the file.

use std::fmt;

use super::path::{is_ask, is_listed, strip_prompt_extension, strip_suffix_fold};
use super::placeholder::is_placeholder;
use super::{fold, parse_ours, split_path};

/// What the directory says about an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryFacts {
    /// It is a folder.
    pub is_dir: bool,
    /// The hidden attribute.
    pub hidden: bool,
    /// The system attribute.
    pub system: bool,
    /// The file's length in bytes.
    pub len_bytes: u32,
}

/// What an entry is to the stick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its content is a prompt.
    Prompt,
    /// An empty file in `ask/`: its name is a prompt, read by
    /// [`question_in_name`](super::question_in_name).
    NamePrompt,
    /// `SETTINGS.TOML`.
    Settings,
    /// A file that the stick writes: `README.TXT`, a response, an error file, or what a person has
    /// copied from the second drive.
    Ours,
    /// Anything else; it is left alone.
    NotOurs(NotOurs),
}

impl Role {
    /// Whether it is to be answered.
    pub fn is_prompt(self) -> bool {
        matches!(self, Self::Prompt | Self::NamePrompt)
    }
}

/// Why an entry is left alone. Its text completes "left alone: …" in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotOurs {
    /// A folder.
    Folder,
    /// Not in one of the folders that are looked into.
    Elsewhere,
    /// Hidden or system attribute, or a name that begins with a dot.
    Hidden,
    /// The temporary or lock file of an editor, a browser or an office program.
    Temporary,
    /// A file that an operating system keeps on every drive.
    OperatingSystem,
    /// Neither `.txt` nor `.md`.
    OtherExtension,
    /// A new file that has neither content nor a name of its own yet.
    Placeholder,
}

impl fmt::Display for NotOurs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Folder => "a folder",
            Self::Elsewhere => "not in a folder that is looked into",
            Self::Hidden => "a hidden file",
            Self::Temporary => "a temporary file",
            Self::OperatingSystem => "a file of the operating system",
            Self::OtherExtension => "neither .txt nor .md",
            Self::Placeholder => "a new file without content or a name of its own",
        })
    }
}

/// Our own files in the root, folded.
const README: &str = "readme.txt";
const SETTINGS: &str = "settings.toml";

/// Beginnings of temporary names: Word's owner files, macOS's second halves of files.
const TEMPORARY_PREFIXES: [&str; 2] = ["~$", "._"];

/// Ends of temporary names: Vim, Emacs and others, browsers, copying programs.
const TEMPORARY_SUFFIXES: [&str; 11] = [
    "~",
    ".swp",
    ".swo",
    ".swx",
    ".tmp",
    ".temp",
    ".bak",
    ".part",
    ".partial",
    ".crdownload",
    ".filepart",
];

/// Names that operating systems and repair programs put on any drive, folded.
const SYSTEM_NAMES: [&str; 16] = [
    "system volume information",
    "$recycle.bin",
    "recycler",
    "recycled",
    "lost.dir",
    "lost+found",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "autorun.inf",
    "indexervolumeguid",
    "wpsettings.dat",
    "bootex.log",
    "pagefile.sys",
    "swapfile.sys",
    "hiberfil.sys",
];

/// Beginning and end of a status file on the second drive; digits between them.
const STATUS: (&str, &str) = ("STATUS-", ".TXT");
/// Digits that its number has at least.
const STATUS_DIGITS: usize = 4;
/// What stands between name and number of a response that was not complete yet.
const PARTIAL: &str = ".partial-";

/// A file of the second drive's own, spelt exactly as it is there: a person's `status-2024.txt` is
/// a prompt.
fn is_note(name: &str) -> bool {
    let (begin, end) = STATUS;
    let digits = name
        .strip_prefix(begin)
        .and_then(|rest| rest.strip_suffix(end));
    let is_status = digits.is_some_and(|text| text.len() >= STATUS_DIGITS && is_number(text));
    let stem = name.strip_suffix(".txt");
    let number = stem.and_then(|stem| Some(stem.rsplit_once(PARTIAL)?.1));
    is_status || number.is_some_and(is_number)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What the entry at `path` is. Names are compared without case.
pub fn role(path: &str, facts: EntryFacts) -> Role {
    let (folder, name) = split_path(path);
    if !is_listed(folder) {
        return Role::NotOurs(NotOurs::Elsewhere);
    }
    let folded = fold(name);
    if facts.is_dir {
        return Role::NotOurs(NotOurs::Folder);
    }
    if folder.is_empty() && folded == SETTINGS {
        return Role::Settings;
    }
    let is_ours = (folder.is_empty() && folded == README) || parse_ours(path).is_some();
    if is_ours || is_note(name) {
        return Role::Ours;
    }
    match never(&folded, facts) {
        Some(reason) => Role::NotOurs(reason),
        None => prompt_role(folder, name, facts.len_bytes),
    }
}

/// Why an entry can be no prompt whatever its extension; `name` is folded.
fn never(name: &str, facts: EntryFacts) -> Option<NotOurs> {
    let autosave = name.len() > 1 && name.starts_with('#') && name.ends_with('#');
    if autosave
        || TEMPORARY_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
        || TEMPORARY_SUFFIXES
            .iter()
            .any(|suffix| strip_suffix_fold(name, suffix).is_some())
    {
        return Some(NotOurs::Temporary);
    }
    if name.starts_with('.') || facts.hidden || facts.system {
        return Some(NotOurs::Hidden);
    }
    let of_a_system = SYSTEM_NAMES.contains(&name)
        || is_numbered(name, "found.", 3, "")
        || is_numbered(name, "file", 4, ".chk")
        || is_numbered(name, "fsck", 4, ".rec")
        || name == SETTINGS;
    of_a_system.then_some(NotOurs::OperatingSystem)
}

/// Whether `name` is `prefix`, exactly `digits` digits, `suffix`: what `chkdsk` and `fsck` leave.
fn is_numbered(name: &str, prefix: &str, digits: usize, suffix: &str) -> bool {
    name.strip_prefix(prefix)
        .and_then(|rest| rest.strip_suffix(suffix))
        .is_some_and(|number| {
            number.len() == digits && number.bytes().all(|byte| byte.is_ascii_digit())
        })
}

fn prompt_role(folder: &str, name: &str, len_bytes: u32) -> Role {
    let stem = strip_prompt_extension(name);
    let empty = len_bytes == 0;
    if empty && is_placeholder(stem.unwrap_or(name)) {
        return Role::NotOurs(NotOurs::Placeholder);
    }
    match (is_ask(folder) && empty, stem) {
        (true, _) => Role::NamePrompt,
        (false, Some(_)) => Role::Prompt,
        (false, None) => Role::NotOurs(NotOurs::OtherExtension),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_path_has_a_role(path in ".{0,40}", is_dir: bool, len_bytes in 0..2u32) {
            let facts = EntryFacts { is_dir, len_bytes, ..FULL };
            prop_assert!(!(is_dir && role(&path, facts).is_prompt()));
        }
    }

    const FULL: EntryFacts = EntryFacts {
        is_dir: false,
        hidden: false,
        system: false,
        len_bytes: 12,
    };
    const EMPTY: EntryFacts = EntryFacts {
        len_bytes: 0,
        ..FULL
    };
    const FOLDER: EntryFacts = EntryFacts {
        is_dir: true,
        ..EMPTY
    };

    #[test]
    fn what_is_copied_from_the_second_drive_is_no_prompt_and_what_looks_like_it_is() {
        for path in [
            "STATUS-0001.TXT",
            "prompts/STATUS-12345.TXT",
            "poem.partial-3.txt",
        ] {
            assert_eq!(role(path, FULL), Role::Ours, "{path}");
        }
        for path in [
            "status-0001.txt",
            "STATUS-1.TXT",
            "STATUS-.TXT",
            "a.partial-x.txt",
        ] {
            assert_eq!(role(path, FULL), Role::Prompt, "{path}");
        }
    }

    #[test]
    fn text_files_in_the_listed_folders_are_prompts() {
        for path in [
            "a.txt",
            "A.TXT",
            "notes.MD",
            "prompts/x.txt",
            "PROMPTS/x.md",
            "ask/long.txt",
            "Ask/long.md",
            "häufige Fragen 😀.txt",
            "質問.txt",
            "response.txt",
            "error.txt",
            "x.response.md",
            "prompts/README.TXT",
            "a.b.c.txt",
            "README.md",
            "my.error-0.txt",
            "x.response-01.txt",
            "Settings.txt",
        ] {
            assert_eq!(role(path, FULL), Role::Prompt, "{path}");
        }
    }

    #[test]
    fn empty_files_in_ask_are_prompts_by_name() {
        for path in [
            "ask/Why is the sky blue.txt",
            "ask/What is v1.2",
            "ASK/x.md",
            "ask/図は何",
        ] {
            assert_eq!(role(path, EMPTY), Role::NamePrompt, "{path}");
        }
        assert_eq!(role("a.txt", EMPTY), Role::Prompt);
        assert_eq!(
            role("ask/What is v1.2", FULL),
            Role::NotOurs(NotOurs::OtherExtension)
        );
    }

    #[test]
    fn files_of_the_stick_are_not_prompts() {
        for path in [
            "README.TXT",
            "readme.txt",
            "a.response.txt",
            "A.RESPONSE.TXT",
            "a.response-2.txt",
            "prompts/a.error.txt",
            "ask/Why.error-17.txt",
            "SETTINGS.error.txt",
        ] {
            assert_eq!(role(path, FULL), Role::Ours, "{path}");
            assert_eq!(role(path, EMPTY), Role::Ours, "{path}");
        }
        assert_eq!(role("Settings.toml", FULL), Role::Settings);
        let hidden = EntryFacts {
            hidden: true,
            ..FULL
        };
        assert_eq!(role("SETTINGS.TOML", hidden), Role::Settings);
    }

    #[test]
    fn the_rest_is_left_alone_and_the_reason_named() {
        use NotOurs::*;
        for (path, facts, reason) in [
            ("._a.txt", FULL, Temporary),
            ("~$a.txt", FULL, Temporary),
            ("ask/~$a.txt", EMPTY, Temporary),
            ("ask/.a.txt.swp", EMPTY, Temporary),
            ("ask/a.TMP", EMPTY, Temporary),
            ("ask/a.txt~", EMPTY, Temporary),
            ("ask/a.txt.crdownload", EMPTY, Temporary),
            ("ask/a.txt.part", EMPTY, Temporary),
            (".a.txt", FULL, Hidden),
            ("ask/.DS_Store", EMPTY, Hidden),
            (
                "a.txt",
                EntryFacts {
                    hidden: true,
                    ..FULL
                },
                Hidden,
            ),
            (
                "a.txt",
                EntryFacts {
                    system: true,
                    ..FULL
                },
                Hidden,
            ),
            ("System Volume Information", FOLDER, Folder),
            ("a.txt", FOLDER, Folder),
            ("ask/Thumbs.db", EMPTY, OperatingSystem),
            ("ask/desktop.ini", EMPTY, OperatingSystem),
            ("ask/FOUND.000", EMPTY, OperatingSystem),
            ("ask/FSCK0000.REC", EMPTY, OperatingSystem),
            ("ask/$RECYCLE.BIN", EMPTY, OperatingSystem),
            ("autorun.inf", FULL, OperatingSystem),
            ("ask/SETTINGS.TOML", EMPTY, OperatingSystem),
            ("picture.png", FULL, OtherExtension),
            ("noextension", EMPTY, OtherExtension),
            ("ask/New Text Document (2).txt", EMPTY, Placeholder),
            ("New Text Document.txt", EMPTY, Placeholder),
            ("prompts/deep/a.txt", FULL, Elsewhere),
            ("System Volume Information/a.txt", FULL, Elsewhere),
            ("ask/#draft.txt#", EMPTY, Temporary),
        ] {
            assert_eq!(role(path, facts), Role::NotOurs(reason), "{path}");
        }
    }
}
