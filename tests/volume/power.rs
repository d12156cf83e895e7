//! The power goes at every single operation of a publication, and of the recovery after it: the
//! volume is exactly the old one or exactly the new one, whatever was lost, torn or reordered.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use volume::testing::{AfterCut, Fate, PagedImage, PowerLab, Random};
use volume::{ChangeSet, JournalStore, ReadAt, Recovery, Volume, WriteAt};

use super::support::{self, Mkfs, TIME};

/// Random fates tried for each cut.
const SEEDS: u64 = 12;

struct Scene {
    old: PagedImage,
    new: PagedImage,
    changes: ChangeSet,
}

/// A response in a folder that must grow for it, and a replaced file.
fn scene(mkfs: Mkfs) -> Scene {
    let mut old = support::in_memory(mkfs);
    support::edit_bytes(&mut old, |edit| {
        edit.make_dir("prompts", TIME).unwrap();
        let mut number = 0;
        // Fill the folder's cluster but for a slot or two; a short name takes one slot.
        while number < mkfs.cluster_bytes.unwrap() / 32 - 4 {
            edit.create(&format!("prompts/F{number}"), b"", TIME)
                .unwrap();
            number += 1;
        }
        edit.create("SETTINGS.error.txt", &support::content(1, 900), TIME)
            .unwrap();
    });
    let changes = {
        let volume = Volume::open(&old).unwrap();
        let mut edit = volume.edit();
        let content = support::content(2, 2500);
        edit.create("prompts/F1.response.txt", &content, TIME)
            .unwrap();
        edit.replace("SETTINGS.error.txt", &support::content(3, 300), TIME)
            .unwrap();
        edit.finish().unwrap()
    };
    let mut new = old.clone();
    support::apply(&mut new, &changes);
    support::fsck_bytes(&old);
    support::fsck_bytes(&new);
    Scene {
        old: old[..].into(),
        new: new[..].into(),
        changes,
    }
}

fn fates(lab: &PowerLab, seed: u64) -> Vec<Fate> {
    let mut fates = vec![Fate::Lost, Fate::Kept];
    if let Some(bytes) = lab.torn_write_bytes() {
        fates.extend((0..bytes).map(Fate::Torn));
    } else {
        // A journal write that stops, or another operation, for which it means "kept".
        fates.extend([0, 1, 40, 47, 48, 511, 512, 2000, 5000].map(Fate::Torn));
    }
    fates.extend((0..SEEDS).map(|number| Fate::Random(seed.wrapping_mul(SEEDS) + number)));
    fates
}

/// Recovers until it is done; the volume must then be one of the two, and the journal gone.
fn settles(scene: &Scene, found: AfterCut) -> bool {
    let lab = PowerLab::new(found, None);
    let recovery = volume::recover_with(&mut lab.device(), &mut lab.journal()).unwrap();
    let AfterCut { image, journal, .. } = lab.seen();
    assert_eq!(journal, None);
    let is_new = image == scene.new;
    assert!(
        is_new || image == scene.old,
        "neither old nor new after {recovery:?}"
    );
    // A change that recovery claims to have completed is there.
    assert!(is_new || !matches!(recovery, Recovery::Replayed { .. }));
    is_new
}

#[test]
fn cut_at_every_operation_of_a_publication() {
    for mkfs in [Mkfs::FAT16, Mkfs::FAT32] {
        let scene = scene(mkfs);
        let (mut old, mut new) = (0_u32, 0_u32);
        for cut_at in 0.. {
            let lab = PowerLab::new(AfterCut::image_only(scene.old.clone()), Some(cut_at));
            let published =
                volume::publish_with(&mut lab.device(), &mut lab.journal(), &scene.changes);
            if !lab.was_cut() {
                published.unwrap();
                assert!(
                    lab.after_cut(Fate::Lost).image == scene.new,
                    "published is durable"
                );
                assert!(lab.after_cut(Fate::Lost).journal.is_none());
                break;
            }
            assert!(published.is_err());
            for fate in fates(&lab, cut_at) {
                if settles(&scene, lab.after_cut(fate)) {
                    new += 1;
                } else {
                    old += 1;
                }
            }
        }
        assert!(
            old > 50 && new > 50,
            "both outcomes occur: {old} old, {new} new"
        );
    }
}

