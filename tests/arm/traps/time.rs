//! Times after 2038-01-19 03:14:07 UTC, where 31 bits of seconds end: the board's clock, the files
//! on its disk, and those on the volume.

use std::path::Path;
use std::process::Command;

use ::volume::{Civil, FatTime};

use crate::arm::board::Board;
use crate::support::image::Image;
use crate::support::tool;
use crate::volume::support as volume;

use super::{PROMPT, Quick};

const SOON: Civil = Civil {
    year: 2040,
    month: 5,
    day: 6,
    hour: 7,
    minute: 8,
    second: 0,
};
/// The last day of FAT.
const LATE: Civil = Civil {
    year: 2107,
    month: 12,
    day: 31,
    ..SOON
};

fn unix_seconds(civil: Civil) -> u64 {
    FatTime::from_civil(civil)
        .unwrap()
        .to_unix_seconds()
        .unwrap()
}

fn date(civil: Civil) -> String {
    format!("{:04}-{:02}-{:02}", civil.year, civil.month, civil.day)
}

/// Sets a file's time; the file system must be able to keep it.
fn touch(file: &Path, civil: Civil) {
    let time = format!("@{}", unix_seconds(civil));
    tool::expect(tool::command("touch").args(["-d", &time]).arg(file));
    let kept = tool::printed(tool::command("stat").args(["-c", "@%Y"]).arg(file));
    assert_eq!(kept.trim(), time, "this file system has no such times");
}

/// Runs a command of the board at that time.
fn at(civil: Civil, folder: &Path, command: &mut Command) -> std::process::Output {
    let library = folder.join("clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/arm/traps/clock.c");
    let mut compile = tool::command("cc");
    compile.args(["-shared", "-fPIC", "-o"]).arg(&library);
    compile.arg(format!("-DSECONDS={}L", unix_seconds(civil)));
    tool::expect(compile.arg(source));
    tool::expect(command.env("LD_PRELOAD", library).env("RUST_LOG", "debug"))
}

#[test]
fn the_clock_goes_on_after_2038() {
    let model = Quick::new();
    let expected = model.response_here();
    for board in Board::both() {
        for civil in [SOON, LATE] {
            goes_on(&board, civil, &model, &expected);
        }
    }
}

fn goes_on(board: &Board, civil: Civil, model: &Quick, expected: &str) {
    let image = Image::usual();
    let (path, folder) = (image.path(), image.folder());
    image.put("prompt.txt", PROMPT);
    let copied = folder.join("copied.txt");
    std::fs::write(&copied, "copied").unwrap();
    let mut put = board.promptstick(["volume", "put"]);
    at(civil, folder, put.arg(&path).arg(&copied).arg("copied.txt"));
    // As mtools has it.
    let listed = tool::printed(
        tool::command("mdir")
            .arg("-i")
            .arg(&path)
            .arg("::copied.txt"),
    );
    assert!(listed.contains(&date(civil)), "{listed}");

    let output = at(civil, folder, &mut model.answer(board, &path));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains(&format!("{}T07:", date(civil))), "{log}");
    assert_eq!(image.text("prompt.response.txt"), expected);
    image.assert_clean();
}

#[test]
fn files_may_be_from_after_2038() {
    let model = Quick::new();
    let expected = model.response_here();
    touch(&model.path(), LATE);
    for board in Board::both() {
        for civil in [SOON, LATE] {
            let image = Image::usual();
            let path = image.path();
            let prompt = image.folder().join("prompt.txt");
            std::fs::write(&prompt, PROMPT).unwrap();
            touch(&prompt, civil);
            let mut copy = tool::command("mcopy");
            tool::expect(
                copy.arg("-m")
                    .arg("-i")
                    .arg(&path)
                    .arg(&prompt)
                    .arg("::prompt.txt"),
            );
            let before = volume::open(&path).find("prompt.txt").unwrap().unwrap();
            assert_eq!(Some(before.modified), FatTime::from_civil(civil));

            let answer = || {
                touch(&path, civil);
                tool::printed(&mut model.answer(&board, &path))
            };
            assert!(answer().contains("prompt.response.txt"));
            assert_eq!(image.text("prompt.response.txt"), expected);
            let response = volume::open(&path)
                .find("prompt.response.txt")
                .unwrap()
                .unwrap();
            assert_eq!(response.modified, FatTime::after([before.modified]));
            for file in std::fs::read_dir(image.folder().join("stick.img.state")).unwrap() {
                touch(&file.unwrap().path(), civil);
            }
            assert!(answer().contains("nothing new"));

            let listed = tool::printed(board.promptstick(["volume", "ls", "-l"]).arg(&path));
            assert!(
                listed.contains(&format!("{} 07:08:00 prompt.txt", date(civil))),
                "{listed}"
            );
            image.assert_clean();
        }
    }
}
