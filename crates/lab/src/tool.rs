//! Running programs. A missing one is an error that says what to do. Used by every module here.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{LabError, Result};

/// A command that finds what lies in the folders of the system's tools as well, which are not on
/// every user's path, and that speaks English.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", search_path()).env("LC_ALL", "C.UTF-8");
    command
}

fn search_path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
}

/// The file of a program that [`command`] would run.
///
/// # Errors
/// There is none.
pub fn find(program: &str) -> Result<PathBuf> {
    let folders = search_path();
    let mut candidates = folders
        .split(':')
        .map(|folder| Path::new(folder).join(program));
    let found = candidates.find(|path| path.is_file());
    found.ok_or_else(|| LabError::Missing {
        program: program.to_owned(),
    })
}

/// Runs a program that must succeed, and gives what it printed.
///
/// # Errors
/// It is missing, or it failed; the error holds what it said.
pub fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().map_err(|error| failure(command, &error))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(LabError::Failed {
        command: format!("{command:?}"),
        status: output.status.to_string(),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// As [`run`], for programs that print text.
///
/// # Errors
/// As [`run`].
pub fn text(command: &mut Command) -> Result<String> {
    let bytes = run(command)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Why a program could not be started.
pub fn failure(command: &Command, error: &io::Error) -> LabError {
    let program = command.get_program().to_string_lossy().into_owned();
    if error.kind() == io::ErrorKind::NotFound {
        return LabError::Missing { program };
    }
    LabError::Failed {
        command: program,
        status: error.to_string(),
        said: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_what_to_do() {
        let error = run(&mut command("no-such-program")).expect_err("it is not there");
        let text = error.to_string();
        assert!(
            text.contains("no-such-program") && text.contains("setup"),
            "{text}"
        );
    }

    #[test]
    fn what_a_program_says_is_kept() {
        let mut shell = command("sh");
        let error = run(shell.args(["-c", "echo why >&2; exit 3"])).expect_err("it fails");
        assert!(error.to_string().contains("why"), "{error}");
    }
}
