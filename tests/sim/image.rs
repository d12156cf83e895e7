//! The images that a stick begins with, made once for each thread: a volume with what a stick has on
//! it, and an empty medium for answers. Used by `history`, `refused` and `endurance`.

use std::cell::RefCell;

use volume::testing::PagedImage;
use volume::{Edit, FatTime, FatType, FormatOptions, Volume, WriteAt as _};

use super::world::Stick;

/// Slots of the larger volume's root: more than a history fills.
const ROOT_SLOTS: u32 = 2_000;

thread_local! {
    static IMAGES: RefCell<[Option<PagedImage>; 3]> = const { RefCell::new([None, None, None]) };
}

/// Made once for each thread.
fn cached(at: usize, make: impl FnOnce() -> PagedImage) -> PagedImage {
    IMAGES.with_borrow_mut(|images| images[at].get_or_insert_with(make).clone())
}

/// An empty medium for answers.
pub fn blank() -> PagedImage {
    cached(0, Stick::blank)
}

fn edit(image: &mut Vec<u8>, work: impl FnOnce(&mut Edit<'_, &Vec<u8>>)) {
    let changes = {
        let volume = Volume::open(&*image).unwrap();
        let mut edit = volume.edit();
        work(&mut edit);
        edit.finish().unwrap()
    };
    for sector in changes.sectors() {
        image.write_at(sector.offset_bytes, &sector.after).unwrap();
    }
}

/// Gives the root the clusters that it will need: where it grows, `fatfs`, which is the hosts' logic,
/// leaves in the new cluster what was there, which no host does.
fn widen_root(image: &mut Vec<u8>) {
    edit(image, |edit| {
        for number in 0..ROOT_SLOTS {
            let path = format!("{number}.PAD");
            edit.create(&path, &[], FatTime::FIRST).unwrap();
        }
    });
    let entries = Volume::open(&*image).unwrap().list("").unwrap();
    for entry in entries.iter().filter(|entry| entry.name.ends_with(".PAD")) {
        image.write_at(entry.slot_offset_bytes, &[0xE5]).unwrap();
    }
}

/// A fresh stick, as small as its type may be.
pub fn image(is_large: bool) -> PagedImage {
    let (at, len_bytes, fat_type) = match is_large {
        false => (1, 3 << 20, FatType::Fat16),
        true => (2, 34 << 20, FatType::Fat32),
    };
    cached(at, || {
        let mut image = vec![0; len_bytes];
        let options = FormatOptions {
            serial: 0x1234_5678,
            cluster_bytes: Some(512),
            fat_type: Some(fat_type),
            ..FormatOptions::default()
        };
        volume::format(&mut image, &options).unwrap();
        edit(&mut image, |edit| {
            let readme = mailbox::README_TXT.as_bytes();
            edit.create("README.TXT", readme, FatTime::FIRST).unwrap();
            edit.make_dir("prompts", FatTime::FIRST).unwrap();
        });
        if is_large {
            widen_root(&mut image);
        }
        image.as_slice().into()
    })
}
