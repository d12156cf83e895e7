//! Calling cargo from within `cargo xtask`, and where things are in the repository.
//! Used by `try` and `test`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::process;

/// The package whose build script compiles llama.cpp.
const LLAMA_PACKAGE: &str = "llama-cpp-sys-2";

/// The top of the repository.
///
/// # Errors
/// We were not started by `cargo xtask`.
pub fn repository() -> anyhow::Result<PathBuf> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let top = manifest
        .as_deref()
        .and_then(Path::parent)
        .and_then(Path::parent);
    top.map(Path::to_path_buf)
        .context("start this tool with: cargo xtask")
}

/// The folder into which cargo builds programs of the profile that we were built with.
///
/// # Errors
/// The system does not tell where our own program is.
pub fn output_folder() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("cannot tell where this program is")?;
    let folder = own.parent().context("this program is in no folder")?;
    Ok(folder.to_path_buf())
}

/// The cargo that runs us, in the repository, without the variables that it set to describe *us*:
/// a build started from here must be the same as one that a person starts.
///
/// # Errors
/// As [`repository`].
pub fn command(arguments: &[&str]) -> anyhow::Result<Command> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = process::command(cargo);
    command.args(arguments).current_dir(repository()?);
    for (name, _) in env::vars_os() {
        if describes_package(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    Ok(command)
}

fn describes_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// Whether cargo has a subcommand that the toolchain may lack (`fmt`, `clippy`).
pub fn has_subcommand(name: &str) -> bool {
    let Ok(mut command) = command(&[name, "--version"]) else {
        return false;
    };
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What to say before a build: whether llama.cpp, by far its longest part, is still to be compiled.
///
/// # Errors
/// As [`output_folder`].
pub fn build_note() -> anyhow::Result<Option<&'static str>> {
    let built = llama_is_built(&output_folder()?.join("build"));
    Ok((!built).then_some(
        "      This compiles llama.cpp, once: about five minutes on two cores. Later builds take \
         seconds.",
    ))
}

/// The build script leaves the static libraries in `build/llama-cpp-sys-2-HASH/out/lib*`.
fn llama_is_built(build_folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(build_folder) else {
        return false;
    };
    let ours = entries.flatten().filter(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with(LLAMA_PACKAGE)
    });
    let mut outs = ours.map(|entry| entry.path().join("out"));
    outs.any(|out| {
        ["lib", "lib64"]
            .iter()
            .any(|folder| out.join(folder).join("libllama.a").exists())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_counts_as_built_when_its_library_is_there() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(!llama_is_built(folder.path()));
        let library = folder.path().join("llama-cpp-sys-2-0123/out/lib");
        fs::create_dir_all(&library).expect("folders");
        assert!(!llama_is_built(folder.path()));
        fs::write(library.join("libllama.a"), "").expect("a file");
        assert!(llama_is_built(folder.path()));
    }

    #[test]
    fn only_what_describes_us_is_removed() {
        assert!(describes_package("CARGO_PKG_NAME") && describes_package("CARGO_MANIFEST_DIR"));
        assert!(!describes_package("CARGO_TARGET_DIR") && !describes_package("CARGO"));
    }
}
