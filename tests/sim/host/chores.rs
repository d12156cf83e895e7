//! What a user does to files: prompts in all the ways of editors, ordinary files, responses.
//!
//! Files that are touched are those that hosts have made and nobody is in doubt about, and
//! responses that the host sees. A new file has a name that was never used.

use volume::testing::Random;

use super::belief::Content;
use super::chance::{one_of, percent};
use super::plan::apple_double_path;
use super::step::{Step, Steps};
use super::{Host, Kind, text};

/// A file's path and content.
type Named = (String, Content);

impl Host {
    pub(super) fn new_prompt(&mut self) -> Steps {
        let in_folder = percent(&mut self.random, 30);
        let path = format!(
            "{}p{}.txt",
            if in_folder { "prompts/" } else { "" },
            tag(&mut self.random)
        );
        let content = text::prompt(&mut self.random);
        let mut steps = Vec::new();
        if in_folder {
            steps = self
                .plan()
                .change_names(vec![Step::Folder("prompts".into())]);
        }
        let mocks = self.kind == Kind::Tester;
        if mocks {
            steps.extend(self.mock());
        }
        steps.extend(self.plan().write(&path, &content));
        if mocks {
            steps.extend(self.mock());
        }
        steps
    }

    fn mock(&mut self) -> Steps {
        let path = format!("mock-{}.bin", tag(&mut self.random));
        let content = text::noise(&mut self.random, 4000);
        self.plan().write(&path, &content)
    }

    pub(super) fn copy_photo(&mut self) -> Steps {
        let path = match self.own_file(is_photo) {
            Some((path, _)) if percent(&mut self.random, 40) => path,
            _ => format!("photo-{}.jpg", tag(&mut self.random)),
        };
        let content = text::noise(&mut self.random, 100_000);
        self.plan().write(&path, &content)
    }

    /// A prompt is saved in place: as long, longer or shorter, or unchanged.
    pub(super) fn save(&mut self) -> Steps {
        let Some((path, old)) = self.own_file(is_prompt) else {
            return self.new_prompt();
        };
        let new = match self.random.below(5) {
            0 => old.clone(),
            1 => text::same_length(&mut self.random, &old),
            _ => text::prompt(&mut self.random),
        };
        let truncates = new.len() < old.len() || percent(&mut self.random, 50);
        match truncates {
            true => self.plan().write(&path, &new),
            false => self.plan().overwrite(&path, &new),
        }
    }

    pub(super) fn replace_by_rename(&mut self) -> Steps {
        let Some((path, _)) = self.own_file(is_prompt) else {
            return self.new_prompt();
        };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let separator = if folder.is_empty() { "" } else { "/" };
        let name = tag(&mut self.random);
        let temporary = match self.kind.is_linux() {
            true => format!("{folder}{separator}.goutputstream-{name}"),
            false => format!("{folder}{separator}~wrd{name}.tmp"),
        };
        let content = text::prompt(&mut self.random);
        let mut steps = self.plan().write(&temporary, &content);
        if percent(&mut self.random, 40) {
            steps.extend(self.plan().fsync());
        }
        let rename = Step::Rename(temporary, path);
        steps.extend(self.plan().change_names(vec![rename]));
        steps
    }

    pub(super) fn replace_by_delete(&mut self) -> Steps {
        let Some((path, _)) = self.own_file(is_prompt) else {
            return self.new_prompt();
        };
        let content = text::prompt(&mut self.random);
        let mut steps = self.plan().change_names(vec![Step::Delete(path.clone())]);
        steps.extend(self.plan().write(&path, &content));
        steps
    }

    pub(super) fn delete_own(&mut self) -> Steps {
        let Some((path, _)) = self.own_file(|_| true) else {
            return self.new_prompt();
        };
        let beside = apple_double_path(&path);
        let mut steps = vec![Step::Delete(path)];
        let latest = self.belief.files.get(&beside);
        if latest.is_some_and(|file| !file.is_unknown && file.latest().is_some()) {
            steps.push(Step::Delete(beside));
        }
        self.plan().change_names(steps)
    }

    pub(super) fn delete_responses(&mut self) -> Steps {
        let paths = self.responses();
        self.plan()
            .change_names(paths.into_iter().map(Step::Delete).collect())
    }

    /// A file that hosts have made, that is there and that nobody is in doubt about.
    fn own_file(&mut self, which: impl Fn(&str) -> bool) -> Option<Named> {
        let files = self.belief.files.iter();
        let there = files.filter(|(path, file)| which(path) && !file.is_unknown);
        let there: Vec<Named> = there
            .filter_map(|(path, file)| Some((path.clone(), file.latest()?.clone())))
            .collect();
        one_of(&mut self.random, &there).cloned()
    }

    /// Responses and error files, as the host has them.
    pub(super) fn responses(&mut self) -> Vec<String> {
        let Some(volume) = &mut self.stick.volume else {
            return Vec::new();
        };
        let entries = volume.list_all().unwrap_or_default();
        let files = entries.into_iter().filter(|entry| !entry.is_folder);
        let paths = files.map(|entry| entry.path);
        paths.filter(|path| text::is_response(path)).collect()
    }
}

fn is_prompt(path: &str) -> bool {
    path.ends_with(".txt") && !path.contains("._") && !text::is_response(path)
}

fn is_photo(path: &str) -> bool {
    path.starts_with("photo-")
}

/// A part of a name that no other has.
pub fn tag(random: &mut Random) -> String {
    format!("{:08x}", random.bits() >> 32)
}
