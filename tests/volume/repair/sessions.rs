//! What a host leaves that vanishes in the middle of its work: any prefix and many subsets of the
//! sectors that it would have written.

use std::cell::RefCell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use volume::testing::Random;

use super::*;

/// Prefixes, and subsets, of a session that are tried.
const SUBSETS: u64 = 60;

/// Offsets and bytes, in order.
type Writes = Vec<(u64, Vec<u8>)>;

/// A device that remembers what is written to it.
struct Recorder {
    image: Vec<u8>,
    at: u64,
    writes: Rc<RefCell<Writes>>,
}

impl Read for Recorder {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.image.read_at(self.at, buf)?;
        self.at += buf.len() as u64;
        Ok(buf.len())
    }
}

impl Write for Recorder {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.image.write_at(self.at, buf)?;
        self.writes.borrow_mut().push((self.at, buf.to_vec()));
        self.at += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Recorder {
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        let base = |base: u64, by: i64| base.checked_add_signed(by);
        let at = match pos {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => base(self.at, by),
            SeekFrom::End(by) => base(self.image.as_slice().len() as u64, by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Somebody works with the volume: copies, overwrites, appends, makes folders, renames, removes.
fn fatfs_session(image: &[u8]) -> Writes {
    let writes = Rc::default();
    let device = Recorder {
        image: image.to_vec(),
        at: 0,
        writes: Rc::clone(&writes),
    };
    let system = fatfs::FileSystem::new(device, fatfs::FsOptions::new()).unwrap();
    let root = system.root_dir();
    let put = |path: &str, content: &[u8]| {
        let mut file = root.create_file(path).unwrap();
        file.truncate().unwrap();
        file.write_all(content).unwrap();
        file.flush().unwrap();
    };
    put(
        "prompts/a new prompt with a long name.txt",
        &support::content(50, 3000),
    );
    root.create_dir("prompts/another").unwrap();
    put("prompts/another/inside.txt", &support::content(51, 700));
    put("A.TXT", &support::content(52, 6000));
    let mut file = root.open_file("B.TXT").unwrap();
    file.seek(SeekFrom::End(0)).unwrap();
    file.write_all(&support::content(53, 2000)).unwrap();
    drop(file);
    root.remove("prompts/question number 1 of thirty.txt")
        .unwrap();
    root.rename("question number 3 of thirty.txt", &root, "renamed.txt")
        .unwrap();
    root.rename("prompts/a folder with a long name", &root, "moved")
        .unwrap();
    for number in 0..20 {
        put(
            &format!("prompts/another/file number {number}.txt"),
            &support::content(number, 100),
        );
    }
    drop(root);
    system.unmount().unwrap();
    by_sector(image, &writes.take())
}

/// The writes as a host sends them: whole sectors, and what changes in one without a pause at once.
fn by_sector(image: &[u8], writes: &Writes) -> Writes {
    let mut image = image.to_vec();
    let mut sectors: Writes = Vec::new();
    for (at, data) in writes {
        image.write_at(*at, data).unwrap();
        let last = at + data.len().max(1) as u64 - 1;
        for sector in at / 512..=last / 512 {
            let start = usize::try_from(sector * 512).unwrap();
            let content = image[start..start + 512].to_vec();
            match sectors.last_mut() {
                Some((same, before)) if *same == start as u64 => *before = content,
                _ => sectors.push((start as u64, content)),
            }
        }
    }
    sectors
}

/// The same with mtools, whose writes are known as the sectors that each command changed.
fn mtools_session(image: &[u8]) -> Writes {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(image).unwrap();
    let path = file.path().to_owned();
    let mut writes = Vec::new();
    let mut before = image.to_vec();
    let mut step = |act: &dyn Fn()| {
        act();
        let after = support::bytes(&path);
        for (number, (old, new)) in before.chunks(512).zip(after.chunks(512)).enumerate() {
            if old != new {
                writes.push((number as u64 * 512, new.to_vec()));
            }
        }
        before = after;
    };
    let mtools = |name: &str, arguments: &[&str]| {
        let mut command = tool::command(name);
        tool::expect(command.arg("-i").arg(&path).args(arguments));
    };
    step(&|| {
        support::mcopy_in(
            &path,
            &support::content(60, 4000),
            "prompts/with mtools.txt",
        );
    });
    step(&|| support::mmd(&path, "folder of mtools"));
    step(&|| support::mcopy_in(&path, &support::content(61, 1500), "folder of mtools/x.txt"));
    step(&|| mtools("mdel", &["::A.TXT"]));
    step(&|| {
        mtools(
            "mmove",
            &["::prompts/a folder with a long name", "::folder of mtools"],
        );
    });
    step(&|| mtools("mren", &["::B.TXT", "::C.TXT"]));
    step(&|| support::mcopy_in(&path, &support::content(62, 9000), "reuses.txt"));
    writes
}

/// What the host had not touched must be as it was, whatever is judged complete in between.
#[track_caller]
fn cut_session(base: &[u8], writes: &Writes, geometry: &Geometry) {
    let dirty_at = if geometry.fs_info_offset_bytes.is_some() {
        0x41
    } else {
        0x25
    };
    let prefixes = (0..=writes.len()).step_by((writes.len() / SUBSETS as usize).max(1));
    for prefix in prefixes {
        let mut image = base.to_vec();
        for (at, data) in &writes[..prefix] {
            image.write_at(*at, data).unwrap();
        }
        image[dirty_at] |= 1;
        mended(&mut image);
    }
    for seed in 0..SUBSETS {
        let mut random = Random::new(seed);
        let mut image = base.to_vec();
        // Everything up to a point is there, or most; of what follows, any part; sectors are whole.
        let until = random.below(writes.len());
        for (number, (at, data)) in writes.iter().enumerate() {
            if number < until && random.below(10) > 0 || random.below(3) == 0 {
                let len = if random.below(4) == 0 {
                    data.len().min(512)
                } else {
                    data.len()
                };
                image.write_at(*at, &data[..len]).unwrap();
            }
        }
        image[dirty_at] |= 1;
        println!("subset with seed {seed}");
        mended(&mut image);
    }
}

#[test]
fn a_session_of_fatfs_cut_anywhere() {
    // `fatfs` takes FAT32 only with as many clusters as it should have.
    let fat32 = Mkfs {
        mib: 34,
        ..Mkfs::FAT32
    };
    for mkfs in [KINDS[0], fat32] {
        let base = sample(mkfs);
        let geometry = Volume::open(&base).unwrap().geometry().clone();
        let writes = fatfs_session(&base);
        assert!(writes.len() > 100, "{}", writes.len());
        cut_session(&base, &writes, &geometry);
    }
}

#[test]
fn a_session_of_mtools_cut_anywhere() {
    let base = sample(KINDS[0]);
    let geometry = Volume::open(&base).unwrap().geometry().clone();
    let writes = mtools_session(&base);
    assert!(writes.len() > 40, "{}", writes.len());
    cut_session(&base, &writes, &geometry);
}
