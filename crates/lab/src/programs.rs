//! Programs and files of this machine that a guest gets, and where to find them. Used by
//! [`initramfs`](crate::initramfs), the tests and the xtask.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::At;
use crate::{LabError, Result, tool};

/// The package and program that becomes the guest's init.
const AGENT: &str = "labhost";

/// What cargo writes into the top of its output folder.
const OUTPUT_MARK: &str = "CACHEDIR.TAG";

/// What goes into every guest.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The guest's init.
    pub labhost: PathBuf,
    /// The program under test.
    pub promptstick: PathBuf,
    /// The model that it runs.
    pub model: PathBuf,
}

/// The top of cargo's output folder, in which the running program lies.
///
/// # Errors
/// It lies elsewhere: it was not started by cargo.
pub fn output_folder() -> Result<PathBuf> {
    let own = env::current_exe().at(Path::new("this program"))?;
    let top = own
        .ancestors()
        .find(|folder| folder.join(OUTPUT_MARK).is_file());
    top.map(Path::to_path_buf).ok_or_else(|| {
        LabError::Unexpected(format!("{} is not in cargo's output folder", own.display()))
    })
}

/// Builds the guest's init and gives its path. Cargo does nothing where it is up to date.
///
/// # Errors
/// It does not compile.
pub fn build_labhost() -> Result<PathBuf> {
    let output = output_folder()?;
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = tool::command(&cargo);
    command
        .args(["build", "--quiet", "--package", AGENT, "--bin", AGENT])
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .arg("--target-dir")
        .arg(&output);
    without_package(&mut command);
    tool::run(&mut command)?;
    Ok(output.join("debug").join(AGENT))
}

/// Where `cargo xtask build-pi` puts the static build for the board, in cargo's output folder.
const PI_FOLDER: &str = "pi/arm-unknown-linux-musleabihf";

/// A program of the static build for the board.
///
/// # Errors
/// It was not built.
pub fn built_for_pi(name: &str) -> Result<PathBuf> {
    let path = output_folder()?.join(PI_FOLDER).join(name);
    match path.is_file() {
        true => Ok(path),
        false => Err(LabError::Unexpected(format!(
            "{} is not there: run `cargo xtask build-pi --lab`",
            path.display()
        ))),
    }
}

/// What cargo told this process about its own package must not reach another build.
fn without_package(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
}
