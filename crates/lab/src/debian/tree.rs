//! A Debian's files as an archive: those of its packages without what nobody reads, and ours. Used
//! by [`debian`](super).

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use labhost::cpio::Writer;
use labhost::debian::ROOT;

use super::system::{GROUP, MERGED, PASSWD, System};

/// An archive that is being written below [`ROOT`].
struct Tree<'a, W> {
    writer: Writer<W>,
    system: &'a System,
    /// Names that are there: packages share folders, and the merged ones some links.
    names: BTreeSet<String>,
}

/// Writes the archive of a system whose packages were unpacked into `tree`.
///
/// # Errors
/// Of the output, or a file cannot be read.
pub fn write<W: Write>(out: W, system: &System, tree: &Path) -> io::Result<W> {
    let mut archive = Tree {
        writer: Writer::new(out),
        names: BTreeSet::new(),
        system,
    };
    archive.writer.folder(ROOT.trim_start_matches('/'))?;
    archive.folder("usr")?;
    for name in MERGED {
        archive.folder(&format!("usr/{name}"))?;
        archive.link(name, &format!("usr/{name}"))?;
    }
    // What is ours comes first: the first of a name stays.
    for (name, content) in system.all_files() {
        archive.file(name, 0o644, content.as_bytes())?;
    }
    for (name, target) in system.all_links() {
        archive.link(name, target)?;
    }
    let (users, groups) = system.accounts;
    for ((master, name), more) in [(PASSWD, users), (GROUP, groups)] {
        let text = fs::read_to_string(tree.join(master))? + more;
        archive.file(name, 0o644, text.as_bytes())?;
    }
    archive.add_folder(tree, "")?;
    archive.writer.finish()
}

impl<W: Write> Tree<'_, W> {
    /// Adds what lies in a folder; `name` is the folder's in the tree, with a slash at its end.
    fn add_folder(&mut self, folder: &Path, name: &str) -> io::Result<()> {
        let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let inner = format!("{name}{}", entry.file_name().to_string_lossy());
            let path = entry.path();
            let kind = entry.file_type()?;
            let merged = merged(&inner);
            if self.system.leaves_out(&merged) {
                continue;
            }
            if kind.is_dir() {
                self.folder(&merged)?;
                self.add_folder(&path, &format!("{inner}/"))?;
            } else if kind.is_symlink() {
                self.link(&merged, &fs::read_link(&path)?.to_string_lossy())?;
            } else if kind.is_file() {
                let mode = entry.metadata()?.permissions().mode() & 0o777;
                self.file(&merged, mode, &fs::read(&path)?)?;
            }
        }
        Ok(())
    }

    fn folder(&mut self, name: &str) -> io::Result<()> {
        match self.is_new(name)? {
            Some(path) => self.writer.folder(&path),
            None => Ok(()),
        }
    }

    fn file(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        match self.is_new(name)? {
            Some(path) => self.writer.file(&path, mode, content),
            None => Ok(()),
        }
    }

    fn link(&mut self, name: &str, target: &str) -> io::Result<()> {
        match self.is_new(name)? {
            Some(path) => self.writer.link(&path, target),
            None => Ok(()),
        }
    }

    /// The name in the archive, its folders made; `None` for one that is there.
    fn is_new(&mut self, name: &str) -> io::Result<Option<String>> {
        for (at, _) in name.match_indices('/') {
            let folder = &name[..at];
            if self.names.insert(folder.to_owned()) {
                self.writer.folder(&in_guest(folder))?;
            }
        }
        Ok(self.names.insert(name.to_owned()).then(|| in_guest(name)))
    }
}

fn in_guest(name: &str) -> String {
    format!("{}/{name}", ROOT.trim_start_matches('/'))
}

/// `bin/mount` is `usr/bin/mount`.
fn merged(name: &str) -> String {
    let top = name.split('/').next().unwrap_or_default();
    if MERGED.contains(&top) {
        return format!("usr/{name}");
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::system::{DESKTOP, STICK};
    use super::*;

    #[test]
    fn both_names_of_a_folder_are_one() {
        assert_eq!(merged("bin/mount"), "usr/bin/mount");
        assert_eq!(merged("lib"), "usr/lib");
        assert_eq!(merged("usr/lib/x"), "usr/lib/x");
        assert_eq!(merged("libexec/x"), "libexec/x");
    }

    /// The archive of a system whose packages have a few files: names and contents.
    fn written(system: &System) -> BTreeMap<String, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = [
            ("bin/a", "A"),
            ("usr/bin/b", "B"),
            ("usr/share/doc/c", "C"),
            ("lib/udev/hwdb.d/d", "D"),
            ("etc/hostname", "package"),
            ("usr/share/base-passwd/passwd.master", "root\n"),
            ("usr/share/base-passwd/group.master", "root\n"),
        ];
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("room");
            fs::write(path, content).expect("room");
        }
        let archive = write(Vec::new(), system, folder.path()).expect("memory");
        let mut found = BTreeMap::new();
        labhost::cpio::read(&mut archive.as_slice(), &mut |name, content| {
            let mut text = String::new();
            io::Read::read_to_string(content, &mut text)?;
            let name = format!("/{name}").replace(ROOT, "");
            assert!(found.insert(name.clone(), text).is_none(), "{name} twice");
            Ok(())
        })
        .expect("an archive");
        found
    }

    #[test]
    fn a_tree_is_written_once_and_without_what_nobody_reads() {
        let found = written(&DESKTOP);
        assert_eq!(found["/usr/bin/a"], "A");
        assert_eq!(found["/usr/bin/b"], "B");
        assert_eq!(found["/etc/hostname"], "desktop\n");
        assert!(found["/etc/passwd"].contains("messagebus"));
        assert!(!found.keys().any(|name| name.contains("/doc/")));
    }

    #[test]
    fn a_stick_has_less() {
        let found = written(&STICK);
        assert_eq!(found["/etc/hostname"], "stick\n");
        assert_eq!(found["/etc/passwd"], "root\n");
        assert!(!found.keys().any(|name| name.contains("/hwdb.d/")));
        assert!(!found.keys().any(|name| name.contains("udiskie")));
    }
}
