//! What a guest boots from: one archive with its init, the program under test, the model, busybox
//! and the kernel's modules, kept in the cache as long as these are the same; and a second one with
//! what a single scenario adds. Used by [`guest`](crate::guest).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use labhost::cpio::Writer;
use labhost::daemon::{MODEL, PROGRAM};
use labhost::files::hex;
use sha2::{Digest, Sha256};

use crate::board::Board;
use crate::cache::Cache;
use crate::error::At;
use crate::kernel::Kernel;
use crate::programs::Programs;
use crate::{Result, busybox, libraries, modules, tool};

/// What a host formats with, of the package that `fsck.fat` comes from.
const MKFS: &str = "mkfs.fat";

/// How many archives stay in the cache: two boards with two kernels, this build and the one before.
const KEPT_ARCHIVES: usize = 8;

/// Changes when archives of older builds of the lab are no longer right.
const FORM: &str = "1";

/// What an archive holds: a path in the guest and where the content comes from.
struct Item {
    guest: String,
    content: Content,
}

enum Content {
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// The archive that all scenarios on this kernel share.
///
/// # Errors
/// A file is missing, or the cache has no room.
pub fn base(cache: &Cache, board: Board, kernel: &Kernel, programs: &Programs) -> Result<PathBuf> {
    let items = items(cache, board, kernel, programs)?;
    let folder = cache.folder("initramfs")?;
    let path = folder.join(format!("{}-{}.cpio", kernel.release, key(&items)?));
    if path.is_file() {
        return Ok(path);
    }
    let partial = folder.join("partial");
    let out = BufWriter::new(File::create(&partial).at(&partial)?);
    write(out, &items).at(&partial)?;
    fs::rename(&partial, &path).at(&path)?;
    forget_old(&folder)?;
    Ok(path)
}

/// An archive with a scenario's own files: a path in the guest and the content of each.
///
/// # Errors
/// There is no room.
pub fn scenario(files: &[(String, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let items: Vec<Item> = files
        .iter()
        .map(|(guest, bytes)| Item {
            guest: guest.clone(),
            content: Content::Bytes(bytes.clone()),
        })
        .collect();
    write(Vec::new(), &items)
}

fn items(cache: &Cache, board: Board, kernel: &Kernel, programs: &Programs) -> Result<Vec<Item>> {
    let busybox = busybox::get(cache, board)?;
    let mut files = vec![
        ("/init".to_owned(), programs.labhost.clone()),
        (PROGRAM.to_owned(), programs.promptstick.clone()),
        ("/bin/busybox".to_owned(), busybox.clone()),
        ("/bin/sh".to_owned(), busybox),
    ];
    if !board.has_card() {
        files.push((MODEL.to_owned(), programs.model.clone()));
    }
    if board == Board::Pc {
        files.extend(of_this_machine(programs)?);
    }
    let mut items: Vec<Item> = files
        .into_iter()
        .map(|(guest, path)| Item {
            guest,
            content: Content::File(path),
        })
        .collect();
    let (list, modules) = modules::collect(kernel)?;
    let of_modules = modules
        .into_iter()
        .chain([(labhost::modules::LIST.to_owned(), list.into_bytes())]);
    items.extend(of_modules.map(|(guest, bytes)| Item {
        guest,
        content: Content::Bytes(bytes),
    }));
    Ok(items)
}

/// What programs of this machine's kind need beside themselves; those for another board are static.
fn of_this_machine(programs: &Programs) -> Result<Vec<(String, PathBuf)>> {
    let mut files = vec![(labhost::mount::MKFS.to_owned(), tool::find(MKFS)?)];
    let mut shared = BTreeSet::new();
    for program in [&programs.labhost, &programs.promptstick] {
        shared.extend(libraries::needed_by(program)?);
    }
    let named = |path: PathBuf| (path.display().to_string(), path);
    files.extend(shared.into_iter().map(named));
    Ok(files)
}

/// A name for the content: 16 hexadecimal digits of a hash over it.
fn key(items: &[Item]) -> Result<String> {
    const BYTES: usize = 8;
    let mut hash = Sha256::new();
    hash.update(FORM);
    for item in items {
        hash.update(&item.guest);
        match &item.content {
            Content::File(path) => hash.update(crate::cache::sha256(path)?),
            Content::Bytes(bytes) => hash.update(Sha256::digest(bytes)),
        }
    }
    Ok(hex(hash.finalize().get(..BYTES).unwrap_or_default()))
}

fn write<W: Write>(out: W, items: &[Item]) -> io::Result<W> {
    let mut writer = Writer::new(out);
    let mut folders = BTreeSet::new();
    for item in items {
        let name = item.guest.trim_start_matches('/');
        add_parents(&mut writer, name, &mut folders)?;
        match &item.content {
            Content::File(path) => {
                let mut file = File::open(path)?;
                let len = file.metadata()?.len();
                writer.stream(name, 0o755, len, &mut file)?;
            }
            Content::Bytes(bytes) => writer.file(name, 0o644, bytes)?,
        }
    }
    writer.finish()
}

fn add_parents<W: Write>(
    writer: &mut Writer<W>,
    name: &str,
    folders: &mut BTreeSet<String>,
) -> io::Result<()> {
    for (at, _) in name.match_indices('/') {
        let folder = &name[..at];
        if folders.insert(folder.to_owned()) {
            writer.folder(folder)?;
        }
    }
    Ok(())
}

/// Removes all but the newest archives.
fn forget_old(folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).at(folder)?.flatten();
    let mut archives: Vec<_> = entries
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    archives.sort();
    let surplus = archives.len().saturating_sub(KEPT_ARCHIVES);
    for (_, path) in archives.iter().take(surplus) {
        fs::remove_file(path).at(path)?;
    }
    Ok(())
}

/// Joins the archives into one file, as the kernel takes them.
///
/// # Errors
/// There is no room.
pub fn join(archives: &[PathBuf], scenario: &[u8], to: &Path) -> Result<()> {
    let mut file = File::create(to).at(to)?;
    for archive in archives {
        let mut source = File::open(archive).at(archive)?;
        io::copy(&mut source, &mut file).at(to)?;
    }
    file.write_all(scenario).at(to)
}

/// Sees to it that QEMU is there before anything is fetched or built.
///
/// # Errors
/// It is missing; the message says what installs it.
pub fn ensure_tools(board: Board) -> Result<()> {
    tool::run(tool::command(board.qemu()).arg("--version")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_what_is_in_them() {
        let files = [
            ("/a/b/c".to_owned(), b"C".to_vec()),
            ("/a/d".to_owned(), b"D".to_vec()),
        ];
        let bytes = scenario(&files).expect("memory");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let place = |name: &str| text.find(&format!("{name}\0")).expect("an entry");
        assert!(place("a") < place("a/b") && place("a/b") < place("a/b/c"));
        assert_eq!(
            text.matches("070701").count(),
            5,
            "four entries and the trailer"
        );
    }

    #[test]
    fn another_content_is_another_key() {
        let item = |bytes: &[u8]| Item {
            guest: "/x".into(),
            content: Content::Bytes(bytes.to_vec()),
        };
        let same = key(&[item(b"1")]).expect("memory");
        assert_eq!(same, key(&[item(b"1")]).expect("memory"));
        assert_ne!(same, key(&[item(b"2")]).expect("memory"));
    }
}
