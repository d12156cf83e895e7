//! `promptstick volume`, as its users run it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use volume::{ImageFile, WriteAt};

use super::support::{self, MIB};

fn program(arguments: &[&str], image: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promptstick"));
    command.arg("volume").args(arguments).arg(image).args(more);
    command.output().unwrap()
}

/// Standard output of a command that must succeed.
fn ok(arguments: &[&str], image: &Path, more: &[&str]) -> String {
    let output = program(arguments, image, more);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} {more:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error of a command that must fail.
fn refused(arguments: &[&str], image: &Path, more: &[&str]) -> String {
    let output = program(arguments, image, more);
    assert_eq!(output.status.code(), Some(1), "{arguments:?} {more:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// What `ls` prints of a new stick.
const NEW: &str = "README.TXT\nSETTINGS.TOML\nprompts/\nask/\n";

#[test]
fn format_put_list_get_and_check() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("stick.img");
    ok(
        &["format"],
        &image,
        &["--size", "64M", "--serial", "CAFE-0123"],
    );
    support::fsck(&image);
    assert_eq!(support::open(&image).serial(), 0xCAFE_0123);
    support::mcopy_in(&image, b"written by mtools", "prompts/a question.txt");
    let file = folder.path().join("from the host.txt");
    fs::write(&file, support::content(1, 10_000)).unwrap();
    let file = file.to_str().unwrap();
    ok(&["put"], &image, &[file, "prompts"]);
    ok(&["put"], &image, &[file, "named.txt"]);
    support::fsck(&image);
    assert_eq!(
        support::mtype(&image, "prompts/from the host.txt"),
        support::content(1, 10_000)
    );
    assert_eq!(ok(&["ls"], &image, &[]), format!("{NEW}named.txt\n"));
    assert_eq!(
        ok(&["ls"], &image, &["PROMPTS"]),
        "a question.txt\nfrom the host.txt\n"
    );
    let all = ok(&["ls", "-R"], &image, &[]);
    let inside = "prompts/a question.txt\nprompts/from the host.txt\n";
    assert_eq!(all, format!("{NEW}named.txt\n{inside}"));
    assert!(ok(&["ls", "-l"], &image, &[]).contains("----      10000 2"));
    assert_eq!(
        ok(&["get"], &image, &["prompts/a question.txt"]),
        "written by mtools"
    );
    let copy = folder.path().join("copy");
    ok(
        &["get"],
        &image,
        &["named.txt", "-o", copy.to_str().unwrap()],
    );
    assert_eq!(fs::read(copy).unwrap(), support::content(1, 10_000));
    let report = ok(&["check"], &image, &[]);
    assert!(
        report.contains("FAT16") && report.contains("CAFE-0123"),
        "{report}"
    );
    assert!(
        report.contains("7 files and folders are complete and consistent, 0 not"),
        "{report}"
    );
    assert_eq!(ok(&["check", "--quiet"], &image, &[]), "");
}

#[test]
fn what_is_refused_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("stick.img");
    let text = refused(&["ls"], &image, &[]);
    assert!(text.contains("stick.img"), "{text}");
    refused(&["format"], &image, &["--size", "1M"]);
    assert!(!image.exists(), "a refused format leaves no file");
    ok(
        &["format"],
        &image,
        &["--size", "40M", "--fat", "32", "--partitioned"],
    );
    support::fsck_at(&image, MIB);
    let before = support::bytes(&image);
    let text = refused(&["format"], &image, &["--size", "64M"]);
    assert!(text.contains("--force"), "{text}");
    assert!(support::bytes(&image) == before);
    assert!(refused(&["get"], &image, &["nothing.txt"]).contains("volume ls"));
    let file = folder.path().join("file");
    fs::write(&file, b"one").unwrap();
    let file = file.to_str().unwrap();
    ok(&["put"], &image, &[file, "a.txt"]);
    assert!(refused(&["put"], &image, &[file, "A.TXT"]).contains("exists already"));
    ok(&["put", "--replace"], &image, &[file, "A.TXT"]);
    ok(&["format", "--force"], &image, &["--size", "64M"]);
    assert_eq!(ok(&["ls"], &image, &[]), NEW);
    assert_eq!(fs::metadata(&image).unwrap().len(), 64 * MIB);
}

#[test]
fn check_names_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("stick.img");
    ok(&["format"], &image, &["--size", "8M"]);
    let late = folder.path().join("late");
    fs::write(&late, [&support::content(1, 1024)[..], &[0; 3000]].concat()).unwrap();
    ok(&["put"], &image, &[late.to_str().unwrap(), "late.txt"]);
    ok(&["put"], &image, &[late.to_str().unwrap(), "short.txt"]);
    let volume = support::open(&image);
    let slot = volume.find("short.txt").unwrap().unwrap().slot_offset_bytes;
    let mut device = ImageFile::open_read_write(&image).unwrap();
    device
        .write_at(slot + 28, &100_000_u32.to_le_bytes())
        .unwrap();
    device.write_at(0x25, &[1]).unwrap();
    let output = program(&["check"], &image, &[]);
    assert_eq!(output.status.code(), Some(1));
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(
        report.contains("boot sector set, allocation table clear"),
        "{report}"
    );
    assert!(
        report.contains("WRONG  late.txt: its last 3000 bytes are all NUL"),
        "{report}"
    );
    assert!(
        report.contains("WRONG  short.txt: its chain has 4 clusters"),
        "{report}"
    );
    assert!(
        report.contains("4 files and folders are complete and consistent, 2 not"),
        "{report}"
    );
}

