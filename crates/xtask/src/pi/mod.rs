//! `cargo xtask build-pi`: the release build of the program for the Pi Zero W, once for Raspberry
//! Pi OS and once static. Used by `main`, by `test` before the tests that run these files, by
//! `demo`, which wants the static one and what runs it on an emulated board, and by `bench`.
//!
//! Which compiler options make code for the board is not said here but in `image/cross/zig-tool`,
//! which `cross` goes through as well.

mod target;
mod zig;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cargo;
use crate::process;
use crate::progress::Heartbeat;
use crate::setup::{self, Needed};
use target::{STATIC, TARGETS, Target};
use zig::Zig;

/// The name of the program.
const PROGRAM: &str = "promptstick";

/// What is the first process of a board in the lab.
const AGENT: &str = "labhost";

/// Why nothing can be built for the board here, if that is so: what rustup can add is added.
pub fn obstacle() -> Option<anyhow::Error> {
    TARGETS.iter().find_map(|target| target.ensure().err())
}

/// Builds both files, and prints where they are and how large.
///
/// # Errors
/// A tool could not be installed, a Rust target is not there, or something did not compile.
pub fn build() -> anyhow::Result<()> {
    let workshop = Workshop::open()?;
    let sizes: Vec<_> = TARGETS
        .iter()
        .map(|target| workshop.make(target, PROGRAM))
        .collect::<anyhow::Result<_>>()?;
    for (path, bytes) in sizes {
        println!("{bytes:>10} bytes  {}", path.display());
    }
    Ok(())
}

/// Builds what an emulated board boots with: the static program, and the lab's first process.
///
/// # Errors
/// As [`build`].
pub fn build_for_lab() -> anyhow::Result<()> {
    let workshop = Workshop::open()?;
    for package in [PROGRAM, AGENT] {
        workshop.make(&STATIC, package)?;
    }
    Ok(())
}

/// Builds the static program; where it is, with its symbols.
///
/// # Errors
/// As [`build`].
pub fn build_static() -> anyhow::Result<PathBuf> {
    let workshop = Workshop::open()?;
    workshop.compile(&STATIC, PROGRAM)?;
    let folder = workshop.folder.join(STATIC.triple).join("release");
    Ok(folder.join(PROGRAM))
}

/// The target of the static build.
pub const STATIC_TRIPLE: &str = STATIC.triple;

/// What `cargo test` must know to build for [`STATIC_TRIPLE`] and to run that on an emulated core.
///
/// # Errors
/// As [`build`].
pub fn test_variables() -> anyhow::Result<Vec<(OsString, OsString)>> {
    let triple = STATIC_TRIPLE.replace('-', "_").to_uppercase();
    let runner = format!("CARGO_TARGET_{triple}_RUNNER");
    let mut variables = Workshop::open()?.zig.variables(&STATIC).to_vec();
    variables.push((runner.into(), "qemu-arm -cpu arm1176".into()));
    Ok(variables)
}

/// What builds need.
struct Workshop {
    zig: Zig,
    /// Cargo's target folder.
    folder: PathBuf,
}

impl Workshop {
    fn open() -> anyhow::Result<Self> {
        setup::ensure(&[Needed::Build, Needed::Pi])?;
        if let Some(error) = obstacle() {
            return Err(error);
        }
        let folder = cargo::target_folder()?;
        let zig = Zig::ensure(&folder.join("zig"))?;
        Ok(Self { zig, folder })
    }

    /// Builds a package's program of the same name; where it is, and its size.
    fn make(&self, target: &Target, package: &str) -> anyhow::Result<(PathBuf, u64)> {
        self.compile(target, package)?;
        strip(target, package, &self.folder)
    }

    /// The file as cargo leaves it has its symbols: the check of the instructions reads where code
    /// ends and data begins from them.
    fn compile(&self, target: &Target, package: &str) -> anyhow::Result<()> {
        let output = self.folder.join(target.triple).join("release");
        let build = output.join("build");
        let (triple, what) = (target.triple, target.what);
        eprintln!("Building {package} for the board: {triple}, {what}");
        if let Some(note) = cargo::llama_note(&build) {
            eprintln!("{note}");
        }
        let mut command = cargo::command(&[
            "build",
            "--release",
            "--package",
            package,
            "--target",
            triple,
        ])?;
        command.envs(self.zig.variables(target));
        let _alive = Heartbeat::telling(move || cargo::llama_state(&build));
        process::run(&mut command)
    }
}

/// Writes the file without its symbols, which is the one to ship, and gives its size.
fn strip(target: &Target, package: &str, folder: &Path) -> anyhow::Result<(PathBuf, u64)> {
    let from = folder.join(target.triple).join("release").join(package);
    let to = folder.join("pi").join(target.triple);
    fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
    let to = to.join(package);
    let mut command = process::command("llvm-strip");
    process::run(command.arg("--strip-all").arg("-o").arg(&to).arg(&from))?;
    let facts = fs::metadata(&to).with_context(|| format!("no {}", to.display()))?;
    Ok((to, facts.len()))
}
