//! The image file of ANSWERS on a real file system: made, added to, in use, full, replaced.

use std::path::PathBuf;

use super::*;

fn answer(path: &str, len_bytes: usize) -> Answer {
    Answer {
        path: path.to_owned(),
        bytes: vec![b'a'; len_bytes],
        time: FatTime::FIRST,
    }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = path_beside(&folder.path().join("stick.img"), 1);
    assert!(path.ends_with("stick.img.answers-1"));
    (folder, path)
}

fn names(done: Append) -> Vec<String> {
    match done {
        Append::Done(names) => names,
        Append::Full => panic!("there is room"),
    }
}

#[test]
fn folders_are_dropped_and_names_made_different() {
    let (_folder, path) = place();
    let first = answer("prompts/a.response.txt", 10);
    let (mut image, count) = AnswersImage::create(&path, 7, [first]).unwrap();
    assert_eq!((count, image.serial()), (1, 7));
    let more = [
        answer("a.response.txt", 10),
        answer("ask/A.response.txt", 0),
    ];
    assert!(image.has_room_for(&more).unwrap());
    let given = names(image.append(&more).unwrap());
    assert_eq!(given, ["a (2).response.txt", "A (3).response.txt"]);
    let again = AnswersImage::open(&path).unwrap();
    assert_eq!(again.serial(), 7);
    assert_eq!(again.names().unwrap().len(), 3);
}

#[test]
fn the_file_is_sparse_and_private() {
    use std::os::unix::fs::MetadataExt;
    let (_folder, path) = place();
    AnswersImage::create(&path, 7, []).unwrap();
    let metadata = path.metadata().unwrap();
    assert_eq!(
        (metadata.len(), metadata.mode() & 0o777),
        (IMAGE_BYTES, MODE)
    );
    assert!(metadata.blocks() * 512 < 512 << 10, "{}", metadata.blocks());
}

#[test]
fn an_image_that_is_open_elsewhere_is_left_alone() {
    let (_folder, path) = place();
    let (mut image, _) = AnswersImage::create(&path, 7, []).unwrap();
    // The gadget opens a read-only medium so.
    let inserted = File::open(&path).unwrap();
    let before = fs::read(&path).unwrap();
    let error = image.append(&[answer("a.txt", 1)]).unwrap_err();
    assert!(error.to_string().contains("eject it first"), "{error:#}");
    assert!(AnswersImage::create(&path, 8, []).is_err());
    assert_eq!(
        AnswersImage::open(&path).unwrap().serial(),
        7,
        "reading is harmless"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
    drop(inserted);
    names(image.append(&[answer("a.txt", 1)]).unwrap());
}

#[test]
fn a_full_image_is_replaced_by_one_with_the_newest() {
    let (_folder, path) = place();
    let (mut image, _) = AnswersImage::create(&path, 7, []).unwrap();
    let mut number = 0;
    let last = loop {
        number += 1;
        let next = answer(&format!("{number}.response.txt"), 1 << 20);
        let fits = image.has_room_for(std::slice::from_ref(&next)).unwrap();
        match image.append(&[next]).unwrap() {
            Append::Done(_) => assert!(fits),
            Append::Full => break number,
        }
    };
    assert!(last > 12, "{last} MiB do not fit");
    let serial = fresh_serial(&[7]);
    assert_ne!(serial, 7);
    let newest_first = (1..=last)
        .rev()
        .map(|number| answer(&format!("{number}.response.txt"), 1 << 20));
    let (fresh, count) = AnswersImage::create(&path, serial, newest_first).unwrap();
    assert!((8..12).contains(&count), "{count}");
    let names = fresh.names().unwrap();
    assert_eq!(names.len(), count);
    assert_eq!(names.first(), Some(&format!("{last}.response.txt")));
    assert!(
        fresh
            .has_room_for(&[answer("status.txt", 2 << 20)])
            .unwrap()
    );
}

#[test]
fn slots_run_out_too() {
    let (_folder, path) = place();
    let (mut image, count) = AnswersImage::create(
        &path,
        7,
        (0..10_000).map(|n| answer(&format!("{n}{}.txt", "x".repeat(240)), 0)),
    )
    .unwrap();
    // What the mailbox keeps, as promised at the top of the module.
    assert!((KEPT_OUTCOMES_MAX..100).contains(&count), "{count}");
    let many: Vec<Answer> = (0..60)
        .map(|n| answer(&format!("{n}{}.txt", "y".repeat(240)), 0))
        .collect();
    assert_eq!(image.append(&many).unwrap(), Append::Full);
    assert_eq!(image.names().unwrap().len(), count, "all or none");
}

#[test]
fn what_is_not_whole_is_made_again() {
    let (_folder, path) = place();
    fs::write(&path, b"not an image").unwrap();
    fs::write(beside(&path, ".new"), b"left by a crash").unwrap();
    assert!(AnswersImage::open(&path).is_err());
    AnswersImage::create(&path, 7, []).unwrap();
    AnswersImage::open(&path).unwrap();
    assert!(!beside(&path, ".new").exists());
}
