//! The C and C++ compiler for the board: installed by pip, version and hash from
//! `image/cross/zig.txt`, below cargo's target folder. The machine's own Python stays as it is.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::target::Target;
use crate::cargo;
use crate::process;
use crate::progress::Heartbeat;

/// What pip is to install, relative to the repository.
const REQUIREMENTS: &str = "image/cross/zig.txt";

/// A copy of [`REQUIREMENTS`] that says what was installed.
const INSTALLED: &str = "installed.txt";

/// The package, and the folder that it makes.
const PACKAGE: &str = "ziglang";

/// Where zig has the headers of musl, below its package. bindgen wants headers of a C library for
/// the board, and what llama.cpp's headers use of them is the same in all.
const HEADERS: [&str; 2] = [
    "lib/libc/include/arm-linux-musl",
    "lib/libc/include/generic-musl",
];

/// An installed zig.
pub struct Zig {
    folder: PathBuf,
}

impl Zig {
    /// Sees to it that the wanted version is in `folder`.
    ///
    /// # Errors
    /// pip could not install it.
    pub fn ensure(folder: &Path) -> anyhow::Result<Self> {
        let requirements = cargo::repository()?.join(REQUIREMENTS);
        let wanted = fs::read_to_string(&requirements)
            .with_context(|| format!("cannot read {}", requirements.display()))?;
        let zig = Self {
            folder: folder.to_path_buf(),
        };
        if !zig.is_installed(&wanted) {
            zig.install(&requirements, &wanted)?;
        }
        Ok(zig)
    }

    fn is_installed(&self, wanted: &str) -> bool {
        let installed = fs::read_to_string(self.folder.join(INSTALLED));
        installed.is_ok_and(|installed| installed == wanted) && self.program().is_file()
    }

    fn install(&self, requirements: &Path, wanted: &str) -> anyhow::Result<()> {
        eprintln!("Installing the compiler for the board with pip, {PACKAGE}, about 90 MB");
        // pip adds to a folder but does not replace what is in it. The note that it is complete
        // goes first, and comes back last.
        let _ = fs::remove_file(self.folder.join(INSTALLED));
        let _ = fs::remove_dir_all(self.folder.join(PACKAGE));
        let _alive = Heartbeat::start("pip");
        let mut command = process::command("pip3");
        command
            .args(["install", "--quiet", "--require-hashes", "--no-deps"])
            .args(["--only-binary", ":all:", "--upgrade", "--target"])
            .arg(&self.folder)
            .arg("--requirement")
            .arg(requirements);
        process::output(&mut command)?;
        let note = self.folder.join(INSTALLED);
        fs::write(&note, wanted).with_context(|| format!("cannot write {}", note.display()))
    }

    fn program(&self) -> PathBuf {
        self.folder.join(PACKAGE).join("zig")
    }

    /// What the wrappers in `image/cross` and bindgen must know, besides `.cargo/config.toml`.
    pub fn variables(&self, target: &Target) -> [(OsString, OsString); 3] {
        let package = self.folder.join(PACKAGE);
        let headers =
            HEADERS.map(|headers| format!("-isystem '{}'", package.join(headers).display()));
        let bindgen = format!(
            "BINDGEN_EXTRA_CLANG_ARGS_{}",
            target.triple.replace('-', "_")
        );
        [
            ("PROMPTSTICK_ZIG".into(), self.program().into()),
            (
                "ZIG_GLOBAL_CACHE_DIR".into(),
                self.folder.join("cache").into(),
            ),
            (bindgen.into(), headers.join(" ").into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_not_the_wanted_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let zig = Zig {
            folder: folder.path().to_path_buf(),
        };
        fs::write(folder.path().join(INSTALLED), "ziglang==1").expect("a file");
        assert!(!zig.is_installed("ziglang==1"), "the program is not there");
        fs::create_dir(folder.path().join(PACKAGE)).expect("a folder");
        fs::write(zig.program(), "").expect("a file");
        assert!(zig.is_installed("ziglang==1"));
        assert!(!zig.is_installed("ziglang==2"));
    }
}
