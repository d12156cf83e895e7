//! The judges as functions, and the small helpers that the tests share. A tool that is missing is
//! a failure that says what to install.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::support::tool;
use volume::{ChangeSet, FatTime, FatType, Geometry, ImageFile, ReadAt, Volume, WriteAt};

/// A time to give where any will do: 2024-05-06 07:08:10.
pub const TIME: FatTime = FatTime {
    date: 44 << 9 | 5 << 5 | 6,
    time: 7 << 11 | 8 << 5 | 5,
};
pub const KIB: usize = 1024;
pub const MIB: u64 = 1024 * 1024;

/// How to make an image with `mkfs.fat`.
#[derive(Clone, Copy, Debug)]
pub struct Mkfs {
    pub fat: u8,
    pub mib: u64,
    pub sector_bytes: u32,
    /// `None` leaves the choice to `mkfs.fat`.
    pub cluster_bytes: Option<u32>,
}

impl Mkfs {
    pub const FAT16: Self = Self {
        fat: 16,
        mib: 8,
        sector_bytes: 512,
        cluster_bytes: Some(1024),
    };
    /// Fewer clusters than FAT32 should have. Linux, Windows, `fsck.fat` and we take it for FAT32
    /// all the same; mtools and `fatfs` do not.
    pub const FAT32: Self = Self {
        fat: 32,
        mib: 4,
        sector_bytes: 512,
        cluster_bytes: Some(512),
    };

    pub fn make(self, image: &Path) {
        fs::File::create(image)
            .unwrap()
            .set_len(self.mib * MIB)
            .unwrap();
        let mut command = tool::command("mkfs.fat");
        command.args([
            "-F",
            &self.fat.to_string(),
            "-S",
            &self.sector_bytes.to_string(),
        ]);
        if let Some(cluster_bytes) = self.cluster_bytes {
            command.args(["-s", &(cluster_bytes / self.sector_bytes).to_string()]);
        }
        command
            .args(["-n", "JUDGED", "-i", "1234ABCD", "--invariant"])
            .arg(image);
        tool::expect(&mut command);
    }
}

/// A temporary folder with an image made by `mkfs.fat` in it.
pub fn made(mkfs: Mkfs) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("stick.img");
    mkfs.make(&image);
    (folder, image)
}

/// `fsck.fat -n` must find nothing to mend. `offset_bytes` is where the volume starts.
pub fn fsck_at(image: &Path, offset_bytes: u64) {
    if offset_bytes == 0 {
        tool::expect(tool::command("fsck.fat").arg("-n").arg(image));
        return;
    }
    let mut whole = fs::File::open(image).unwrap();
    whole.seek(SeekFrom::Start(offset_bytes)).unwrap();
    let mut part = tempfile::NamedTempFile::new().unwrap();
    io::copy(&mut whole, &mut part).unwrap();
    tool::expect(tool::command("fsck.fat").arg("-n").arg(part.path()));
}

pub fn fsck(image: &Path) {
    fsck_at(image, 0);
}

/// What `fsck.fat -n` says of bytes in memory.
pub fn fsck_bytes(image: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(image).unwrap();
    fsck(file.path());
}

/// `mcopy` into the image; `target` is a path on the volume.
pub fn mcopy_in(image: &Path, content: &[u8], target: &str) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    tool::expect(
        tool::command("mcopy")
            .arg("-i")
            .arg(image)
            .arg(file.path())
            .arg(format!("::{target}")),
    );
}

/// `mtype`: the bytes of a file on the volume.
pub fn mtype(image: &Path, path: &str) -> Vec<u8> {
    tool::expect(
        tool::command("mtype")
            .arg("-i")
            .arg(image)
            .arg(format!("::{path}")),
    )
    .stdout
}

pub fn mmd(image: &Path, path: &str) {
    tool::expect(
        tool::command("mmd")
            .arg("-i")
            .arg(image)
            .arg(format!("::{path}")),
    );
}

/// `mdir -/ -b`: all paths on the volume, sorted.
pub fn mdir(image: &Path) -> Vec<String> {
    let output = tool::expect(
        tool::command("mdir")
            .args(["-/", "-a", "-b", "-i"])
            .arg(image)
            .arg("::"),
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let mut paths: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("::/"))
        .map(|path| path.trim_end_matches('/').to_owned())
        .collect();
    paths.sort();
    paths
}

pub fn open(image: &Path) -> Volume<ImageFile> {
    Volume::open(ImageFile::open_read_only(image).unwrap()).unwrap()
}

/// All paths that we see, sorted.
pub fn our_paths(image: &Path) -> Vec<String> {
    let volume = open(image);
    let mut paths = Vec::new();
    let mut waiting = vec![String::new()];
    while let Some(folder) = waiting.pop() {
        for entry in volume.list(&folder).unwrap() {
            let path = if folder.is_empty() {
                entry.name.clone()
            } else {
                format!("{folder}/{}", entry.name)
            };
            if entry.is_dir() {
                waiting.push(path.clone());
            }
            paths.push(path);
        }
    }
    paths.sort();
    paths
}

/// Our reading of a file, after its inspection found nothing wrong.
pub fn our_read(image: &Path, path: &str) -> Vec<u8> {
    let volume = open(image);
    let entry = volume
        .find(path)
        .unwrap()
        .unwrap_or_else(|| panic!("{path:?} is not there"));
    let inspections = volume.inspect(std::slice::from_ref(&entry)).unwrap();
    assert_eq!(inspections[0].problems, [], "{path:?}");
    volume.read(&entry, u64::from(u32::MAX)).unwrap()
}

