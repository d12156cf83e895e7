//! The simulated world without a device in it: hosts leave clean volumes and what they believe is
//! there; a cut of the power loses what was not acknowledged, and nothing else; a device that takes
//! what is held, or writes what is lent, is seen. `fsck.fat` and `fatfs` judge.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use volume::testing::{PagedImage, Random};
use volume::{ReadAt, WriteAt};

use super::disk::Disk;
use super::host::{Belief, Host, KINDS, Kind, Log, Violation};
use super::usb::{Medium, Usb};
use crate::tool;

/// Histories of each kind.
const SEEDS: u64 = 40;
/// No history is longer, ms.
const END_MS: u64 = 3_600_000;

/// A volume with clusters of one sector, as small as FAT16 can be.
pub fn formatted() -> PagedImage {
    let mut image = Cursor::new(vec![0; 5000 * 512]);
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat16)
        .bytes_per_cluster(512);
    fatfs::format_volume(&mut image, options).unwrap();
    image.get_ref().as_slice().into()
}

struct World {
    disk: Disk,
    usb: Usb,
    host: Host,
    log: Log,
    now_ms: u64,
}

impl World {
    fn new(kind: Kind, seed: u64) -> Self {
        let disk = Disk::new(formatted());
        let usb = Usb::new(disk.clone());
        usb.insert(0, Medium::Stick);
        usb.bind();
        let log = Log::collecting();
        let (random, belief) = (Random::new(seed), Belief::default());
        let host = Host::new(kind, random, usb.clone(), belief, 0, log.clone());
        Self {
            disk,
            usb,
            host,
            log,
            now_ms: 0,
        }
    }

    /// Until `end` holds, or nothing happens any more.
    fn run(&mut self, end: impl Fn(&Self) -> bool) {
        while !end(self) {
            let next_ms = [self.usb.next_ms(), self.host.next_ms()];
            let Some(next_ms) = next_ms.into_iter().flatten().min() else {
                return;
            };
            self.now_ms = self.now_ms.max(next_ms);
            assert!(self.now_ms < END_MS, "no end:\n{}", self.story());
            self.usb.step(self.now_ms);
            self.host.step(self.now_ms);
        }
    }

    fn let_go(&mut self) {
        self.run(|world| world.host.is_done());
        self.host.let_go(self.now_ms);
        self.run(|world| world.host.is_done());
    }

    fn story(&self) -> String {
        self.log.lines().join("\n")
    }
}

/// The whole image, in memory.
pub fn bytes(image: &PagedImage) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(image.len()).unwrap()];
    image.read_at(0, &mut bytes).unwrap();
    bytes
}

/// A file as `fatfs` reads it; `None` where it is not there, or not to be read.
pub fn file(image: &[u8], path: &str) -> Option<Vec<u8>> {
    let files = FileSystem::new(Cursor::new(image.to_vec()), FsOptions::new()).unwrap();
    let mut content = Vec::new();
    let mut file = files.root_dir().open_file(path).ok()?;
    file.read_to_end(&mut content).ok()?;
    Some(content)
}

/// Files that are certain to be there, or not to be, and are not so.
pub fn broken(belief: &Belief, image: &[u8]) -> Vec<String> {
    let certain = belief
        .files
        .iter()
        .filter_map(|(path, file)| Some((path, file.certain()?)));
    let wrong =
        certain.filter(|(path, wanted)| file(image, path).as_deref() != wanted.map(|c| &**c));
    wrong.map(|(path, _)| path.clone()).collect()
}

fn assert_clean(image: &[u8], story: &str) {
    let copy = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(copy.path(), image).unwrap();
    let output = tool::output(tool::command("fsck.fat").arg("-n").arg(copy.path()), b"");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{story}");
}

#[test]
fn hosts_that_let_go_leave_a_clean_volume_with_what_they_believe() {
    for kind in KINDS.into_iter().filter(|&kind| kind != Kind::Camera) {
        let (mut certain, mut pulled) = (0, 0);
        for seed in 0..SEEDS {
            let mut world = World::new(kind, seed);
            world.let_go();
            assert_eq!(world.host.take_violations(), [], "{}", world.story());
            let image = bytes(&world.disk.snapshot());
            let belief = world.host.belief();
            let none: [String; 0] = [];
            assert_eq!(
                broken(belief, &image),
                none,
                "{kind:?} {seed}\n{}",
                world.story()
            );
            if world.host.is_gone() {
                pulled += 1;
                continue;
            }
            // After a reset the kernel does not flush at ALLOW: a host that unmounts then knows
            // nothing.
            let was_reset = world.story().contains("resets the drive");
            let is_flushed = was_reset || !belief.is_in_flight();
            assert!(is_flushed, "{kind:?} {seed}\n{}", world.story());
            certain += belief
                .files
                .values()
                .filter(|file| file.certain().is_some())
                .count();
            assert_clean(&image, &world.story());
        }
        assert!(
            certain > 20 && pulled > 0,
            "{kind:?}: {certain} files, {pulled} plugs"
        );
    }
}

