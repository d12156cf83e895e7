//! Publishing through a real journal file, and what recovery does with journals that it finds.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use volume::{ChangeSet, DiscardReason, ImageFile, PublishError, Recovery, WriteAt};

use super::support::{self, Mkfs, TIME};

fn changes(image: &Path, name: &str) -> ChangeSet {
    let volume = support::open(image);
    let mut edit = volume.edit();
    edit.create(name, &support::content(9, 3000), TIME).unwrap();
    edit.finish().unwrap()
}

fn device(image: &Path) -> ImageFile {
    ImageFile::open_read_write(image).unwrap()
}

/// A whole journal for a change, as a publication that was cut before it applied leaves it.
fn interrupted(image: &Path, name: &str) -> std::path::PathBuf {
    /// Fails at the first write to the image.
    struct ReadOnly(ImageFile);
    impl volume::ReadAt for ReadOnly {
        fn len(&self) -> u64 {
            self.0.len()
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
            self.0.read_at(offset, buf)
        }
    }
    impl WriteAt for ReadOnly {
        fn write_at(&mut self, _: u64, _: &[u8]) -> std::io::Result<()> {
            Err(std::io::ErrorKind::ReadOnlyFilesystem.into())
        }
        fn sync(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let journal = image.with_extension("journal");
    let changes = changes(image, name);
    let error = volume::publish(&mut ReadOnly(device(image)), &journal, &changes).unwrap_err();
    assert!(matches!(error, PublishError::Apply(_)), "{error}");
    journal
}

#[test]
fn a_publication_leaves_the_change_and_no_journal() {
    let (_folder, image) = support::made(Mkfs::FAT16);
    let journal = image.with_extension("journal");
    let changes = changes(&image, "a response.txt");
    volume::publish(&mut device(&image), &journal, &changes).unwrap();
    assert!(!journal.exists());
    support::fsck(&image);
    assert_eq!(
        support::mtype(&image, "a response.txt"),
        support::content(9, 3000)
    );
    let recovery = volume::recover(&mut device(&image), &journal).unwrap();
    assert_eq!(recovery, Recovery::Nothing);
}

#[test]
fn an_interrupted_publication_is_completed_and_its_journal_is_private() {
    let (_folder, image) = support::made(Mkfs::FAT32);
    let before = support::bytes(&image);
    let journal = interrupted(&image, "a response.txt");
    assert_eq!(support::bytes(&image), before);
    assert_eq!(
        fs::metadata(&journal).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let waiting = volume::publish(&mut device(&image), &journal, &changes(&image, "b.txt"));
    assert!(matches!(waiting, Err(PublishError::JournalWaiting)));
    let recovery = volume::recover(&mut device(&image), &journal).unwrap();
    assert!(
        matches!(recovery, Recovery::Replayed { sectors: 6.. }),
        "{recovery:?}"
    );
    assert!(!journal.exists());
    support::fsck(&image);
    assert_eq!(
        support::our_read(&image, "a response.txt"),
        support::content(9, 3000)
    );
}

#[test]
fn a_replay_of_what_is_there_already_writes_nothing() {
    let (_folder, image) = support::made(Mkfs::FAT16);
    let journal = interrupted(&image, "a response.txt");
    let kept = fs::read(&journal).unwrap();
    volume::recover(&mut device(&image), &journal).unwrap();
    let after = support::bytes(&image);
    fs::write(&journal, kept).unwrap();
    let recovery = volume::recover(&mut device(&image), &journal).unwrap();
    assert_eq!(recovery, Recovery::Replayed { sectors: 0 });
    assert_eq!(support::bytes(&image), after);
}

#[test]
fn a_change_made_from_an_older_image_is_refused() {
    let (_folder, image) = support::made(Mkfs::FAT16);
    let stale = changes(&image, "stale.txt");
    support::mcopy_in(&image, b"meanwhile", "meanwhile.txt");
    let before = support::bytes(&image);
    let journal = image.with_extension("journal");
    let error = volume::publish(&mut device(&image), &journal, &stale).unwrap_err();
    assert!(matches!(error, PublishError::Changed { .. }), "{error}");
    assert!(!journal.exists());
    assert_eq!(support::bytes(&image), before);
}

#[test]
fn a_change_for_another_image_is_refused() {
    let (_folder, image) = support::made(Mkfs::FAT16);
    let stray = changes(&image, "stray.txt");
    let (_other_folder, other) = support::made(Mkfs::FAT32);
    let journal = other.with_extension("journal");
    let error = volume::publish(&mut device(&other), &journal, &stray).unwrap_err();
    assert!(matches!(error, PublishError::OtherImage), "{error}");
}

/// Recovery must put the journal aside and leave the image as it is.
fn is_put_aside(image: &Path, journal: &Path) -> DiscardReason {
    let before = support::bytes(image);
    let recovery = volume::recover(&mut device(image), journal).unwrap();
    assert_eq!(support::bytes(image), before);
    assert!(!journal.exists());
    assert!(image.with_extension("journal.discarded").exists());
    let Recovery::Discarded { why } = recovery else {
        panic!("{recovery:?}")
    };
    assert_eq!(
        volume::recover(&mut device(image), journal).unwrap(),
        Recovery::Nothing
    );
    why
}

#[test]
fn an_image_that_somebody_else_wrote_is_left_alone() {
    let (_folder, image) = support::made(Mkfs::FAT16);
    let journal = interrupted(&image, "a response.txt");
    support::mcopy_in(&image, b"somebody else's", "meanwhile.txt");
    assert!(matches!(
        is_put_aside(&image, &journal),
        DiscardReason::Foreign { .. }
    ));
    assert_eq!(support::mtype(&image, "meanwhile.txt"), b"somebody else's");
    support::fsck(&image);
}

#[test]
fn a_journal_of_another_volume_is_not_applied() {
    let (_folder, image) = support::made(Mkfs::FAT16);
    let journal = interrupted(&image, "a response.txt");
    // Formatted anew, with another serial number.
    let options = volume::FormatOptions {
        serial: 1,
        ..volume::FormatOptions::default()
    };
    volume::format(&mut device(&image), &options).unwrap();
    assert_eq!(is_put_aside(&image, &journal), DiscardReason::OtherImage);
    let journal_again = interrupted(&image, "a response.txt");
    fs::File::options()
        .write(true)
        .open(&image)
        .unwrap()
        .set_len(9 << 20)
        .unwrap();
    assert_eq!(
        is_put_aside(&image, &journal_again),
        DiscardReason::OtherImage
    );
}

#[test]
fn every_cut_and_every_flipped_byte_of_a_journal_is_noticed() {
    let (_folder, image) = support::made(Mkfs::FAT16);
    let journal = interrupted(&image, "a response.txt");
    let whole = fs::read(&journal).unwrap();
    let before = support::bytes(&image);
    let cuts = (0..whole.len())
        .step_by(61)
        .map(|len| whole[..len].to_vec());
    let flips = (0..whole.len()).step_by(53).map(|at| {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        flipped
    });
    let longer = [&whole[..], b"x"].concat();
    for content in cuts.chain(flips).chain([longer]) {
        let mut lab = before.clone();
        let mut store = MemoryJournal(Some(content));
        let recovery = volume::recover_with(&mut lab, &mut store).unwrap();
        assert_eq!(
            recovery,
            Recovery::Discarded {
                why: DiscardReason::NotWhole
            }
        );
        assert!(lab == before);
    }
    let mut lab = before.clone();
    let recovery = volume::recover_with(&mut lab, &mut MemoryJournal(Some(whole))).unwrap();
    assert!(matches!(recovery, Recovery::Replayed { .. }));
    assert!(lab != before);
}

/// A journal without a folder.
struct MemoryJournal(Option<Vec<u8>>);

impl volume::JournalStore for MemoryJournal {
    fn len_bytes(&self) -> std::io::Result<Option<u64>> {
        Ok(self.0.as_ref().map(|content| content.len() as u64))
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        volume::ReadAt::read_at(self.0.as_ref().unwrap(), offset, buf)
    }
    fn create(&mut self) -> std::io::Result<()> {
        self.0 = Some(Vec::new());
        Ok(())
    }
    fn append(&mut self, data: &[u8]) -> std::io::Result<()> {
        self.0.as_mut().unwrap().extend_from_slice(data);
        Ok(())
    }
    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }
    fn commit(&mut self) -> std::io::Result<()> {
        Ok(())
    }
    fn abandon(&mut self) -> std::io::Result<()> {
        Ok(())
    }
    fn sync_folder(&mut self) -> std::io::Result<()> {
        Ok(())
    }
    fn remove(&mut self) -> std::io::Result<()> {
        self.0 = None;
        Ok(())
    }
    fn put_aside(&mut self) -> std::io::Result<()> {
        self.0 = None;
        Ok(())
    }
}

#[test]
fn without_room_for_a_journal_nothing_happens() {
    let (folder, image) = support::made(Mkfs::FAT16);
    let before = support::bytes(&image);
    let changes = changes(&image, "a response.txt");
    let journal = folder.path().join("not there").join("journal");
    let error = volume::publish(&mut device(&image), &journal, &changes).unwrap_err();
    assert!(matches!(error, PublishError::Journal(_)), "{error}");
    assert_eq!(support::bytes(&image), before);
}
