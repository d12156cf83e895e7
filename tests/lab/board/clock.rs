//! Clocks that are far off, and the times that files have then. The judge of these is `fatfs`.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use fatfs::{FileSystem, FsOptions};
use lab::Series;
use lab::guest::Report;

use super::super::judge;
use super::pass;

#[test]
fn clock_6_1() {
    dates_are_in_order(&pass("board_clock", Series::V6_1));
}

#[test]
fn clock_6_12() {
    dates_are_in_order(&pass("board_clock", Series::V6_12));
}

/// Prompts have the host's time, cut to FAT's calendar; a response has the newest time on the
/// volume and 2 s more, as far as that calendar goes (docs/SPEC.md, 1.5).
fn dates_are_in_order(report: &Report) {
    let times = times(&judge::stick(report).path());
    let time = |name: &str| {
        *times
            .get(name)
            .unwrap_or_else(|| panic!("{name}: {times:?}"))
    };
    let date = |name: &str| time(name).0;
    assert_eq!(date("first.txt"), (2040, 1, 1), "{times:?}");
    assert_eq!(date("first.response.txt"), (2040, 1, 1), "{times:?}");
    assert!(time("first.response.txt") > time("first.txt"), "{times:?}");
    assert_eq!(date("second.txt"), (1980, 1, 1), "{times:?}");
    let (earlier, later) = (time("first.response.txt"), time("second.response.txt"));
    assert!(later > earlier && later.0 == (2040, 1, 1), "{times:?}");
    for name in ["third.txt", "third.response.txt"] {
        assert_eq!(time(name), ((2107, 12, 31), (23, 59, 58)), "{name}");
    }
}

type Date = (u16, u16, u16);
type Time = (u16, u16, u16);

/// Date and time of change of each file in the top folder.
fn times(image: &Path) -> BTreeMap<String, (Date, Time)> {
    let image = File::open(image).expect("the image");
    let volume = FileSystem::new(image, FsOptions::new()).expect("a volume");
    let entries = volume.root_dir().iter().map(|entry| {
        let entry = entry.expect("an entry");
        let modified = entry.modified();
        let (date, time) = (modified.date, modified.time);
        let date = (date.year, date.month, date.day);
        (entry.file_name(), (date, (time.hour, time.min, time.sec)))
    });
    entries.collect()
}
