//! A FAT volume in a host's cache: `fatfs` for the logic, our order for the writes (`sending`).
//! Used by the models.

mod sending;

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, Write};

use fatfs::{Dir, FileSystem, FsOptions, TimeProvider};

use super::cache::{Block, Blocks, Cache};
use super::layout::{self, Layout, Region};
use crate::Result;
use crate::error::Doing;
use crate::scsi::BLOCK_BYTES;

pub use sending::{Marks, Part};

/// Folders within folders that are listed.
const FOLDERS_DEEP: usize = 8;

/// A file or folder as a listing has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// From the top folder, with `/` between.
    pub path: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Length of a file, bytes.
    pub len_bytes: u64,
}

/// A volume as a host has it.
pub struct Volume<B: Blocks> {
    cache: Cache<B>,
    layout: Layout,
    /// Clusters' blocks that are known to belong to folders.
    folders: BTreeSet<u32>,
    options: FsOptions,
}

impl<B: Blocks + Clone> Volume<B> {
    /// Reads the start of the medium.
    ///
    /// # Errors
    /// There is no medium, or no volume on it.
    pub fn open(device: &B) -> Result<Self> {
        let mut first = [0; BLOCK_BYTES];
        device.read(0, &mut first)?;
        let mut cache = Cache::new(device.clone(), layout::volume_start(&first))?;
        let boot = cache.block(0)?;
        let layout = Layout::parse(&boot)?;
        // `fatfs` has its own idea of when a volume is dirty.
        cache.shield(layout.boot_mark() as u64);
        Ok(Self {
            cache,
            layout,
            folders: BTreeSet::new(),
            options: FsOptions::new(),
        })
    }

    /// Gives entries their times; without it they are of 1980.
    pub fn set_clock(&mut self, clock: &'static dyn TimeProvider) {
        self.options = FsOptions::new().time_provider(clock);
    }

    /// All files and folders but `.` and `..`, sorted by path.
    ///
    /// # Errors
    /// The volume is damaged, or the device refuses.
    pub fn list_all(&mut self) -> Result<Vec<Entry>> {
        let mut entries = self.with_files("listing the volume", |files| {
            let mut entries = Vec::new();
            list_into(&files.root_dir(), "", &mut entries)?;
            Ok(entries)
        })?;
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(entries)
    }

    /// Names in the top folder, sorted.
    ///
    /// # Errors
    /// The volume is damaged, or the device refuses.
    pub fn list(&mut self) -> Result<Vec<String>> {
        let mut names = self.with_files("listing the volume", |files| {
            let entries = files.root_dir().iter();
            entries
                .map(|entry| Ok(entry?.file_name()))
                .collect::<io::Result<Vec<_>>>()
        })?;
        names.sort();
        Ok(names)
    }

