//! What can go wrong around the daemon, and how it comes back when it is mended.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

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

fn answer(image: &Image) -> std::process::Output {
    let (path, model) = (image.path(), demo_model());
    program::run([
        "answer".as_ref(),
        path.as_os_str(),
        "--model".as_ref(),
        model.as_os_str(),
    ])
}

fn stderr_of_failure(image: &Image) -> String {
    let output = answer(image);
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_volume_in_use_is_not_touched() {
    let image = Image::usual();
    image.put("prompt.txt", QUESTION);
    mark_in_use(&image, 1);
    let before = std::fs::read(image.path()).unwrap();
    assert!(stderr_of_failure(&image).contains("fsck.fat"));
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
    image.put("prompt.txt", QUESTION);
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .open(image.path())
        .unwrap();
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
