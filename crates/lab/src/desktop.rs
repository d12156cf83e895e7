//! The root file system of a desktop host: Debian packages with systemd, udev, udisks2 and udiskie,
//! unpacked into an archive that a guest gets beside its own files, in a folder of its own. Nothing
//! of this machine goes in, and no package's script is run: the few files that scripts would make
//! are written here. Used by [`guest`](crate::guest) for scenarios that want a desktop.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use labhost::cpio::Writer;
use labhost::debian::ROOT;
use labhost::files::hex;
use sha2::{Digest, Sha256};

use crate::cache::{self, Cache, forget};
use crate::error::At;
use crate::packages::{self, Repository};
use crate::{LabError, Result};

/// The architecture of guests that have one.
const ARCHITECTURE: &str = "amd64";

/// The release: systemd 252, udisks 2.9.4.
const SUITE: &str = "bookworm";

/// What a desktop needs for its drives (the last four), and what every Debian has. apt adds what
/// these depend on.
const PACKAGES: [&str; 15] = [
    "base-files",
    "base-passwd",
    "bash",
    "coreutils",
    "dash",
    "grep",
    "mount",
    "sed",
    "util-linux",
    "dbus",
    "systemd",
    "udev",
    "udisks2",
    "udiskie",
    // udisks runs it to eject, and does not depend on it.
    "eject",
];

/// What names of archives begin with.
const ARCHIVE_PREFIX: &str = "root-";

/// Changes when archives of older builds of the lab are no longer right.
const FORM: &str = "1";

/// Folders that nothing here reads: half of the bytes.
const LEFT_OUT: [&str; 8] = [
    "usr/share/bash-completion/",
    "usr/share/doc/",
    "usr/share/info/",
    "usr/share/lintian/",
    "usr/share/locale/",
    "usr/share/man/",
    "usr/share/perl/",
    "usr/lib/x86_64-linux-gnu/perl",
];

/// Folders of the top that Debian has merged into `/usr`: packages of bookworm still use both
/// names.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Files that scripts of packages make, or that say how this host behaves: a path and the content.
const FILES: [(&str, &str); 3] = [
    ("etc/hostname", "desktop\n"),
    // Any will do; without one systemd takes this for its first start and presets all its units.
    ("etc/machine-id", "7072d6f6d707473746963006b0000001\n"),
    ("etc/systemd/system/udiskie.service", UDISKIE),
];

/// The agent of a session, which mounts what is plugged in. There is no session here: root's.
const UDISKIE: &str = "\
[Unit]
Description=Mounts what is plugged in
[Service]
Type=simple
Environment=PYTHONUNBUFFERED=1
ExecStart=/usr/bin/udiskie --automount --no-notify --no-tray --no-file-manager
StandardError=journal+console
";

/// Links that `systemctl enable` and scripts of packages make: a path and the target.
const LINKS: [(&str, &str); 5] = [
    // Where D-Bus's clients look for its socket.
    ("var/run", "/run"),
    (
        "etc/systemd/system/multi-user.target.wants/udiskie.service",
        "/etc/systemd/system/udiskie.service",
    ),
    // The protocol's line and the kernel's console are no terminals for people.
    ("etc/systemd/system/getty.target", "/dev/null"),
    ("etc/systemd/system/serial-getty@.service", "/dev/null"),
    ("etc/systemd/system/systemd-logind.service", "/dev/null"),
];

/// Accounts as Debian gives them out, and the bus's, which a script of its package adds.
const ACCOUNTS: [(&str, &str, &str); 2] = [
    (
        "usr/share/base-passwd/passwd.master",
        "etc/passwd",
        "messagebus:x:100:100::/nonexistent:/usr/sbin/nologin\n",
    ),
    (
        "usr/share/base-passwd/group.master",
        "etc/group",
        "messagebus:x:100:\n",
    ),
];

/// The archive, made where it is not in the cache.
///
/// # Errors
/// A package cannot be fetched or unpacked, what is in the cache was changed, or there is no room.
pub fn archive(cache: &Cache) -> Result<PathBuf> {
    let folder = cache.folder(&format!("desktop/{SUITE}-{ARCHITECTURE}"))?;
    let debs = fetched(cache, &folder)?;
    let path = folder.join(format!("{ARCHIVE_PREFIX}{}.cpio", key(&debs)));
    if cache::is_intact(&path)? {
        return Ok(path);
    }
    eprintln!("lab: unpacking {} packages for a desktop", debs.len());
    let tree = folder.join("tree");
    forget(&tree)?;
    for deb in &debs {
        packages::unpack(deb, &tree)?;
    }
    let partial = folder.join("partial");
    let out = BufWriter::new(File::create(&partial).at(&partial)?);
    write(out, &tree).at(&partial)?;
    fs::rename(&partial, &path).at(&path)?;
    cache::keep_hash(&path)?;
    forget(&tree)?;
    forget_others(&folder, &path)?;
    Ok(path)
}

/// Removes archives of earlier packages and builds.
fn forget_others(folder: &Path, path: &Path) -> Result<()> {
    let kept = path.file_name().unwrap_or_default().to_string_lossy();
    for entry in fs::read_dir(folder).at(folder)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(ARCHIVE_PREFIX) && !name.starts_with(&*kept) {
            fs::remove_file(entry.path()).at(&entry.path())?;
        }
    }
    Ok(())
}

