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

/// Deeper than cmake nests its object files.
const FOLDER_DEPTH: u32 = 16;

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

/// The folder of everything that cargo builds.
///
/// # Errors
/// As [`output_folder`].
pub fn target_folder() -> anyhow::Result<PathBuf> {
    let mut folder = output_folder()?;
    // Our own folder is that of our profile.
    folder.pop();
    Ok(folder)
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
    Ok(llama_note(&output_folder()?.join("build")))
}

/// [`build_note`] for the build scripts in another folder than that of our own profile.
pub fn llama_note(build_folder: &Path) -> Option<&'static str> {
    (!llama_is_built(build_folder)).then_some(
        "      This compiles llama.cpp, once: about five minutes on two cores. Later builds take \
         seconds.",
    )
}

/// What a build is doing, as far as cargo does not tell: how far llama.cpp is.
pub fn build_state() -> String {
    output_folder().map_or("at work".to_owned(), |folder| {
        llama_state(&folder.join("build"))
    })
}

/// [`build_state`] for the build scripts in another folder than that of our own profile.
pub fn llama_state(build_folder: &Path) -> String {
    llama_progress(build_folder).map_or("at work".to_owned(), |(done, total)| {
        format!("llama.cpp: {done} of {total} files compiled")
    })
}

/// The build script's folders for llama.cpp, `build/llama-cpp-sys-2-HASH/out`.
fn llama_folders(build_folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(build_folder) else {
        return Vec::new();
    };
    let names = entries.flatten();
    let ours = names.filter(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with(LLAMA_PACKAGE)
    });
    ours.map(|entry| entry.path().join("out")).collect()
}

/// The build script installs the static libraries into `out/lib*` as its last step.
fn llama_is_built(build_folder: &Path) -> bool {
    let libraries = ["lib/libllama.a", "lib64/libllama.a"];
    llama_folders(build_folder)
        .iter()
        .any(|out| libraries.iter().any(|library| out.join(library).exists()))
}

/// Files of llama.cpp that are compiled, and all, while it is being built: cmake writes a list of
/// all commands to `compile_commands.json` beside the object files.
fn llama_progress(build_folder: &Path) -> Option<(usize, usize)> {
    if llama_is_built(build_folder) {
        return None;
    }
    llama_folders(build_folder).iter().find_map(|out| {
        let build = out.join("build");
        let commands = fs::read_to_string(build.join("compile_commands.json")).ok()?;
        Some((
            count_objects(&build, 0),
            commands.matches("\"file\":").count(),
        ))
    })
}

/// Counts `*.o` in a folder and those below it.
fn count_objects(folder: &Path, depth: u32) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let counts = entries.map(|entry| {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && depth < FOLDER_DEPTH {
            return count_objects(&entry.path(), depth + 1);
        }
        usize::from(
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "o"),
        )
    });
    counts.sum()
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
    fn progress_counts_object_files_against_cmakes_list() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(llama_progress(folder.path()), None);
        let out = folder.path().join("llama-cpp-sys-2-0123/out");
        let objects = out.join("build/src/CMakeFiles/llama.dir");
        fs::create_dir_all(&objects).expect("folders");
        fs::write(objects.join("llama.cpp.o"), "").expect("a file");
        fs::write(objects.join("llama.cpp.d"), "").expect("a file");
        let list = "[{\"file\": \"a.cpp\"}, {\"file\": \"b.cpp\"}]";
        fs::write(out.join("build/compile_commands.json"), list).expect("a file");
        assert_eq!(llama_progress(folder.path()), Some((1, 2)));
        fs::create_dir_all(out.join("lib")).expect("a folder");
        fs::write(out.join("lib/libllama.a"), "").expect("a file");
        assert_eq!(llama_progress(folder.path()), None);
    }

    #[test]
    fn only_what_describes_us_is_removed() {
        assert!(describes_package("CARGO_PKG_NAME") && describes_package("CARGO_MANIFEST_DIR"));
        assert!(!describes_package("CARGO_TARGET_DIR") && !describes_package("CARGO"));
    }
}
