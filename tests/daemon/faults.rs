//! What can go wrong around the daemon, and how it comes back when it is mended.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use super::{QUESTION, demo_model};
use crate::support::image::Image;
use crate::support::program::{self, Daemon};
use crate::support::tool;

/// Byte 0x25 of a FAT16 boot sector: bit 0 says that a host has the volume mounted.
const IN_USE_BYTE: u64 = 0x25;

fn mark_in_use(image: &Image, value: u8) {
    let file = OpenOptions::new().write(true).open(image.path()).unwrap();
    file.write_all_at(&[value], IN_USE_BYTE).unwrap();
}

fn stderr_of_failure(image: &Image) -> String {
    program::answer_fails(&image.path(), &demo_model())
}

#[test]
fn a_volume_in_use_is_not_touched() {
    let image = Image::usual();
    image.put("prompt.txt", QUESTION);
    mark_in_use(&image, 1);
    let before = std::fs::read(image.path()).unwrap();
    assert!(stderr_of_failure(&image).contains("volume repair"));
    assert!(
        std::fs::read(image.path()).unwrap() == before,
        "the image changed"
    );
}

#[test]
fn the_daemon_thinks_while_the_host_holds_the_volume_and_publishes_when_it_lets_go() {
    let image = Image::usual();
    image.put("prompt.txt", QUESTION);
    mark_in_use(&image, 1);
    let daemon = Daemon::serve(&image.path(), &demo_model(), &[]);
    daemon.wait_logged("answered");
    assert_eq!(image.get("prompt.response.txt"), None);
    mark_in_use(&image, 0);
    daemon.wait_until("the response", || image.get("prompt.response.txt"));
    image.assert_clean();
}

#[test]
fn nothing_is_written_while_another_program_has_the_image_open() {
    let image = Image::usual();
    let daemon = Daemon::serve(&image.path(), &demo_model(), &[]);
    let open = File::open(image.path()).unwrap();
    image.put("prompt.txt", QUESTION);
    daemon.wait_logged("waiting for the host");
    assert!(!daemon.log().contains("published"));
    drop(open);
    daemon.wait_until("the response", || image.get("prompt.response.txt"));
}

#[test]
fn an_image_that_vanishes_is_served_again_when_it_is_back() {
    let image = Image::usual();
    let daemon = Daemon::serve(&image.path(), &demo_model(), &[]);
    let aside = image.folder().join("aside.img");
    std::fs::rename(image.path(), &aside).unwrap();
    daemon.wait_logged("stick.img");
    daemon.wait_logged("trying again");
    std::fs::rename(&aside, image.path()).unwrap();
    daemon.wait_notified("READY=1");
    image.put("prompt.txt", QUESTION);
    daemon.wait_until("the response", || image.get("prompt.response.txt"));
}

#[test]
fn another_volume_under_the_same_name_starts_afresh() {
    let image = Image::usual();
    let daemon = Daemon::serve(&image.path(), &demo_model(), &[]);
    image.put("prompt.txt", QUESTION);
    daemon.wait_until("the response", || image.get("prompt.response.txt"));
    let other = Image::mkfs(64, &["-F", "32"]);
    other.put("prompt.txt", QUESTION);
    std::fs::copy(other.path(), image.folder().join("new.img")).unwrap();
    std::fs::rename(image.folder().join("new.img"), image.path()).unwrap();
    daemon.wait_until("the response on the other volume", || {
        image.get("prompt.response.txt")
    });
    image.assert_clean();
}

#[test]
fn what_is_no_fat_volume_is_refused_with_advice() {
    let image = Image::none();
    std::fs::write(image.path(), vec![0; 64 << 20]).unwrap();
    assert!(stderr_of_failure(&image).contains("format"));
    let fat12 = Image::mkfs(2, &["-F", "12"]);
    assert!(stderr_of_failure(&fat12).contains("FAT12"));
    let missing = Image::none();
    assert!(stderr_of_failure(&missing).contains("does not exist"));
}

#[test]
fn a_full_volume_keeps_the_answer_until_there_is_room() {
    let image = Image::mkfs(16, &["-F", "16", "-s", "4"]);
    image.put("prompt.txt", QUESTION);
    let filler = vec![b'x'; 2048];
    let big = vec![b'x'; 15 << 20];
    image.put("big.bin", big);
    let mut number = 0;
    while fits(&image, &format!("fill{number}.bin"), &filler) {
        number += 1;
    }
    let daemon = Daemon::serve(&image.path(), &demo_model(), &[]);
    daemon.wait_logged("cannot be put");
    assert_eq!(image.get("prompt.response.txt"), None);
    image.assert_clean();
    image.delete("big.bin");
    daemon.wait_until("the response", || image.get("prompt.response.txt"));
    image.assert_clean();
}

fn fits(image: &Image, name: &str, content: &[u8]) -> bool {
    let source = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(source.path(), content).unwrap();
    let mut command = tool::command("mcopy");
    command
        .arg("-i")
        .arg(image.path())
        .arg(source.path())
        .arg(format!("::{name}"));
    tool::output(&mut command, b"").status.success()
}