#[test]
fn repair_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("stick.img");
    ok(&["format"], &image, &["--size", "8M"]);
    assert_eq!(ok(&["repair"], &image, &[]), "nothing is wrong\n");
    let file = folder.path().join("file");
    fs::write(&file, support::content(1, 5000)).unwrap();
    let file = file.to_str().unwrap();
    ok(&["put"], &image, &[file, "file.txt"]);
    let slot = support::open(&image).find("file.txt").unwrap().unwrap();
    let mut device = ImageFile::open_read_write(&image).unwrap();
    let len_at = slot.slot_offset_bytes + 28;
    device.write_at(len_at, &2048_u32.to_le_bytes()).unwrap();
    device.write_at(0x25, &[1]).unwrap();
    drop(device);
    let text = refused(&["put"], &image, &[file, "other.txt"]);
    assert!(text.contains("promptstick volume repair"), "{text}");
    let text = ok(&["repair"], &image, &[]);
    assert!(text.contains("\"file.txt\": its chain went on"), "{text}");
    assert!(text.contains("\"FSCK0000.REC\": 3 clusters"), "{text}");
    support::fsck(&image);
    assert_eq!(
        support::mtype(&image, "file.txt"),
        support::content(1, 5000)[..2048]
    );
    assert_eq!(ok(&["repair"], &image, &[]), "nothing is wrong\n");
    ok(&["put"], &image, &[file, "other.txt"]);
}

#[test]
fn put_completes_an_interrupted_change_first() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("stick.img");
    ok(&["format"], &image, &["--size", "8M"]);
    let before = support::bytes(&image);
    let file = folder.path().join("file");
    fs::write(&file, b"content").unwrap();
    let file = file.to_str().unwrap();
    let journal = folder.path().join("stick.img.journal");
    support::interrupt(&image, &journal, "interrupted.txt", b"interrupted");
    assert!(support::bytes(&image) == before && journal.exists());
    assert!(ok(&["check"], &image, &[]).contains("a journal is waiting"));
    ok(&["put"], &image, &[file, "next.txt"]);
    assert!(!journal.exists());
    support::fsck(&image);
    assert_eq!(support::mtype(&image, "interrupted.txt"), b"interrupted");
    assert_eq!(support::mtype(&image, "next.txt"), b"content");
}

/// The power went while an image was made: its journal is beside what was unfinished.
#[test]
fn format_begins_anew_after_an_attempt_that_was_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("stick.img");
    let unfinished = folder.path().join("stick.img.new");
    ok(&["format"], &unfinished, &["--size", "8M"]);
    let journal = folder.path().join("stick.img.new.journal");
    support::interrupt(&unfinished, &journal, "interrupted.txt", b"interrupted");
    assert!(journal.exists());
    ok(&["format"], &image, &["--size", "8M"]);
    support::fsck(&image);
    assert!(!journal.exists() && !unfinished.exists());
}
