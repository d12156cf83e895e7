//! What the builds want from the system: a C library, no newer than promised, or nothing at all.

use super::board::Build;
use crate::support::tool;

/// All of them are glibc's; Raspberry Pi OS has them from the start.
const GLIBC: [&str; 6] = [
    "ld-linux-armhf.so.3",
    "libc.so.6",
    "libdl.so.2",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
];

/// The version of glibc that `image/cross/zig-tool` names, 2.N.
const NEWEST_MINOR: u32 = 28;

fn readelf(build: Build, option: &str) -> String {
    let mut command = tool::command("llvm-readelf");
    let output = tool::expect(command.arg(option).arg(build.shipped()));
    String::from_utf8(output.stdout).unwrap()
}

fn needed(build: Build) -> Vec<String> {
    let text = readelf(build, "--dynamic-table");
    let lines = text.lines().filter(|line| line.contains("(NEEDED)"));
    let names = lines.filter_map(|line| line.split_once('[')?.1.strip_suffix(']'));
    names.map(str::to_owned).collect()
}

#[test]
fn the_static_build_wants_nothing() {
    assert_eq!(needed(Build::Static), Vec::<String>::new());
    let headers = readelf(Build::Static, "--program-headers");
    assert!(headers.contains("LOAD"), "{headers}");
    assert!(!headers.contains("INTERP"), "{headers}");
}

#[test]
fn the_dynamic_build_wants_only_the_c_library() {
    let needed = needed(Build::Dynamic);
    assert!(needed.iter().any(|name| name == "libc.so.6"), "{needed:?}");
    for name in &needed {
        assert!(GLIBC.contains(&name.as_str()), "{name} among {needed:?}");
    }
    let headers = readelf(Build::Dynamic, "--program-headers");
    assert!(headers.contains("/lib/ld-linux-armhf.so.3"), "{headers}");
}

#[test]
fn the_c_library_may_be_old() {
    let text = readelf(Build::Dynamic, "--version-info");
    let versions: Vec<u32> = text
        .split("GLIBC_2.")
        .skip(1)
        .map(|rest| {
            rest.chars()
                .take_while(char::is_ascii_digit)
                .collect::<String>()
        })
        .map(|minor| minor.parse().unwrap())
        .collect();
    assert!(!versions.is_empty(), "{text}");
    assert!(
        versions.iter().all(|&minor| minor <= NEWEST_MINOR),
        "{text}"
    );
}