/// A host's last writes are in the device's cache, and no host asked for a flush: they are as
/// volatile as ours. Once there is a journal, they are what it says that was there before.
#[test]
fn what_a_host_did_not_flush_is_durable_before_the_journal() {
    let scene = scene(Mkfs::FAT16);
    let mut older = scene.old.clone();
    let written = changed_sectors(&scene);
    assert!(written.len() > 3);
    for offset in &written {
        older.write_at(*offset, &[0xee; SECTOR_BYTES]).unwrap();
    }
    let mut journals = 0;
    for cut_at in 0.. {
        let lab = PowerLab::new(AfterCut::image_only(older.clone()), Some(cut_at));
        let mut device = lab.device();
        let mut sector = [0; SECTOR_BYTES];
        for offset in &written {
            scene.old.read_at(*offset, &mut sector).unwrap();
            let _ = device.write_at(*offset, &sector);
        }
        let _ = volume::publish_with(&mut device, &mut lab.journal(), &scene.changes);
        if !lab.was_cut() {
            break;
        }
        for fate in fates(&lab, cut_at) {
            let found = lab.after_cut(fate);
            if found.journal.is_some() {
                settles(&scene, found);
                journals += 1;
            }
        }
    }
    assert!(journals > 50, "{journals}");
}

const SECTOR_BYTES: usize = 512;

/// Where the two volumes differ, but for the boot sector.
fn changed_sectors(scene: &Scene) -> Vec<u64> {
    let sector = |image: &PagedImage, offset| {
        let mut sector = [0; SECTOR_BYTES];
        image.read_at(offset, &mut sector).unwrap();
        sector
    };
    let offsets = (0..scene.old.len()).step_by(SECTOR_BYTES).skip(1);
    offsets
        .filter(|&offset| sector(&scene.old, offset) != sector(&scene.new, offset))
        .collect()
}

#[test]
fn cut_at_every_operation_of_a_recovery_too() {
    for mkfs in [Mkfs::FAT16, Mkfs::FAT32] {
        let scene = scene(mkfs);
        let mut random = Random::new(7);
        for cut_at in 0.. {
            let lab = PowerLab::new(AfterCut::image_only(scene.old.clone()), Some(cut_at));
            let _ = volume::publish_with(&mut lab.device(), &mut lab.journal(), &scene.changes);
            if !lab.was_cut() {
                break;
            }
            for fate in [
                Fate::Lost,
                Fate::Kept,
                Fate::Torn(100),
                Fate::Random(random.bits()),
            ] {
                cut_recovery(&scene, &lab.after_cut(fate), &mut random);
            }
        }
    }
}

fn cut_recovery(scene: &Scene, found: &AfterCut, random: &mut Random) {
    for cut_at in 0.. {
        let lab = PowerLab::new(found.clone(), Some(cut_at));
        let _ = volume::recover_with(&mut lab.device(), &mut lab.journal());
        if !lab.was_cut() {
            return;
        }
        for fate in [
            Fate::Lost,
            Fate::Kept,
            Fate::Torn(200),
            Fate::Random(random.bits()),
        ] {
            settles(scene, lab.after_cut(fate));
        }
    }
}

/// A handle of a process that is killed when it has asked for so many things.
struct Killed<T> {
    of: T,
    left: Rc<Cell<usize>>,
}

impl<T> Killed<T> {
    fn ask<R>(&mut self, work: impl FnOnce(&mut T) -> io::Result<R>) -> io::Result<R> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or(io::ErrorKind::NotConnected)?);
        work(&mut self.of)
    }
}

impl<T: ReadAt> ReadAt for Killed<T> {
    fn len(&self) -> u64 {
        self.of.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.of.read_at(offset, buf)
    }
}

impl<T: WriteAt> WriteAt for Killed<T> {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.ask(|device| device.write_at(offset, data))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.ask(WriteAt::sync)
    }
}

impl<T: JournalStore> JournalStore for Killed<T> {
    fn len_bytes(&self) -> io::Result<Option<u64>> {
        self.of.len_bytes()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.of.read_at(offset, buf)
    }

