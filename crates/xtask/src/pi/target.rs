//! The board's two Rust targets, and seeing to it that Rust has their standard libraries.

use std::path::Path;

use anyhow::bail;

use crate::process;

/// A way of building for the board.
#[derive(Debug)]
pub struct Target {
    /// What Rust calls it.
    pub triple: &'static str,
    /// What it is for.
    pub what: &'static str,
}

/// For Raspberry Pi OS.
const DYNAMIC: Target = Target {
    triple: "arm-unknown-linux-gnueabihf",
    what: "with the system's C library (glibc 2.28 or newer: Raspberry Pi OS)",
};

/// With all that it needs.
pub const STATIC: Target = Target {
    triple: "arm-unknown-linux-musleabihf",
    what: "static, for any Linux on the board",
};

/// Both.
pub const TARGETS: [Target; 2] = [DYNAMIC, STATIC];

impl Target {
    /// Sees to it that Rust can compile for it.
    ///
    /// # Errors
    /// It cannot, and rustup could not change that.
    pub fn ensure(&self) -> anyhow::Result<()> {
        if self.is_installed()? {
            return Ok(());
        }
        let triple = self.triple;
        if process::find_program("rustup").is_none() {
            bail!(
                "the target is not installed: {triple}. Without rustup, add Rust's standard \
                 library for it in the way that your Rust came from, and try again."
            );
        }
        eprintln!("Adding to the Rust toolchain, for the board: {triple}");
        if let Err(error) = process::run(process::command("rustup").args(["target", "add", triple]))
        {
            bail!(
                "the target is not installed: {triple}, and rustup could not add it ({error}). \
                 Try again with a connection to the network: rustup target add {triple}"
            );
        }
        Ok(())
    }

    /// Whether the compiler in use has a standard library for it.
    fn is_installed(&self) -> anyhow::Result<bool> {
        let mut command = process::command("rustc");
        let folder =
            process::output(command.args(["--print", "target-libdir", "--target", self.triple]))?;
        Ok(holds_library(Path::new(folder.trim())))
    }
}

/// rustc names the folder of a target's libraries whether or not there are any.
fn holds_library(folder: &Path) -> bool {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().starts_with("libstd-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_library_is_no_target() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(!holds_library(&folder.path().join("absent")));
        assert!(!holds_library(folder.path()));
        std::fs::write(folder.path().join("libstd-0123.rlib"), "").expect("a file");
        assert!(holds_library(folder.path()));
    }
}
