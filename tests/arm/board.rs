//! The files for the board, and the commands that run them here.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use lab::cache::Cache;
use lab::packages;
use tempfile::TempDir;

use crate::support::tool;

/// The environment variable by which a program under an emulator starts its child under it too.
const WORKER_VARIABLE: &str = "PROMPTSTICK_WORKER";

/// One of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// With the system's C library.
    Dynamic,
    /// With musl in it.
    Static,
}

impl Build {
    pub const ALL: [Self; 2] = [Self::Dynamic, Self::Static];

    fn triple(self) -> &'static str {
        match self {
            Self::Dynamic => "arm-unknown-linux-gnueabihf",
            Self::Static => "arm-unknown-linux-musleabihf",
        }
    }

    /// What goes onto the board.
    pub fn shipped(self) -> PathBuf {
        built(&["pi", self.triple(), "promptstick"])
    }

    /// The same before its symbols were taken away.
    pub fn with_symbols(self) -> PathBuf {
        built(&[self.triple(), "release", "promptstick"])
    }
}

/// Cargo's target folder.
fn target_folder() -> &'static Path {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR"));
    own.parent().expect("cargo makes it below its own")
}

fn built(names: &[&str]) -> PathBuf {
    let path = target_folder().join(names.iter().collect::<PathBuf>());
    assert!(
        path.is_file(),
        "{} is not there: run `cargo xtask build-pi`",
        path.display()
    );
    path
}

/// The C compiler of the builds, with its options for the board.
pub fn compiler() -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../image/cross");
    let name = format!("{}-cc", Build::Static.triple());
    let mut command = tool::command(folder.join(name).to_str().expect("UTF-8"));
    command.env("PROMPTSTICK_ZIG", built(&["zig", "ziglang", "zig"]));
    command.env("ZIG_GLOBAL_CACHE_DIR", target_folder().join("zig/cache"));
    command
}

/// A machine to run a build on.
pub struct Board {
    /// Of `qemu-arm`: the core, and where the libraries are.
    options: Vec<String>,
    build: Build,
    folder: TempDir,
}

impl Board {
    /// The Pi Zero W's core, for the static build: `qemu-arm` ends what has an instruction that
    /// this core lacks.
    pub fn arm1176() -> Self {
        Self::new(Build::Static, vec!["-cpu".into(), "arm1176".into()])
    }

    /// An `ARMv7` core with Debian's armhf libraries, for the dynamic build: those libraries are
    /// `ARMv7` code, unlike Raspberry Pi OS's.
    pub fn armhf() -> Self {
        // Tests run at the same time, and the first one may have to download them.
        static LIBRARIES: OnceLock<PathBuf> = OnceLock::new();
        let libraries = LIBRARIES.get_or_init(armhf_libraries);
        let libraries = libraries.to_str().expect("UTF-8").to_owned();
        let options = vec!["-cpu".into(), "cortex-a7".into(), "-L".into(), libraries];
        Self::new(Build::Dynamic, options)
    }

    /// Each build, on the core that it runs on here.
    pub fn both() -> [Self; 2] {
        [Self::arm1176(), Self::armhf()]
    }

    fn new(build: Build, mut options: Vec<String>) -> Self {
        // A library that a test puts into the emulator is none for the program in it.
        options.extend(["-U".into(), "LD_PRELOAD".into()]);
        let board = Self {
            options,
            build,
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        // The kernel here cannot start the child's file by itself.
        let quoted = |word: &str| format!("'{word}'");
        let words: Vec<String> = board.words().iter().map(|word| quoted(word)).collect();
        let script = format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "));
        std::fs::write(board.worker(), script).expect("room for a script");
        let executable = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(board.worker(), executable).expect("our own file");
        board
    }

    fn worker(&self) -> PathBuf {
        self.folder.path().join("worker")
    }

    fn words(&self) -> Vec<String> {
        let program = self.build.shipped();
        let mut words = vec!["qemu-arm".to_owned()];
        words.extend(self.options.iter().cloned());
        words.push(program.to_str().expect("UTF-8").to_owned());
        words
    }

    /// The program with these arguments.
    pub fn promptstick<S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let words = self.words();
        let mut command = tool::command(&words[0]);
        command
            .args(&words[1..])
            .args(arguments)
            .env(WORKER_VARIABLE, self.worker())
            .env_remove("RUST_LOG")
            .env_remove("NOTIFY_SOCKET");
        command
    }
}

/// The C library of Debian 12 for armhf, kept in the lab's cache.
fn armhf_libraries() -> PathBuf {
    let cache = Cache::open().unwrap();
    packages::unpacked(&cache, "libraries", "bookworm", "armhf", "libc6").unwrap()
}