    fn create(&mut self) -> io::Result<()> {
        self.ask(JournalStore::create)
    }

    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        self.ask(|journal| journal.append(data))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.ask(JournalStore::sync)
    }

    fn commit(&mut self) -> io::Result<()> {
        self.ask(JournalStore::commit)
    }

    fn abandon(&mut self) -> io::Result<()> {
        self.ask(JournalStore::abandon)
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.ask(JournalStore::sync_folder)
    }

    fn remove(&mut self) -> io::Result<()> {
        self.ask(JournalStore::remove)
    }

    fn put_aside(&mut self) -> io::Result<()> {
        self.ask(JournalStore::put_aside)
    }
}

/// The journal that a killed process has left may be in a cache only, and nobody can tell.
#[test]
fn killed_at_every_operation_and_cut_at_every_one_of_the_recovery() {
    let scene = scene(Mkfs::FAT16);
    let mut random = Random::new(11);
    let mut replayed = 0;
    for asks in 0.. {
        let mut was_killed = false;
        for cut_at in 0.. {
            let lab = PowerLab::new(AfterCut::image_only(scene.old.clone()), Some(cut_at));
            let left = Rc::new(Cell::new(asks));
            let (of, shared) = (lab.device(), left.clone());
            let mut device = Killed { of, left: shared };
            let (of, shared) = (lab.journal(), left.clone());
            let mut journal = Killed { of, left: shared };
            let published = volume::publish_with(&mut device, &mut journal, &scene.changes);
            if lab.was_cut() {
                continue;
            }
            was_killed = published.is_err();
            let _ = volume::recover_with(&mut lab.device(), &mut lab.journal());
            if !lab.was_cut() {
                break;
            }
            for fate in [Fate::Lost, Fate::Kept, Fate::Random(random.bits())] {
                replayed += u32::from(settles(&scene, lab.after_cut(fate)));
            }
        }
        if !was_killed {
            break;
        }
    }
    assert!(replayed > 50, "{replayed}");
}

#[test]
fn a_failing_device_is_not_a_foreign_one() {
    let scene = scene(Mkfs::FAT16);
    let lab = PowerLab::new(AfterCut::image_only(scene.old.clone()), Some(6));
    assert!(volume::publish_with(&mut lab.device(), &mut lab.journal(), &scene.changes).is_err());
    let found = lab.after_cut(Fate::Kept);
    assert!(found.journal.is_some());
    // The device is dead, the journal is not: an error, and the journal stays.
    let dead = PowerLab::new(found.clone(), Some(0));
    assert!(WriteAt::sync(&mut dead.device()).is_err());
    let alive = PowerLab::new(found, None);
    assert!(volume::recover_with(&mut dead.device(), &mut alive.journal()).is_err());
    assert!(alive.seen().journal.is_some());
}

/// After a sync that failed, what it was for stays in the system's cache as if it were written, and
/// no later sync writes it: what has to last is written again.
#[test]
fn an_operation_fails_and_the_power_is_cut_in_the_recovery() {
    let scene = scene(Mkfs::FAT16);
    let mut random = Random::new(13);
    let mut replayed = 0;
    for first in 0.. {
        let mut has_failed = false;
        for fail_at in [vec![first], vec![first, first + 1]] {
            for cut_at in 0.. {
                let lab = PowerLab::new(AfterCut::image_only(scene.old.clone()), Some(cut_at));
                lab.fail_at(&fail_at);
                let (mut device, mut journal) = (lab.device(), lab.journal());
                let published = volume::publish_with(&mut device, &mut journal, &scene.changes);
                let recovered = volume::recover_with(&mut device, &mut journal);
                let _ = volume::recover_with(&mut device, &mut journal);
                if !lab.was_cut() {
                    has_failed |= published.is_err() || recovered.is_err();
                    let durable = lab.after_cut(Fate::Lost).image;
                    assert!(durable == scene.old || durable == scene.new);
                    break;
                }
                for fate in [Fate::Lost, Fate::Kept, Fate::Random(random.bits())] {
                    replayed += u32::from(settles(&scene, lab.after_cut(fate)));
                }
            }
        }
        if !has_failed {
            break;
        }
    }
    assert!(replayed > 100, "{replayed}");
}