    /// Reads a file; `None` where there is none.
    ///
    /// # Errors
    /// The volume is damaged, or the device refuses.
    pub fn get(&mut self, path: &str) -> Result<Option<Vec<u8>>> {
        self.with_files("reading a file", |files| {
            let mut content = Vec::new();
            match files.root_dir().open_file(path) {
                Ok(mut file) => file.read_to_end(&mut content)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            Ok(Some(content))
        })
    }

    /// Enters an empty file in its folder; only that is changed, and it is sent.
    ///
    /// # Errors
    /// The volume is full or damaged, or the device refuses.
    pub fn create_empty(&mut self, path: &str) -> Result<()> {
        self.create_cached(path)?;
        self.send_metadata()
    }

    /// Enters an empty file, or empties the one that is there, in the cache.
    ///
    /// # Errors
    /// The volume is full or damaged, or the device refuses a read.
    pub fn create_cached(&mut self, path: &str) -> Result<()> {
        self.change_folders("creating a file", |files| {
            files.root_dir().create_file(path)?.truncate()
        })
    }

    /// Removes a file or an empty folder in the cache.
    ///
    /// # Errors
    /// As [`Volume::create_cached`]; there is none.
    pub fn delete_cached(&mut self, path: &str) -> Result<()> {
        self.change_folders("deleting", |files| files.root_dir().remove(path))
    }

    /// Gives a file another path in the cache, over what may be there.
    ///
    /// # Errors
    /// As [`Volume::delete_cached`].
    pub fn rename_cached(&mut self, from: &str, to: &str) -> Result<()> {
        self.change_folders("renaming", |files| {
            let top = files.root_dir();
            match top.remove(to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            top.rename(from, &top, to)
        })
    }

    /// Makes a folder in the cache; one that is there is no error.
    ///
    /// # Errors
    /// As [`Volume::create_cached`].
    pub fn make_folder_cached(&mut self, path: &str) -> Result<()> {
        let before: BTreeSet<u32> = self.cache.dirty().collect();
        self.change_folders("making a folder", |files| {
            files.root_dir().create_dir(path).map(|_| ())
        })?;
        let new = self.dirty(Part::Folders).into_iter();
        for block in new.filter(|block| !before.contains(block)) {
            let content = self.cache.block(block)?;
            if let Some(mut content) = without_long_dots(content) {
                let boot = self.cache.block(0)?;
                // `..` in the top folder is 0 on FAT32 as well, which `fatfs` overlooks.
                let is_top = content[58..60] == boot[44..46] && content[52..54] == boot[46..48];
                if self.layout.is_fat32 && is_top {
                    content[52..54].fill(0);
                    content[58..60].fill(0);
                }
                self.cache.set_block(block, content);
            }
        }
        Ok(())
    }

    /// Writes a file's content: data first, then the tables, then the entry with its size.
    ///
    /// # Errors
    /// As [`Volume::create_empty`].
    pub fn fill(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.fill_cached(path, content)?;
        let (layout, folders) = (self.layout, self.folders.clone());
        let is_data = |at| layout.region(at) == Region::Clusters && !folders.contains(&at);
        self.cache.send(is_data)?;
        self.send_metadata()
    }

    /// Writes a file's content and its entry, and keeps back the tables, without which the entry
    /// names clusters that are free; [`Volume::send_metadata`] sends them.
    ///
    /// # Errors
    /// As [`Volume::create_empty`].
    pub fn fill_keeping_table(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.fill_cached(path, content)?;
        let layout = self.layout;
        self.cache
            .send(|at| matches!(layout.region(at), Region::TopFolder | Region::Clusters))
    }

    /// Writes a file's content over what it begins with, in the cache; what is longer stays.
    ///
    /// # Errors
    /// As [`Volume::create_cached`].
    pub fn fill_cached(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.with_files("writing a file", |files| {
            let mut file = files.root_dir().open_file(path)?;
            file.write_all(content)?;
            file.flush()
        })
    }

    /// A change after which the clusters' blocks that it touched are known to belong to folders.
    fn change_folders(
        &mut self,
        what: &str,
        work: impl FnOnce(&FileSystem<&mut Cache<B>>) -> io::Result<()>,
    ) -> Result<()> {
        let before: BTreeSet<u32> = self.cache.dirty().collect();
        let result = self.with_files(what, work);
        let touched = self.cache.dirty().filter(|at| !before.contains(at));
        let of_folders = touched.filter(|&at| self.layout.region(at) == Region::Clusters);
        self.folders.extend(of_folders);
        result
    }

    fn with_files<T>(
        &mut self,
        what: &str,
        work: impl FnOnce(&FileSystem<&mut Cache<B>>) -> io::Result<T>,
    ) -> Result<T> {
        // `fatfs` begins where the position is.
        self.cache.rewind().doing(what)?;
        let files = FileSystem::new(&mut self.cache, self.options).doing(what)?;
        let value = work(&files).doing(what)?;
        files.unmount().doing(what)?;
        Ok(value)
    }
}

/// `fatfs` gives `.` and `..` of a new folder long names, which no host does and no checker likes:
/// the folder's first block without them, where it has them.
fn without_long_dots(block: Block) -> Option<Block> {
    const ENTRY_BYTES: usize = 32;
    const LONG_NAME: u8 = 0x0f;
    let entry = |at: usize| &block[at * ENTRY_BYTES..][..ENTRY_BYTES];
    let is_long = |at: usize| entry(at)[11] == LONG_NAME;
    let is_dots = is_long(0) && &entry(1)[..2] == b". " && is_long(2) && &entry(3)[..2] == b"..";
    let mut short = [0; BLOCK_BYTES];
    short[..ENTRY_BYTES].copy_from_slice(entry(1));
    short[ENTRY_BYTES..2 * ENTRY_BYTES].copy_from_slice(entry(3));
    is_dots.then_some(short)
}

fn list_into<B: Blocks>(
    folder: &Dir<'_, &mut Cache<B>>,
    prefix: &str,
    entries: &mut Vec<Entry>,
) -> io::Result<()> {
    for entry in folder.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name == "." || name == ".." {
            continue;
        }
        let path = format!("{prefix}{name}");
        entries.push(Entry {
            is_folder: entry.is_dir(),
            len_bytes: entry.len(),
            path: path.clone(),
        });
        // A damaged volume may have a loop of folders.
        if entry.is_dir() && path.matches('/').count() < FOLDERS_DEEP {
            list_into(&entry.to_dir(), &format!("{path}/"), entries)?;
        }
    }
    Ok(())
}
