//! `cargo xtask build-pi`: the release build of the program for the Pi Zero W, once for Raspberry
//! Pi OS and once static. Used by `main` and, before the tests that run these files, by `test`.
//!
//! Which compiler options make code for the board is not said here but in `image/cross/zig-tool`,
//! which `cross` goes through as well.

mod target;
mod zig;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cargo;
use crate::process;
use crate::progress::Heartbeat;
use crate::setup::{self, Needed};
use target::{TARGETS, Target};
use zig::Zig;

/// The name of the program.
const PROGRAM: &str = "promptstick";

/// Why nothing can be built for the board here, if that is so: what rustup can add is added.
pub fn obstacle() -> Option<anyhow::Error> {
    TARGETS.iter().find_map(|target| target.ensure().err())
}

/// Builds both files, and prints where they are and how large.
///
/// # Errors
/// A tool could not be installed, a Rust target is not there, or something did not compile.
pub fn build() -> anyhow::Result<()> {
    setup::ensure(&[Needed::Build, Needed::Pi])?;
    if let Some(error) = obstacle() {
        return Err(error);
    }
    let folder = cargo::target_folder()?;
    let zig = Zig::ensure(&folder.join("zig"))?;
    let mut sizes = Vec::new();
    for target in &TARGETS {
        compile(target, &zig, &folder)?;
        sizes.push(strip(target, &folder)?);
    }
    for (path, bytes) in sizes {
        println!("{bytes:>10} bytes  {}", path.display());
    }
    Ok(())
}

/// The file as cargo leaves it has its symbols: the check of the instructions reads where code ends
/// and data begins from them.
fn compile(target: &Target, zig: &Zig, folder: &Path) -> anyhow::Result<()> {
    let output = folder.join(target.triple).join("release");
    let build = output.join("build");
    eprintln!("Building for the board: {}, {}", target.triple, target.what);
    if let Some(note) = cargo::llama_note(&build) {
        eprintln!("{note}");
    }
    let mut command = cargo::command(&[
        "build",
        "--release",
        "--package",
        PROGRAM,
        "--target",
        target.triple,
    ])?;
    command.envs(zig.variables(target));
    let _alive = Heartbeat::telling(move || cargo::llama_state(&build));
    process::run(&mut command)
}

/// Writes the file without its symbols, which is the one to ship, and gives its size.
fn strip(target: &Target, folder: &Path) -> anyhow::Result<(PathBuf, u64)> {
    let from = folder.join(target.triple).join("release").join(PROGRAM);
    let to = folder.join("pi").join(target.triple);
    fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
    let to = to.join(PROGRAM);
    let mut command = process::command("llvm-strip");
    process::run(command.arg("--strip-all").arg("-o").arg(&to).arg(&from))?;
    let facts = fs::metadata(&to).with_context(|| format!("no {}", to.display()))?;
    Ok((to, facts.len()))
}
