//! The checks that look at the sources and the dependencies without running the program.
//! Used by `test`.

mod licences;
mod spdx;

use crate::cargo;
use crate::process;
use crate::progress::Heartbeat;

/// The shell scripts of the repository.
const SHELL_SCRIPTS: [&str; 3] = [".ci/run", ".cargo/host-linker", "image/cross/zig-tool"];

/// One check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// rustfmt agrees with the layout.
    Formatting,
    /// clippy has nothing to say, in tests neither.
    Clippy,
    /// Every dependency has a licence that deny.toml allows, and comes from crates.io.
    Licences,
    /// shellcheck has nothing to say.
    Shell,
}

impl Check {
    /// Cheap ones first.
    pub const ALL: [Self; 4] = [Self::Formatting, Self::Shell, Self::Licences, Self::Clippy];

    /// What the step is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Formatting => "cargo fmt --check",
            Self::Shell => "shellcheck",
            Self::Licences => "licences and sources of the dependencies",
            Self::Clippy => "cargo clippy, warnings are errors",
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// What is wrong.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Formatting => process::run(&mut cargo::command(&["fmt", "--all", "--check"])?),
            Self::Shell => shellcheck(),
            Self::Licences => licences::check(),
            Self::Clippy => clippy(),
        }
    }
}

fn shellcheck() -> anyhow::Result<()> {
    let mut command = process::command("shellcheck");
    process::run(
        command
            .args(SHELL_SCRIPTS)
            .current_dir(cargo::repository()?),
    )
}

fn clippy() -> anyhow::Result<()> {
    let _alive = Heartbeat::telling(cargo::build_state);
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    process::run(&mut cargo::command(&arguments)?)
}