/// The packages, each as it was when it was downloaded.
fn fetched(cache: &Cache, folder: &Path) -> Result<Vec<PathBuf>> {
    let wanted = PACKAGES.join(" ");
    let list = folder.join("packages");
    let debs = folder.join("debs");
    if fs::read_to_string(&list).is_ok_and(|had| had == wanted) {
        return intact(&debs);
    }
    eprintln!("lab: fetching a desktop from Debian {SUITE} (about 45 MB)");
    let repository = Repository::new(cache, SUITE, ARCHITECTURE)?;
    repository.update()?;
    forget(&debs)?;
    repository.download_all(&PACKAGES, &debs)?;
    fs::write(&list, wanted).at(&list)?;
    intact(&debs)
}

fn intact(folder: &Path) -> Result<Vec<PathBuf>> {
    let debs = packages::debs(folder)?;
    for deb in &debs {
        if !cache::is_intact(deb)? {
            let path = deb.display();
            return Err(LabError::Unexpected(format!(
                "{path} has no SHA-256 beside it. Delete its folder and try again."
            )));
        }
    }
    Ok(debs)
}

/// A name for the content: packages' files have their versions in their names.
fn key(debs: &[PathBuf]) -> String {
    const BYTES: usize = 8;
    let mut hash = Sha256::new();
    hash.update(FORM);
    for (path, content) in FILES.iter().chain(&LINKS) {
        hash.update(path);
        hash.update(content);
    }
    for deb in debs {
        hash.update(deb.file_name().unwrap_or_default().as_encoded_bytes());
    }
    hex(hash.finalize().get(..BYTES).unwrap_or_default())
}

/// An archive that is being written below [`ROOT`].
struct Tree<W> {
    writer: Writer<W>,
    /// Names that are there: packages share folders, and the merged ones some links.
    names: BTreeSet<String>,
}

fn write<W: Write>(out: W, tree: &Path) -> io::Result<W> {
    let mut archive = Tree {
        writer: Writer::new(out),
        names: BTreeSet::new(),
    };
    archive.writer.folder(ROOT.trim_start_matches('/'))?;
    archive.folder("usr")?;
    for name in MERGED {
        archive.folder(&format!("usr/{name}"))?;
        archive.link(name, &format!("usr/{name}"))?;
    }
    // What is ours comes first: the first of a name stays.
    for (name, content) in FILES {
        archive.file(name, 0o644, content.as_bytes())?;
    }
    for (name, target) in LINKS {
        archive.link(name, target)?;
    }
    for (master, name, more) in ACCOUNTS {
        let text = fs::read_to_string(tree.join(master))? + more;
        archive.file(name, 0o644, text.as_bytes())?;
    }
    archive.add_folder(tree, "")?;
    archive.writer.finish()
}

impl<W: Write> Tree<W> {
    /// Adds what lies in a folder; `name` is the folder's in the tree, with a slash at its end.
    fn add_folder(&mut self, folder: &Path, name: &str) -> io::Result<()> {
        let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let inner = format!("{name}{}", entry.file_name().to_string_lossy());
            let path = entry.path();
            let kind = entry.file_type()?;
            let merged = merged(&inner);
            if LEFT_OUT
                .iter()
                .any(|out| format!("{merged}/").starts_with(out))
            {
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
    use super::*;

    #[test]
    fn both_names_of_a_folder_are_one() {
        assert_eq!(merged("bin/mount"), "usr/bin/mount");
        assert_eq!(merged("lib"), "usr/lib");
        assert_eq!(merged("usr/lib/x"), "usr/lib/x");
        assert_eq!(merged("libexec/x"), "libexec/x");
    }

    #[test]
    fn a_tree_is_written_once_and_without_what_nobody_reads() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tree = folder.path();
        let files = [
            ("bin/a", "A"),
            ("usr/bin/b", "B"),
            ("usr/share/doc/c", "C"),
            ("etc/hostname", "package"),
            ("usr/share/base-passwd/passwd.master", "root\n"),
            ("usr/share/base-passwd/group.master", "root\n"),
        ];
        for (name, content) in files {
            let path = tree.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("room");
            fs::write(path, content).expect("room");
        }
        let archive = write(Vec::new(), tree).expect("memory");
        let mut found = std::collections::BTreeMap::new();
        labhost::cpio::read(&mut archive.as_slice(), &mut |name, content| {
            let mut text = String::new();
            io::Read::read_to_string(content, &mut text)?;
            assert!(
                found.insert(name.to_owned(), text).is_none(),
                "{name} twice"
            );
            Ok(())
        })
        .expect("an archive");
        assert_eq!(found["desktop/usr/bin/a"], "A");
        assert_eq!(found["desktop/usr/bin/b"], "B");
        assert_eq!(found["desktop/etc/hostname"], "desktop\n");
        assert!(found["desktop/etc/passwd"].contains("messagebus"));
        assert!(!found.keys().any(|name| name.contains("/doc/")));
    }
}