/// The program in a mount namespace of its own, prepared by a line of shell in which `$1` is
/// `folder`. The shell gives way to the program, so their process number is one.
fn in_namespace(prepare: &str, folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c"]);
    command
        .arg(format!("{prepare} && shift && exec \"$@\""))
        .arg("sh")
        .arg(folder);
    command
        .arg(env!("CARGO_BIN_EXE_promptstick"))
        .env_remove("RUST_LOG");
    command
}

#[test]
fn a_full_disk_under_the_state_folder_is_waited_out() {
    let image = Image::usual();
    let state = image.folder().join("state");
    std::fs::create_dir(&state).unwrap();
    let mut command = in_namespace("mount -t tmpfs -o size=64k tmpfs \"$1\"", &state);
    command
        .arg("serve")
        .arg("--image")
        .arg(image.path())
        .arg("--state")
        .arg(&state);
    command.arg("--model").arg(demo_model());
    let daemon = Daemon::start(command);
    daemon.wait_notified("READY=1");
    let inside = format!("/proc/{}/root{}/filler", daemon.pid(), state.display());
    // As much as fits: the write that fails has filled the disk.
    std::fs::write(&inside, vec![0; 1 << 20]).unwrap_err();
    image.put("prompt.txt", QUESTION);
    daemon.wait_logged("No space left");
    assert_eq!(image.list(), ["prompt.txt"]);
    std::fs::remove_file(&inside).unwrap();
    daemon.wait_until("the response", || image.get("prompt.response.txt"));
    image.assert_clean();
}

#[test]
fn an_image_that_may_not_be_written_is_an_error_that_says_so() {
    let image = Image::usual();
    image.put("prompt.txt", QUESTION);
    let read_only = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\"";
    let mut command = in_namespace(read_only, image.folder());
    command
        .arg("answer")
        .arg(image.path())
        .arg("--model")
        .arg(demo_model());
    let output = tool::output(&mut command, b"");
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("Read-only file system"), "{stderr}");
}

#[test]
fn a_volume_that_is_formatted_in_place_starts_afresh() {
    let image = Image::usual();
    let model = demo_model();
    let daemon = Daemon::serve(&image.path(), &model, &[]);
    let path = image.path();
    tool::run(
        "mkfs.fat",
        ["-i".as_ref(), "12345678".as_ref(), path.as_os_str()],
    );
    image.put("prompt.txt", QUESTION);
    daemon.wait_until("the response", || image.get("prompt.response.txt"));
    daemon.signal(Signal::SIGTERM);
    daemon.wait();
    program::answer(&image.path(), &model);
    assert_eq!(image.list(), ["prompt.response.txt", "prompt.txt"]);
}

#[test]
fn a_folder_that_cannot_be_read_for_a_while_is_not_empty() {
    let image = Image::mkfs(16, &["-F", "16", "-s", "1"]);
    let model = demo_model();
    image.make_dir("prompts");
    // Enough entries for a second cluster, so that there is a chain to cut.
    for number in 0..12 {
        image.put(&format!("prompts/note{number}.log"), "x");
    }
    image.put("prompts/prompt.txt", QUESTION);
    program::answer(&image.path(), &model);
    let whole = std::fs::read(image.path()).unwrap();
    let before = image.list();
    cut_chain(&image, "prompts");
    program::answer(&image.path(), &model);
    assert!(
        std::fs::read(image.path()).unwrap() != whole,
        "the chain is cut"
    );
    std::fs::write(image.path(), whole).unwrap();
    program::answer(&image.path(), &model);
    assert_eq!(image.list(), before, "nothing was asked again");
}

/// Marks the first cluster of a folder as free in both tables of a FAT16 volume.
fn cut_chain(image: &Image, folder: &str) {
    let mut bytes = std::fs::read(image.path()).unwrap();
    let volume = volume::Volume::open(volume::ImageFile::open_read_only(&image.path()).unwrap());
    let entry = volume.unwrap().find(folder).unwrap().unwrap();
    let u16_at = |bytes: &[u8], at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let reserved = usize::from(u16_at(&bytes, 14)) * 512;
    let table_bytes = usize::from(u16_at(&bytes, 22)) * 512;
    for table in [reserved, reserved + table_bytes] {
        let at = table + 2 * entry.first_cluster as usize;
        bytes[at..at + 2].fill(0);
    }
    std::fs::write(image.path(), bytes).unwrap();
}

#[test]
fn two_files_of_one_name_do_not_keep_anybody_busy() {
    let image = Image::usual();
    image.put("first prompt.txt", QUESTION);
    image.put("other prompt.txt", QUESTION);
    // The same long name in both entries. Its checksum is that of the short name, so that has to
    // be the same, too; the damage of a host that wrote a folder twice.
    let mut bytes = std::fs::read(image.path()).unwrap();
    let short = find(&bytes, b"OTHERP~1TXT");
    bytes[short..short + 11].copy_from_slice(b"FIRSTP~1TXT");
    let first = find(&bytes, b"FIRSTP~1TXT");
    let long: Vec<u8> = bytes[first - 64..first].to_vec();
    bytes[short - 64..short].copy_from_slice(&long);
    std::fs::write(image.path(), bytes).unwrap();
    program::answer(&image.path(), &demo_model());
    assert!(image.get("first prompt.response.txt").is_some());
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    let mut windows = bytes.windows(what.len());
    windows
        .position(|window| window == what)
        .expect("it is on the image")
}
