//! A FAT volume in a host's cache: `fatfs` for the logic, our order for the writes. Used by the
//! models.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, Write};

use fatfs::{FileSystem, FsOptions};

use super::cache::{Blocks, Cache};
use super::layout::{self, Layout, Region};
use crate::Result;
use crate::error::Doing;
use crate::scsi::BLOCK_BYTES;

/// Where a host leaves a note that the volume is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// In the boot sector and in the table, as Windows.
    Both,
    /// In the table, as macOS.
    Table,
}

/// A volume as a host has it.
pub struct Volume<B: Blocks> {
    cache: Cache<B>,
    layout: Layout,
    /// Clusters' blocks that are known to belong to folders.
    folders: BTreeSet<u32>,
    /// What the mark in the boot sector is to be; `fatfs` has its own idea of it.
    boot_mark: u8,
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
        Ok(Self {
            cache,
            layout,
            folders: BTreeSet::new(),
            boot_mark: boot[layout.boot_mark()],
        })
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
        self.with_files("creating a file", |files| {
            files.root_dir().create_file(path)?.truncate()
        })?;
        let touched = self.cache.dirty();
        let of_folders = touched.filter(|&at| self.layout.region(at) == Region::Clusters);
        self.folders.extend(of_folders.collect::<Vec<_>>());
        self.send_metadata()
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

    fn fill_cached(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.with_files("writing a file", |files| {
            let mut file = files.root_dir().open_file(path)?;
            file.write_all(content)?;
            file.flush()
        })
    }

    /// Sets or clears the dirty marks, and sends them.
    ///
    /// # Errors
    /// The device refuses.
    pub fn mark(&mut self, marks: Marks, dirty: bool) -> Result<()> {
        if marks == Marks::Both {
            self.boot_mark = u8::from(dirty);
        }
        let (offset, clean_bit) = self.layout.table_mark();
        for fat in 0..self.layout.fats {
            let at = self.layout.fat + fat * self.layout.fat_blocks;
            let mut block = self.cache.block(at)?;
            if dirty {
                block[offset] &= !clean_bit;
            } else {
                block[offset] |= clean_bit;
            }
            self.cache.set_block(at, block);
        }
        self.send_metadata()
    }

    /// Sends tables, then everything else.
    ///
    /// # Errors
    /// The device refuses.
    pub fn send_metadata(&mut self) -> Result<()> {
        let mut boot = self.cache.block(0)?;
        boot[self.layout.boot_mark()] = self.boot_mark;
        self.cache.set_block(0, boot);
        let layout = self.layout;
        self.cache.send(|at| layout.region(at) == Region::Fat)?;
        self.cache.send(|_| true)
    }

    fn with_files<T>(
        &mut self,
        what: &str,
        work: impl FnOnce(&FileSystem<&mut Cache<B>>) -> io::Result<T>,
    ) -> Result<T> {
        // `fatfs` begins where the position is.
        self.cache.rewind().doing(what)?;
        let files = FileSystem::new(&mut self.cache, FsOptions::new()).doing(what)?;
        let value = work(&files).doing(what)?;
        files.unmount().doing(what)?;
        Ok(value)
    }
}
