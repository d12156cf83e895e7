//! Directory slots that no tool here writes: lower-case flags, code pages, orphans, deleted and
//! nonsensical entries, written byte by byte.

use volume::{CodePage, Entry, Root, Volume, WriteAt};

use super::support::{self, Mkfs, TIME};

/// A FAT16 volume whose root holds its label and these slots.
fn with_root(slots: &[[u8; 32]]) -> Vec<u8> {
    let mut image = support::in_memory(Mkfs::FAT16);
    let Root::Fixed { offset_bytes, .. } = Volume::open(&image).unwrap().geometry().root else {
        panic!("FAT16")
    };
    image.write_at(offset_bytes + 32, &slots.concat()).unwrap();
    image
        .write_at(offset_bytes + 32 + slots.len() as u64 * 32, &[0])
        .unwrap();
    image
}

fn slot(name: &[u8; 11], attributes: u8, flags: u8) -> [u8; 32] {
    let mut slot = [0; 32];
    slot[..11].copy_from_slice(name);
    slot[11] = attributes;
    slot[12] = flags;
    slot
}

fn names(image: &Vec<u8>, code_page: CodePage) -> Vec<String> {
    let volume = Volume::open_with_code_page(image, code_page).unwrap();
    volume
        .list("")
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect()
}

/// The slots that a name gets from us, long ones first.
fn our_slots(name: &str) -> Vec<[u8; 32]> {
    let mut image = with_root(&[]);
    support::edit_bytes(&mut image, |edit| edit.create(name, b"", TIME).unwrap());
    let volume = Volume::open(&image).unwrap();
    let Root::Fixed { offset_bytes, .. } = volume.geometry().root else {
        panic!("FAT16")
    };
    let start = usize::try_from(offset_bytes).unwrap() + 32;
    let slots = image[start..start + 32 * 32].chunks(32);
    slots
        .take_while(|slot| slot[0] != 0)
        .map(|slot| slot.try_into().unwrap())
        .collect()
}

#[test]
fn lower_case_flags_and_code_pages() {
    let image = with_root(&[
        slot(b"README  TXT", 0x20, 0x18),
        slot(b"BASE    TXT", 0x20, 0x08),
        slot(b"EXT     TXT", 0x20, 0x10),
        slot(b"\x9AMLAUT  \xD5  ", 0x20, 0x08),
        slot(b"\x05TART      ", 0x20, 0x00),
    ]);
    let us = ["readme.txt", "base.TXT", "EXT.txt", "ümlaut.╒", "σTART"];
    assert_eq!(names(&image, CodePage::Cp437), us);
    let europe = ["readme.txt", "base.TXT", "EXT.txt", "ümlaut.ı", "ÕTART"];
    assert_eq!(names(&image, CodePage::Cp850), europe);
}

#[test]
fn deleted_entries_labels_and_dots_are_passed_over() {
    let image = with_root(&[
        slot(b"VOLUME LABE", 0x08, 0),
        slot(b"\xE5ELETED TXT", 0x20, 0),
        slot(b".          ", 0x10, 0),
        slot(b"..         ", 0x10, 0),
        slot(b"KEPT    TXT", 0x20, 0),
    ]);
    assert_eq!(names(&image, CodePage::Cp437), ["KEPT.TXT"]);
}

type Damage = fn(&mut Vec<[u8; 32]>);

#[test]
fn an_orphaned_long_name_gives_way_to_the_short_one() {
    let whole = our_slots("a name of three slots for this.txt");
    assert_eq!(whole.len(), 4);
    assert_eq!(
        names(&with_root(&whole), CodePage::Cp437),
        ["a name of three slots for this.txt"]
    );
    let short = ["ANAMEO~1.TXT"];
    let damages: [(&str, Damage); 10] = [
        ("first missing", |s| _ = s.remove(0)),
        ("middle missing", |s| _ = s.remove(1)),
        ("last missing", |s| _ = s.remove(2)),
        ("swapped", |s| s.swap(0, 1)),
        ("twice the same number", |s| s[1][0] = 3),
        ("checksum of one", |s| s[1][13] ^= 0x80),
        ("another short name", |s| s[3][0] = b'B'),
        ("a deleted slot between", |s| {
            s.insert(3, slot(b"\xE5          ", 0x20, 0));
        }),
        ("text after its end", |s| s[0][28] = b'x'),
        ("a number beyond 20", |s| s[0][0] = 0x40 | 21),
    ];
    for (what, damage) in damages {
        let mut slots = whole.clone();
        damage(&mut slots);
        let expected = if what == "another short name" {
            ["BNAMEO~1.TXT"]
        } else {
            short
        };
        assert_eq!(
            names(&with_root(&slots), CodePage::Cp437),
            expected,
            "{what}"
        );
    }
    // A new name may start where an unfinished one stops.
    let mut slots = whole[..2].to_vec();
    slots.extend_from_slice(&whole);
    let found = names(&with_root(&slots), CodePage::Cp437);
    assert_eq!(found, ["a name of three slots for this.txt"]);
}

#[test]
fn a_name_with_half_a_surrogate_pair_is_still_read() {
    let mut slots = our_slots("ab.txt");
    slots[0][1..3].copy_from_slice(&0xD83D_u16.to_le_bytes());
    assert_eq!(
        names(&with_root(&slots), CodePage::Cp437),
        ["\u{FFFD}b.txt"]
    );
}

#[test]
fn all_255_units_survive() {
    let names_255 = ["x".repeat(255), "é".repeat(255), "🎈".repeat(127) + "x"];
    let mut image = with_root(&[]);
    for name in &names_255 {
        assert_eq!(name.encode_utf16().count(), 255);
        support::edit_bytes(&mut image, |edit| edit.create(name, b"x", TIME).unwrap());
        support::fsck_bytes(&image);
    }
    assert_eq!(names(&image, CodePage::Cp437), names_255);
}

#[test]
fn names_match_in_any_case_and_by_short_name() {
    let mut image = with_root(&[]);
    support::edit_bytes(&mut image, |edit| {
        edit.make_dir("Ein Ordner", TIME).unwrap();
        edit.create("Ein Ordner/Größe der Dinge.txt", b"x", TIME)
            .unwrap();
    });
    let volume = Volume::open(&image).unwrap();
    let find = |path: &str| -> Option<Entry> { volume.find(path).unwrap() };
    let expected = find("Ein Ordner/Größe der Dinge.txt");
    assert!(expected.is_some());
    for path in [
        "ein ordner/GRÖßE DER DINGE.TXT",
        "EINORD~1/gr__eD~1.txt",
        "/EIN ORDNER//größe der dinge.TXT",
    ] {
        assert_eq!(find(path), expected, "{path}");
    }
    assert_eq!(find("Ein Ordner/Größe der Dinge.txt/x"), None);
    assert_eq!(find("Ein Ordner/Größe"), None);
    assert!(matches!(
        volume.list("nowhere"),
        Err(volume::ReadError::NotFound { .. })
    ));
    let file = volume.list("Ein Ordner/Größe der Dinge.txt");
    assert!(matches!(file, Err(volume::ReadError::NotAFolder { .. })));
}
