//! Visits the files and folders of a volume, each folder once. Used by `ls -R` and `check`.

use std::collections::BTreeSet;

use volume::{Entry, ImageFile, MAX_PATH_DEPTH, MAX_TREE_FOLDERS, ReadError, Volume};

/// What a folder says of itself.
pub struct Folder {
    /// Its path; empty for the root.
    pub path: String,
    /// Its entries, or why it cannot be read.
    pub entries: Result<Vec<Entry>, ReadError>,
}

/// Calls `visit` with the folder at `path` and, if `deep`, each folder inside, parents first.
pub fn visit(
    volume: &Volume<ImageFile>,
    path: &str,
    deep: bool,
    visit: &mut dyn FnMut(&Folder) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![(path.to_owned(), 0)];
    while let Some((path, depth)) = waiting.pop() {
        let entries = volume.list(&path);
        let folder = Folder { path, entries };
        visit(&folder)?;
        let inside = folder
            .entries
            .iter()
            .flatten()
            .filter(|entry| entry.is_dir());
        for entry in inside.rev().filter(|_| deep && depth + 1 < MAX_PATH_DEPTH) {
            // A folder inside itself would never end.
            if seen.len() < MAX_TREE_FOLDERS && seen.insert(entry.first_cluster) {
                waiting.push((join(&folder.path, &entry.name), depth + 1));
            }
        }
    }
    Ok(())
}

/// The path of an entry of a folder.
pub fn join(folder: &str, name: &str) -> String {
    let folder = folder.trim_matches('/');
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}
