//! Images that change while they are read or served: between two reads, in size, in kind, in their
//! boot sectors.

use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, symlink};
use std::time::{Duration, Instant};

use volume::testing::Random;
use volume::{OpenError, ReadAt, Volume};

use super::craft::{self, Craft, FAT16};
use super::look::FOLDERS;
use super::siege::{Budget, HONEST, Siege};
use crate::support::tool;

/// An image that is another one from the n-th read on. It never says that its length changes: it
/// ends sooner than it said.
struct Shifty<'a> {
    before: &'a [u8],
    after: &'a [u8],
    reads: Cell<usize>,
    shift_at: usize,
}

impl ReadAt for Shifty<'_> {
    fn len(&self) -> u64 {
        self.before.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let read = self.reads.replace(self.reads.get() + 1);
        let image = if read < self.shift_at {
            self.before
        } else {
            self.after
        };
        let start = usize::try_from(offset).unwrap().min(image.len());
        let source = image[start..].get(..buf.len());
        buf.copy_from_slice(source.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Reads everything; whatever is true of either image may be said, but nothing panics.
fn use_all(device: &Shifty<'_>) -> Result<(), OpenError> {
    let volume = Volume::open(device)?;
    let mut entries = Vec::new();
    for folder in FOLDERS {
        entries.extend(volume.list(folder).unwrap_or_default());
    }
    let _ = volume.inspect(&entries);
    for entry in &entries {
        if let Ok(content) = volume.read(entry, 1 << 16) {
            assert_eq!(content.len() as u64, u64::from(entry.len_bytes));
        }
    }
    let mut edit = volume.edit();
    let _ = edit.create("prompts/new.txt", HONEST, crate::volume::support::TIME);
    let _ = edit.finish();
    Ok(())
}

#[test]
fn an_image_that_changes_after_any_read() {
    craft::on_both(|mkfs| {
        let mut good = Craft::with(mkfs, &[("honest.txt", HONEST), ("prompts/", b"")]);
        for n in 0..20 {
            good.put(
                &format!("prompts/a prompt with number {n}.txt"),
                &[b'x'; 700],
            );
        }
        let data = good.geometry.data_offset_bytes as usize;
        let zeroed = |from: usize, to: usize| {
            let mut image = good.bytes.clone();
            image[from..to].fill(0);
            image
        };
        let noise = {
            let mut image = good.bytes.clone();
            let mut random = Random::new(7);
            image[512..data + 40_000].fill_with(|| random.byte());
            image
        };
        let fat = good.geometry.fat_offset_bytes as usize;
        let others = [
            zeroed(0, 512),
            zeroed(fat, data),
            zeroed(data, data + 40_000),
            noise,
            good.bytes[..data].to_vec(),
            Vec::new(),
        ];
        for after in &others {
            for shift_at in 0..120 {
                let device = Shifty {
                    before: &good.bytes,
                    after,
                    reads: Cell::new(0),
                    shift_at,
                };
                let _ = use_all(&device);
                assert!(device.reads.get() < 20_000, "{} reads", device.reads.get());
            }
        }
    });
}

/// A thread that changes bytes of the table, the root and the first files while the daemon looks,
/// at first without a pause and then in those that make it look.
#[test]
fn an_image_that_changes_without_end() {
    craft::on_both(|mkfs| {
        let good = Craft::with(mkfs, &[("honest.txt", HONEST), ("prompts/", b"")]);
        let siege = Siege::lay("bytes that change without end", &good);
        let file = File::options().write(true).open(siege.image()).unwrap();
        let from = good.geometry.fat_offset_bytes as usize;
        let places = good.geometry.data_offset_bytes as usize + 20_000 - from;
        let mut random = Random::new(1);
        let mut change = || {
            let at = (from + random.below(places)) as u64;
            file.write_all_at(&[random.byte()], at).unwrap();
        };
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(2) {
            change();
        }
        for _ in 0..6 {
            (0..500).for_each(|_| change());
            std::thread::sleep(Duration::from_millis(600));
        }
        drop(file);
        siege.replace(&good.bytes);
        siege.is_answered("afterwards");
        siege.wait_for("honest.response.txt");
        siege.end(Budget::HONEST);
    });
}

#[test]
fn an_image_that_shrinks_and_grows() {
    let good = Craft::with(FAT16, &[("honest.txt", HONEST)]);
    let siege = Siege::lay("an image that shrinks and grows", &good);
    siege.wait_for("honest.response.txt");
    siege.wait_for_rest();
    let whole = siege.bytes();
    for len in [whole.len() / 2, 1_000, 512, 0] {
        let file = File::options().write(true).open(siege.image()).unwrap();
        file.set_len(len as u64).unwrap();
        drop(file);
        std::thread::sleep(Duration::from_millis(1_500));
        assert!(siege.bytes() == whole[..len], "the image changed");
    }
    siege.daemon().wait_logged("trying again");
    siege.replace(&whole);
    siege.is_answered("afterwards");
    let file = File::options().write(true).open(siege.image()).unwrap();
    file.set_len(2 * whole.len() as u64).unwrap();
    drop(file);
    siege.is_answered("larger");
    siege.end(Budget::HONEST);
}

/// Something else under the image's name: a pipe that nobody writes to, a folder, a link to itself,
/// to a device without end, to nothing.
#[test]
fn an_image_that_is_none_any_more() {
    let good = Craft::with(FAT16, &[("honest.txt", HONEST)]);
    let siege = Siege::lay("an image that is none any more", &good);
    siege.wait_for("honest.response.txt");
    siege.wait_for_rest();
    let (image, aside) = (siege.image(), siege.folder().join("aside.img"));
    fs::rename(&image, &aside).unwrap();
    let whole = fs::read(&aside).unwrap();
    let kinds: [(&str, &dyn Fn()); 5] = [
        ("a pipe", &|| _ = tool::run("mkfifo", [image.as_os_str()])),
        ("a folder", &|| fs::create_dir(&image).unwrap()),
        ("a link to itself", &|| symlink(&image, &image).unwrap()),
        ("a device", &|| symlink("/dev/zero", &image).unwrap()),
        ("a link to nothing", &|| {
            symlink("/nowhere", &image).unwrap();
        }),
    ];
    for (kind, make) in kinds {
        make();
        let lines = siege.daemon().log().lines().count();
        // It is tried again every two seconds.
        std::thread::sleep(Duration::from_millis(2_500));
        let log = siege.daemon().log();
        assert!(log.lines().count() <= lines + 2, "{kind}: {log}");
        if image.is_dir() && !image.is_symlink() {
            fs::remove_dir(&image).unwrap();
        } else {
            fs::remove_file(&image).unwrap();
        }
    }
    fs::rename(&aside, &image).unwrap();
    assert!(siege.bytes() == whole, "the image changed");
    siege.is_answered("afterwards");
    siege.end(Budget::HONEST);
}

/// Offset in the boot sector, and what it says instead. Offsets: Microsoft's specification.
fn lies(is_fat32: bool) -> Vec<(u64, &'static [u8])> {
    let mut lies: Vec<(u64, &[u8])> = vec![
        (11, &[0xFF, 0xFF]),
        (11, &[0, 0]),
        (11, &[0, 0x10]),
        (13, &[0]),
        (13, &[3]),
        (13, &[0x80]),
        (14, &[0, 0]),
        (14, &[0xFF, 0xFF]),
        (16, &[0]),
        (16, &[1]),
        (16, &[0xFF]),
        (17, &[0, 0]),
        (17, &[0xFF, 0xFF]),
        (19, &[1, 0]),
        (22, &[0xFF, 0xFF]),
        (510, &[0, 0]),
    ];
    if is_fat32 {
        lies.extend([
            (32, &[0xFF; 4][..]),
            (36, &[0xFF; 4]),
            (36, &[0; 4]),
            (44, &[0; 4]),
            (44, &[0xFF; 4]),
            (48, &[0xFF; 2]),
        ]);
    }
    lies
}

#[test]
fn a_boot_sector_that_lies() {
    craft::on_both(|mkfs| {
        let good = Craft::with(mkfs, &[("honest.txt", HONEST)]);
        for (at, bytes) in lies(mkfs.fat == 32) {
            let mut craft = good.clone();
            craft.boot(at, bytes);
            let device = Shifty {
                before: &craft.bytes,
                after: &[],
                reads: Cell::new(0),
                shift_at: usize::MAX,
            };
            let _ = use_all(&device);
            assert!(
                device.reads.get() < 20_000,
                "{at}: {} reads",
                device.reads.get()
            );
        }
    });
}

#[test]
fn a_boot_sector_that_begins_to_lie_while_it_is_served() {
    craft::on_both(lie_while_serving);
}

fn lie_while_serving(mkfs: crate::volume::support::Mkfs) {
    let good = Craft::with(mkfs, &[("honest.txt", HONEST)]);
    let siege = Siege::lay("a boot sector that begins to lie", &good);
    siege.wait_for("honest.response.txt");
    siege.wait_for_rest();
    let whole = siege.bytes();
    let file = File::options().write(true).open(siege.image()).unwrap();
    for (at, bytes) in lies(mkfs.fat == 32) {
        file.write_all_at(bytes, at).unwrap();
        // Long enough to be looked at.
        std::thread::sleep(Duration::from_millis(700));
        let mut expected = whole.clone();
        expected[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        assert!(
            siege.bytes() == expected,
            "the image changed after {at}: {bytes:?}"
        );
        file.write_all_at(&whole[..512], 0).unwrap();
    }
    drop(file);
    siege.is_answered("afterwards");
    siege.end(Budget::HONEST);
}
