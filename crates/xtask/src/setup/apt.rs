//! Installing Debian packages without a question asked. Used by `setup`.

use std::ffi::OsStr;
use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use nix::unistd::Uid;

use crate::process;
use crate::progress::Heartbeat;

/// Where apt keeps the lists of what can be installed.
const LISTS: &str = "/var/lib/apt/lists";

/// Who runs apt-get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    /// We are root.
    Root,
    /// A person who can type a password.
    Sudo,
    /// Nobody is there to type one.
    SudoWithoutPassword,
}

/// Installs `packages`, after fetching the package lists where there are none or old ones.
///
/// # Errors
/// There is neither root nor sudo, or apt-get failed; the message holds what it said and the
/// command to type by hand.
pub fn install(packages: &[&str]) -> anyhow::Result<()> {
    let rights = rights()?;
    eprintln!("Installing with apt-get: {}", packages.join(" "));
    if !has_lists(Path::new(LISTS)) {
        apt_get(rights, &["update"])?;
    }
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    // Lists older than the mirror name files that are no longer there: fetch them and try again.
    apt_get(rights, &arguments).or_else(|_| {
        apt_get(rights, &["update"])?;
        apt_get(rights, &arguments)
    })
}

fn rights() -> anyhow::Result<Rights> {
    if Uid::effective().is_root() {
        return Ok(Rights::Root);
    }
    if process::find_program("sudo").is_none() {
        bail!("installing needs root, and there is no sudo: run `cargo xtask setup` as root once");
    }
    if std::io::stdin().is_terminal() {
        return Ok(Rights::Sudo);
    }
    Ok(Rights::SudoWithoutPassword)
}

fn apt_get(rights: Rights, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = apt_command(rights, arguments);
    let shown = process::shown(&command);
    eprintln!("      {shown}");
    let _alive = Heartbeat::start("apt-get");
    process::output(&mut command)
        .map(drop)
        .with_context(|| format!("apt-get failed; by hand: {shown}"))
}

/// `env` sets the variables on the far side of sudo, which drops those of the caller.
fn apt_command(rights: Rights, arguments: &[&str]) -> Command {
    let words: &[&str] = match rights {
        Rights::Root => &["env"],
        Rights::Sudo => &["sudo", "env"],
        Rights::SudoWithoutPassword => &["sudo", "--non-interactive", "env"],
    };
    let (program, before) = words.split_first().unwrap_or((&"env", &[]));
    let mut command = process::command(program);
    command
        .args(before)
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]);
    command.args(arguments).stdin(std::process::Stdio::null());
    command
}

/// Whether there is any list of packages (fresh systems and containers have none).
fn has_lists(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| is_package_list(&entry.file_name()))
}

fn is_package_list(name: &OsStr) -> bool {
    name.to_string_lossy().contains("_Packages")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_ever_asked() {
        let shown = |rights| process::shown(&apt_command(rights, &["install", "--yes", "cmake"]));
        assert_eq!(
            shown(Rights::Root),
            "env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes cmake"
        );
        assert!(shown(Rights::Sudo).starts_with("sudo env DEBIAN_FRONTEND=noninteractive"));
        assert!(shown(Rights::SudoWithoutPassword).starts_with("sudo --non-interactive env"));
    }

    #[test]
    fn an_empty_folder_has_no_lists() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("partial")).expect("a folder");
        assert!(!has_lists(folder.path()));
        fs::write(
            folder
                .path()
                .join("deb_dists_bookworm_main_binary-amd64_Packages.lz4"),
            "",
        )
        .expect("a file");
        assert!(has_lists(folder.path()));
        assert!(!has_lists(&folder.path().join("absent")));
    }
}