/// One edit of an image file. Written without a journal and without syncs: what publishing adds
/// has tests of its own, and a hundred syncs take a minute.
pub fn edit(image: &Path, change: impl FnOnce(&mut volume::Edit<'_, ImageFile>)) {
    let volume = open(image);
    let mut edit = volume.edit();
    change(&mut edit);
    let changes = edit.finish().unwrap();
    let mut device = ImageFile::open_read_write(image).unwrap();
    for sector in changes.sectors() {
        device.write_at(sector.offset_bytes, &sector.after).unwrap();
    }
}

/// The whole image.
pub fn bytes(image: &Path) -> Vec<u8> {
    let mut content = Vec::new();
    fs::File::open(image)
        .unwrap()
        .read_to_end(&mut content)
        .unwrap();
    content
}

/// Bytes that differ from file to file and from place to place, without NULs.
pub fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut random = volume::testing::Random::new(seed);
    (0..len).map(|_| random.byte() | 1).collect()
}

/// The image as the `fatfs` crate sees it. It takes only volumes of the right number of clusters.
pub fn fatfs_open(image: &Path) -> fatfs::FileSystem<fs::File> {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(image)
        .unwrap();
    fatfs::FileSystem::new(file, fatfs::FsOptions::new()).unwrap()
}

/// `fatfs`'s reading of a file.
pub fn fatfs_read(image: &Path, path: &str) -> Vec<u8> {
    let system = fatfs_open(image);
    let mut content = Vec::new();
    system
        .root_dir()
        .open_file(path)
        .unwrap()
        .read_to_end(&mut content)
        .unwrap();
    content
}

/// Writes a file with `fatfs`.
pub fn fatfs_write(image: &Path, path: &str, content: &[u8]) {
    let system = fatfs_open(image);
    let mut file = system.root_dir().create_file(path).unwrap();
    file.truncate().unwrap();
    file.write_all(content).unwrap();
    drop(file);
    system.unmount().unwrap();
}

/// A small volume in memory, made by `mkfs.fat`.
pub fn in_memory(mkfs: Mkfs) -> Vec<u8> {
    let (_folder, image) = made(mkfs);
    bytes(&image)
}

/// Applies a change set to an image in memory.
pub fn apply(image: &mut [u8], changes: &ChangeSet) {
    for sector in changes.sectors() {
        let at = usize::try_from(sector.offset_bytes).unwrap();
        image[at..at + sector.after.len()].copy_from_slice(&sector.after);
    }
}

/// One edit of an image in memory.
pub fn edit_bytes(image: &mut Vec<u8>, change: impl FnOnce(&mut volume::Edit<'_, &Vec<u8>>)) {
    let changes = {
        let volume = Volume::open(&*image).unwrap();
        let mut edit = volume.edit();
        change(&mut edit);
        edit.finish().unwrap()
    };
    apply(image, &changes);
}

/// Where the entry of a cluster is in a copy of the table.
pub fn table_entry_at(geometry: &Geometry, copy: u64, cluster: u32) -> usize {
    let in_copy = u64::from(cluster) * u64::from(geometry.fat_type.entry_bytes());
    usize::try_from(geometry.fat_offset_bytes + copy * geometry.fat_bytes + in_copy).unwrap()
}

/// Writes a table entry in both copies.
pub fn set_table_entry(image: &mut [u8], geometry: &Geometry, cluster: u32, value: u32) {
    for copy in 0..u64::from(geometry.fat_copies) {
        let at = table_entry_at(geometry, copy, cluster);
        let count = usize::try_from(geometry.fat_type.entry_bytes()).unwrap();
        image[at..at + count].copy_from_slice(&value.to_le_bytes()[..count]);
    }
}

/// The last cluster of a chain, by the first copy of the table.
pub fn last_cluster(image: &[u8], geometry: &Geometry, first: u32) -> u32 {
    let mut cluster = first;
    loop {
        let at = table_entry_at(geometry, 0, cluster);
        let next = match geometry.fat_type {
            FatType::Fat16 => u32::from(u16::from_le_bytes(*image[at..].first_chunk().unwrap())),
            FatType::Fat32 => u32::from_le_bytes(*image[at..].first_chunk().unwrap()) & 0x0FFF_FFFF,
        };
        if !geometry.has_cluster(next) {
            return cluster;
        }
        cluster = next;
    }
}

/// The end mark of a type.
pub fn end_mark(geometry: &Geometry) -> u32 {
    match geometry.fat_type {
        FatType::Fat16 => 0xFFFF,
        FatType::Fat32 => 0x0FFF_FFFF,
    }
}

/// Leaves a whole journal that makes a file, as it lies when the power goes while it is applied.
pub fn interrupt(image: &Path, journal: &Path, name: &str, content: &[u8]) {
    let changes = {
        let volume = open(image);
        let mut edit = volume.edit();
        edit.create(name, content, TIME).unwrap();
        edit.finish().unwrap()
    };
    let mut dying = Dying(ImageFile::open_read_write(image).unwrap());
    assert!(volume::publish(&mut dying, journal, &changes).is_err());
}

/// Loses power at the first write.
struct Dying(ImageFile);

impl ReadAt for Dying {
    fn len(&self) -> u64 {
        self.0.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buf)
    }
}

impl WriteAt for Dying {
    fn write_at(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::Error::other("the power is off"))
    }
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
