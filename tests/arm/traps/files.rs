//! Files of over 2 GiB, and of the greatest length that FAT has.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Stdio;

use crate::arm::board::Board;
use crate::support::image::Image;
use crate::support::tool;
use crate::volume::support as volume;

use super::{PROMPT, Quick, sparse};

const GIB: u32 = 1 << 30;
/// A prompt of a length that nobody writes.
const HUGE: (&str, u32) = ("huge.txt", u32::MAX);
const LARGE: (&str, u32) = ("large.bin", 2 * GIB + 4_097);
/// Lies at the end of a file and, in the larger ones, across 2 GiB.
const MARK: &[u8] = b"here";

fn planted_at(len_bytes: u32) -> [u64; 2] {
    let mark = MARK.len() as u64;
    [u64::from(2 * GIB) - 2, u64::from(len_bytes) - mark]
}

fn with_large_files() -> Image {
    let image = Image::mkfs(16 << 10, &["-F", "32", "-s", "32", "-n", "PROMPTSTICK"]);
    let path = image.path();
    for (name, len_bytes) in [HUGE, LARGE] {
        image.put(name, "x");
        sparse::stretch(&path, name, len_bytes);
        for at in planted_at(len_bytes) {
            sparse::plant(&path, name, at, MARK);
        }
    }
    fsck(&path);
    image
}

/// dosfstools 4.2 counts the bytes of a chain in 32 bits: that of a file of the greatest length has
/// 4 GiB, which it takes for 0. It must have nothing else to say.
fn fsck(image: &Path) {
    let output = tool::output(tool::command("fsck.fat").arg("-n").arg(image), b"");
    let said = String::from_utf8(output.stdout).unwrap();
    let complaints = said.lines().skip(1).take_while(|line| !line.is_empty());
    let complaints: Vec<&str> = complaints.collect();
    let mistake = [
        "/HUGE.TXT",
        "  File size is 4294967295 bytes, cluster chain length is 0 bytes.",
        "  Truncating file to 0 bytes.",
    ];
    assert!(output.status.success() || complaints == mistake, "{said}");
}

/// As the `fatfs` crate reads them.
fn assert_intact(image: &Path) {
    let system = volume::fatfs_open(image);
    for (name, len_bytes) in [HUGE, LARGE] {
        let mut file = system.root_dir().open_file(name).unwrap();
        assert_eq!(file.seek(SeekFrom::End(0)).unwrap(), u64::from(len_bytes));
        for at in planted_at(len_bytes) {
            let mut found = [0; MARK.len()];
            file.seek(SeekFrom::Start(at)).unwrap();
            file.read_exact(&mut found).unwrap();
            assert_eq!(found, MARK, "{name} at {at}");
        }
    }
    fsck(image);
}

#[test]
fn large_files_are_neither_answered_nor_harmed() {
    let model = Quick::new();
    let expected = model.response_here();
    for board in Board::both() {
        let image = with_large_files();
        image.put("prompt.txt", PROMPT);
        assert!(sparse::place(&image.path(), "prompt.txt") > u64::from(u32::MAX));
        tool::printed(&mut model.answer(&board, &image.path()));
        assert_eq!(image.text("prompt.response.txt"), expected);
        let said = image.text("huge.error.txt");
        assert!(said.contains("64 KiB"), "{said}");
        assert_intact(&image.path());
        let said = tool::printed(&mut model.answer(&board, &image.path()));
        assert!(said.contains("nothing new"), "{said}");
    }
}

#[test]
fn a_file_of_over_2_gib_is_copied_from_the_volume() {
    let board = Board::arm1176();
    let image = with_large_files();
    let mut get = board.promptstick(["volume", "get"]);
    get.arg(image.path()).arg(LARGE.0).stdout(Stdio::piped());
    let mut child = get.spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    // Where a piece begins, and what is in it besides zeros.
    let (mut at, mut found) = (0_u64, Vec::new());
    let mut piece = vec![0; 1 << 20];
    let zeros = piece.clone();
    loop {
        let count = out.read(&mut piece).unwrap();
        if count == 0 {
            break;
        }
        if piece[..count] != zeros[..count] {
            let bytes = (at..).zip(piece[..count].iter().copied());
            found.extend(bytes.filter(|&(_, byte)| byte != 0));
        }
        at += count as u64;
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(at, u64::from(LARGE.1));
    let marks = planted_at(LARGE.1)
        .into_iter()
        .flat_map(|at| (at..).zip(MARK.iter().copied()));
    let expected: Vec<(u64, u8)> = [(0, b'x')].into_iter().chain(marks).collect();
    assert_eq!(found, expected);
}
