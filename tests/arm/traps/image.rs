//! An image of 32 GiB, and content at its very end.

use std::path::Path;

use crate::arm::board::Board;
use crate::support::image::Image;
use crate::support::{program, tool};
use crate::volume::support as volume;

use super::{PROMPT, Quick, sparse};

const IMAGE_BYTES: u64 = 32 << 30;
/// What is left free, at the end: 16 KiB each.
const LEFT_CLUSTERS: u32 = 64;
/// They, and what is behind them because it makes no cluster.
const END_BYTES: u64 = 2 << 20;
/// Just short of 4 GiB, in whole clusters.
const FILLER_BYTES: u32 = u32::MAX - 0xFFFF;

/// Made on the board; files without data take all but the last clusters.
fn full_but_for_its_end(board: &Board) -> Image {
    let image = Image::none();
    let path = image.path();
    let format = ["volume", "format", path.to_str().unwrap(), "--size", "32G"];
    tool::printed(&mut board.promptstick(format));
    assert_eq!(path.metadata().unwrap().len(), IMAGE_BYTES);
    volume::fsck(&path);
    for number in 0.. {
        let name = format!("filler{number}.bin");
        image.put(&name, "x");
        let (entry, geometry) = sparse::find(&path, &name);
        let room = geometry.last_cluster() - entry.first_cluster + 1 - LEFT_CLUSTERS;
        let room = u64::from(room) * u64::from(geometry.cluster_bytes);
        sparse::stretch(&path, &name, u32::try_from(room).unwrap_or(FILLER_BYTES));
        // A file that ends in NULs has not been written to its end, as far as the stick knows.
        let (entry, _) = sparse::find(&path, &name);
        sparse::plant(&path, &name, u64::from(entry.len_bytes) - 1, b"x");
        if room <= u64::from(u32::MAX) {
            break;
        }
    }
    volume::fsck(&path);
    image
}

fn is_at_the_end(image: &Path, name: &str) -> bool {
    sparse::place(image, name) >= IMAGE_BYTES - END_BYTES
}

/// What a command about the image prints on the board; here it must be the same.
fn same(board: &Board, arguments: &[&str]) -> String {
    let there = tool::printed(&mut board.promptstick(arguments));
    assert_eq!(there, program::succeed(arguments), "{arguments:?}");
    there
}

#[test]
fn the_end_of_a_32_gib_image_is_used() {
    let model = Quick::new();
    let expected = model.response_here();
    for board in Board::both() {
        let image = full_but_for_its_end(&board);
        let path = image.path();
        image.put("prompt.txt", PROMPT);
        tool::printed(&mut model.answer(&board, &path));
        assert_eq!(image.text("prompt.response.txt"), expected);
        let copied = image.folder().join("copied.txt");
        std::fs::write(&copied, "copied by the board").unwrap();
        let words = [
            path.to_str().unwrap(),
            copied.to_str().unwrap(),
            "copied.txt",
        ];
        let mut put = board.promptstick(["volume", "put"]);
        tool::printed(put.args(words));
        assert_eq!(image.text("copied.txt"), "copied by the board");
        for name in ["prompt.txt", "prompt.response.txt", "copied.txt"] {
            assert!(is_at_the_end(&path, name), "{name}");
        }
        volume::fsck(&path);

        let path = path.to_str().unwrap();
        let got = same(&board, &["volume", "get", path, "prompt.response.txt"]);
        assert_eq!(got, expected);
        let listed = same(&board, &["volume", "ls", "-l", path]);
        assert!(listed.contains(&format!(" {FILLER_BYTES} ")), "{listed}");
        let checked = same(&board, &["volume", "check", path]);
        assert!(checked.contains("34359738368 bytes at byte 0"), "{checked}");
        assert!(checked.contains("consistent, 0 not"), "{checked}");
    }
}

#[test]
fn a_journal_for_the_end_of_a_32_gib_image_is_replayed() {
    let model = Quick::new();
    for board in Board::both() {
        let image = full_but_for_its_end(&board);
        let journal = image.folder().join("stick.img.journal");
        volume::interrupt(&image.path(), &journal, "interrupted.log", b"interrupted");
        assert!(journal.exists() && image.get("interrupted.log").is_none());
        let said = tool::printed(&mut model.answer(&board, &image.path()));
        assert!(said.contains("nothing new"), "{said}");
        assert!(!journal.exists());
        assert_eq!(image.text("interrupted.log"), "interrupted");
        assert!(is_at_the_end(&image.path(), "interrupted.log"));
        volume::fsck(&image.path());
    }
}

#[test]
#[ignore = "makes the volume whose check docs/BOARD.md counts, in the folder PROMPTSTICK_VOLUMES"]
fn a_full_volume_to_be_checked() {
    let folder = std::env::var_os("PROMPTSTICK_VOLUMES").expect("PROMPTSTICK_VOLUMES=FOLDER");
    let image = full_but_for_its_end(&Board::arm1176());
    let mut copy = tool::command("cp");
    copy.args(["--sparse=always", "--no-target-directory"]);
    tool::printed(
        copy.arg(image.path())
            .arg(Path::new(&folder).join("full.img")),
    );
}
