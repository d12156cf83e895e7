//! A 32 GiB image in a few MiB of memory: a child process does the work and reports its peak.

use std::fs;
use std::process::Command;

use crate::support::tool;
use volume::{FatType, FormatOptions, ImageFile, RepairLimits, WriteAt};

use super::support::{self, TIME};

/// Set in the child.
const CHILD: &str = "PROMPTSTICK_TEST_MEMORY_CHILD";
/// What the work may add to the peak. One copy of the table alone has 32 MiB.
const LIMIT_KIB: u64 = 4096;
/// With a repair: two bitmaps of 1 MiB and the windows of the tables come to it.
const REPAIR_LIMIT_KIB: u64 = 8192;
const IMAGE_BYTES: u64 = 32 << 30;

/// Peak of this process, KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn thirty_two_gib_in_four_mib() {
    if let Some(image) = std::env::var_os(CHILD) {
        return child(image.as_ref());
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("large.img");
    fs::File::create(&image)
        .unwrap()
        .set_len(IMAGE_BYTES)
        .unwrap();
    let test = "thirty_two_gib_in_four_mib";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([test, "--nocapture", "--test-threads=1"])
        .env(CHILD, &image);
    let output = tool::expect(&mut command);
    let text = String::from_utf8(output.stdout).unwrap();
    println!("{text}");
    assert!(text.contains("the work added"), "{text}");
    assert!(text.contains("1 passed"), "{text}");
    support::fsck(&image);
}

fn child(image: &std::path::Path) {
    let before = peak_kib();
    let options = FormatOptions {
        cluster_bytes: Some(4096),
        fat_type: Some(FatType::Fat32),
        ..FormatOptions::default()
    };
    volume::format(&mut ImageFile::open_read_write(image).unwrap(), &options).unwrap();
    support::edit(image, |edit| {
        edit.make_dir("prompts", TIME).unwrap();
        for number in 0..100 {
            let path = format!("prompts/a prompt {number}.txt");
            edit.create(&path, &support::content(number, 5000), TIME)
                .unwrap();
        }
    });
    let volume = support::open(image);
    assert!(volume.geometry().fat_bytes > 30 << 20);
    let entries = volume.list("prompts").unwrap();
    let inspections = volume.inspect(&entries).unwrap();
    assert!(inspections.iter().all(volume::Inspection::is_consistent));
    assert!(volume.free_bytes().unwrap() > 31 << 30);
    for entry in &entries {
        assert_eq!(volume.read(entry, 5000).unwrap().len(), 5000);
    }
    let added = peak_kib() - before;
    println!("the work added {added} KiB");
    assert!(added < LIMIT_KIB, "the work added {added} KiB");
    drop(volume);
    repair(image);
    let added = peak_kib() - before;
    println!("the work and a repair added {added} KiB");
    assert!(added < REPAIR_LIMIT_KIB, "a repair added {added} KiB");
}

/// A volume in use is marked and has a lost chain; each table is read several times.
fn repair(image: &std::path::Path) {
    let mut device = ImageFile::open_read_write(image).unwrap();
    device.write_at(0x41, &[1]).unwrap();
    let volume = support::open(image);
    let last = volume.geometry().last_cluster();
    for copy in 0..2 {
        let at = support::table_entry_at(volume.geometry(), copy, last) as u64;
        device.write_at(at, &0x0FFF_FFFF_u32.to_le_bytes()).unwrap();
    }
    let journal = image.with_extension("journal");
    let started = std::time::Instant::now();
    let report = volume::repair(&mut device, &journal, RepairLimits::default(), TIME).unwrap();
    println!("repaired in {:?}", started.elapsed());
    assert_eq!(report.findings().len(), 2, "{report:?}");
}