#[test]
fn a_cut_loses_what_was_not_acknowledged_and_nothing_else() {
    let mut fates = BTreeMap::new();
    for (kind, seed) in KINDS
        .into_iter()
        .flat_map(|kind| (0..SEEDS).map(move |seed| (kind, seed)))
    {
        let mut random = Random::new(seed);
        let mut world = World::new(kind, seed);
        world.disk.cut_after(random.below(600));
        world.run(|world| world.disk.is_off() || world.host.is_done());
        world.usb.power_cut();
        world.disk.power_cut(&mut random);
        let story = world.story();
        let belief = world.host.into_belief();
        let image = bytes(&world.disk.snapshot());
        let none: [String; 0] = [];
        assert_eq!(broken(&belief, &image), none, "{kind:?} {seed}\n{story}");
        for (path, belief) in &belief.files {
            let is_latest = file(&image, path).as_deref() == belief.latest().map(|c| &**c);
            let is_certain = belief.certain().is_some();
            *fates.entry((is_certain, is_latest)).or_insert(0) += 1;
        }
    }
    // What is certain is there; of the rest, some is and some is not.
    for fate in [(true, true), (false, true), (false, false)] {
        assert!(
            fates.get(&fate).is_some_and(|&count| count > 20),
            "{fates:?}"
        );
    }
}

#[test]
fn the_same_seed_is_the_same_history() {
    for kind in KINDS {
        let mut worlds = [World::new(kind, 7), World::new(kind, 7)];
        worlds.iter_mut().for_each(World::let_go);
        let [one, other] = worlds;
        assert_eq!(one.story(), other.story());
        assert!(one.disk.snapshot() == other.disk.snapshot());
    }
}

#[test]
fn a_device_that_takes_a_medium_that_is_held_is_seen() {
    for kind in [Kind::LinuxDefault, Kind::MacOs, Kind::Windows] {
        let mut world = World::new(kind, 3);
        world.run(|world| world.host.belief().is_in_flight());
        // A reset drops the lock; the marks still say that the medium is needed.
        world.usb.reset();
        world.usb.eject(0);
        world.run(|world| world.now_ms > 120_000);
        let violations = world.host.take_violations();
        let first = violations.first();
        let is_seen = matches!(first, Some(Violation::TakenWhileHeld { .. }));
        assert!(is_seen, "{kind:?} {violations:?}\n{}", world.story());
    }
}

#[test]
fn a_device_that_writes_a_medium_that_is_lent_is_seen() {
    let world = World::new(Kind::Windows, 0);
    let mut image = world.disk.image();
    image.write_at(0, &[0xeb]).unwrap();
    assert_eq!(world.disk.take_violations().len(), 1);
    world.usb.eject(0);
    image.write_at(0, &[0xeb]).unwrap();
    assert_eq!(world.disk.take_violations().len(), 0);
}

#[test]
fn an_answer_that_is_swapped_under_a_viewer_is_seen() {
    let with = |content: &[u8]| {
        let mut image = Cursor::new(bytes(&formatted()));
        let files = FileSystem::new(&mut image, FsOptions::new()).unwrap();
        let mut file = files.root_dir().create_file("a.response.txt").unwrap();
        std::io::Write::write_all(&mut file, content).unwrap();
        drop(file);
        files.unmount().unwrap();
        Medium::ReadOnly(image.get_ref().as_slice().into())
    };
    let mut seen = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(Kind::Windows, seed);
        world.usb.insert(1, with(b"one"));
        world.run(|world| world.now_ms > 5000);
        if world
            .host
            .take_readings()
            .iter()
            .all(|reading| reading.lun != 1)
        {
            continue;
        }
        // No gap that any poll could see.
        world.usb.force_eject(1);
        world.usb.insert(1, with(b"two"));
        world.run(|world| world.host.is_done());
        let violations = world.host.take_violations();
        seen += usize::from(
            violations
                .iter()
                .any(|v| matches!(v, Violation::AnswerChanged { .. })),
        );
    }
    assert!(seen > 3, "{seen}");
}

#[test]
fn linux_shows_an_entry_before_its_content_and_is_done_after_a_minute() {
    let mut early_entries = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(Kind::LinuxDefault, seed);
        world.run(|world| world.host.belief().is_in_flight() || world.host.is_done());
        let start_ms = world.now_ms;
        let belief = world.host.belief().clone();
        let Some(path) = belief.files.keys().next() else {
            continue;
        };
        let mut done_ms = None;
        while world.now_ms < start_ms + 70_000 && !world.host.is_done() {
            let until_ms = world.now_ms + 500;
            world.run(|world| world.now_ms >= until_ms || world.host.is_done());
            let found = file(&bytes(&world.disk.snapshot()), path);
            early_entries += usize::from(found.as_deref() == Some(b""));
            let latest = world.host.belief().files[path].latest().cloned();
            if found.is_some() && found.as_deref() == latest.as_deref() {
                done_ms = Some(world.now_ms - start_ms);
                break;
            }
        }
        let story = world.story();
        let is_told = ["sleeps", "pulled", "failed"]
            .iter()
            .any(|why| story.contains(why));
        let was_touched = world.host.belief().files[path].since.len() > 2;
        if !is_told && !was_touched && !world.host.is_done() {
            let is_in_time = done_ms.is_some_and(|done_ms| done_ms < 62_000);
            assert!(is_in_time, "{seed}: {path} {done_ms:?}\n{story}");
        }
    }
    assert!(early_entries > 20, "{early_entries}");
}
