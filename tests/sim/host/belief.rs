//! What a user may rely on: the oracle of the simulation.
//!
//! Of each file that a host has touched: its content when everything was last acknowledged as
//! durable (SYNCHRONIZE CACHE, or the flush of ALLOW, with nothing left to send), and what has been
//! done to it since. While nothing has, the file must be exactly so, whatever happened to the
//! stick. Otherwise it may be anything. Files that the device made are here only once a host
//! deleted them.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::text::is_response;

/// A file's bytes.
pub type Content = Rc<[u8]>;

/// All files that hosts have touched, by path from the top folder, with `/` between.
#[derive(Clone, Debug, Default)]
pub struct Belief {
    pub files: BTreeMap<String, FileBelief>,
    /// All contents that a file had as a whole.
    ever: BTreeMap<String, Vec<Content>>,
    /// How many contents a prompt had had when an answer to it was last deleted.
    answers_deleted: BTreeMap<String, usize>,
    /// Files that were written, each time that they were.
    written: u64,
}

/// One path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileBelief {
    /// Acknowledged as durable; `None`: that no such file is there.
    pub durable: Option<Content>,
    /// What was done since, in order; `None` is a deletion.
    pub since: Vec<Option<Content>>,
    /// A host was cut off, or a write failed, while something was on its way. Nobody touches the
    /// file any more, and it may be anything for good.
    pub is_unknown: bool,
}

impl FileBelief {
    /// What must be there: `Some(None)` that there is no such file; `None` if that is not certain.
    pub fn certain(&self) -> Option<Option<&Content>> {
        let is_certain = !self.is_unknown && self.since.is_empty();
        is_certain.then_some(self.durable.as_ref())
    }

    /// The file as its user last left it.
    pub fn latest(&self) -> Option<&Content> {
        self.since.last().unwrap_or(&self.durable).as_ref()
    }
}

impl Belief {
    /// A file is being made, or emptied.
    pub fn made(&mut self, path: &str) {
        self.touch(path, Some([].into()));
    }

    /// A file is getting its content.
    pub fn wrote(&mut self, path: &str, content: &[u8]) {
        self.written += 1;
        self.touch(path, Some(content.into()));
    }

    /// A file is being deleted.
    pub fn deleted(&mut self, path: &str) {
        self.touch(path, None);
    }

    /// A file is being given another name, over what had it.
    pub fn renamed(&mut self, from: &str, to: &str) {
        let content = self.files.get(from).and_then(FileBelief::latest).cloned();
        self.touch(to, content);
        self.touch(from, None);
    }

    /// A write of this path failed: nobody knows how far it came.
    pub fn failed(&mut self, path: &str) {
        self.files.entry(path.into()).or_default().is_unknown = true;
    }

    /// Everything was sent, and acknowledged as durable.
    pub fn flushed(&mut self) {
        for file in self.files.values_mut() {
            if let Some(last) = file.since.pop() {
                file.durable = last;
                file.since.clear();
            }
        }
    }

    /// The host is gone, or has forgotten what it had: what was on its way is unknown for good.
    pub fn cut_off(&mut self) {
        for file in self.files.values_mut() {
            file.is_unknown |= !file.since.is_empty();
        }
    }

    /// Whether something was done that is not acknowledged.
    pub fn is_in_flight(&self) -> bool {
        let mut files = self.files.values();
        files.any(|file| !file.is_unknown && !file.since.is_empty())
    }

    /// Whether a host has done anything to this path.
    pub fn is_touched(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// How often a file was written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// What the prompt at `path` ever held as a whole.
    pub fn contents(&self, path: &str) -> &[Content] {
        self.ever.get(path).map_or(&[], Vec::as_slice)
    }

    /// Whether nobody can say what the prompt at `path` is: its host was cut off, or it got its
    /// name from a repair, which knows short names only.
    pub fn is_in_doubt(&self, path: &str) -> bool {
        match self.files.get(path) {
            Some(file) => file.is_unknown,
            None => path.contains('~'),
        }
    }

    /// Whether a host has deleted an answer to the prompt at `path` since it was last written.
    pub fn has_deleted_answer_of(&self, path: &str) -> bool {
        self.answers_deleted.get(path) == Some(&self.contents(path).len())
    }

    /// Whether the prompt at `path` is still what it was when a host last deleted an answer to it,
    /// however often it was saved: empty, as a file is before it is filled, it is no prompt.
    pub fn is_same_since_deletion(&self, path: &str) -> bool {
        let contents = self.contents(path);
        let deleted = self.answers_deleted.get(path);
        let since = deleted.and_then(|deleted| contents.get(deleted.checked_sub(1)?..));
        since.is_some_and(|since| {
            let asked: Vec<_> = since.iter().filter(|content| !content.is_empty()).collect();
            asked.windows(2).all(|pair| pair[0] == pair[1])
        })
    }

    fn touch(&mut self, path: &str, content: Option<Content>) {
        match (&content, prompt_of(path)) {
            (Some(content), _) => {
                let ever = self.ever.entry(path.into()).or_default();
                ever.push(content.clone());
            }
            (None, Some(prompt)) => {
                let contents = self.contents(&prompt).len();
                self.answers_deleted.insert(prompt, contents);
            }
            _ => {}
        }
        self.files
            .entry(path.into())
            .or_default()
            .since
            .push(content);
    }
}

/// The prompt to which a file is the response or the complaint, by its name.
pub fn prompt_of(path: &str) -> Option<String> {
    let ends = [".response", ".error"].map(|end| path.rfind(end));
    let end = ends.into_iter().flatten().max()?;
    is_response(path).then(|| format!("{}.txt", &path[..end]))
}
