//! The tools that this project needs from the system: what is missing, what installs it.
//!
//! [`packages`] is the table and the pure plan, [`detect`] looks at the machine, [`apt`] installs.
//! Where there is no `apt-get` nothing is installed: the message says what to install.

mod apt;
mod detect;
mod packages;

use std::collections::BTreeSet;

use anyhow::bail;

use crate::process;
use packages::{Manager, Purpose, Tool};

pub use packages::Purpose as Needed;

/// Sees to everything: what building, trying and testing need.
///
/// # Errors
/// As [`ensure`].
pub fn everything() -> anyhow::Result<()> {
    ensure(&Purpose::ALL)?;
    rust_components()?;
    eprintln!("Everything that building, trying and testing need is here.");
    Ok(())
}

/// Sees to it that the tools for `purposes` are there, and says what it installs and why.
///
/// # Errors
/// Something is missing and could not be installed; the message says what to install by hand.
pub fn ensure(purposes: &[Purpose]) -> anyhow::Result<()> {
    let missing = missing_for(purposes);
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("Not on this machine yet:");
    for tool in &missing {
        eprintln!("  {:<16} {}", tool.name, tool.why);
    }
    let manager = detect::package_manager();
    let packages = packages::to_install(&missing, manager.unwrap_or(Manager::Apt));
    if manager != Some(Manager::Apt) {
        bail!(by_hand(manager, &missing, &packages));
    }
    apt::install(&packages)?;
    let still_missing = missing_for(purposes);
    if let Some(tool) = still_missing.first() {
        bail!(
            "{} is still not found after installing {}. If it lies in an unusual place, add that \
             place to PATH (for libclang: LIBCLANG_PATH) and try again.",
            tool.name,
            packages.join(" ")
        );
    }
    Ok(())
}

fn missing_for(purposes: &[Purpose]) -> Vec<&'static Tool> {
    let present: BTreeSet<&str> = packages::TOOLS
        .iter()
        .filter(|tool| detect::is_present(tool))
        .map(|tool| tool.name)
        .collect();
    packages::missing(purposes, &present)
}

/// What to type where we install nothing ourselves.
fn by_hand(manager: Option<Manager>, missing: &[&Tool], packages: &[&str]) -> String {
    let system = detect::system_name();
    match manager {
        Some(manager) => format!(
            "{system} has no apt-get. Install these and try again:\n    {} {}",
            manager.install_command(),
            packages.join(" ")
        ),
        None => {
            let names: Vec<&str> = missing.iter().map(|tool| tool.name).collect();
            format!(
                "{system} has no package manager that is known here. Install these and try \
                 again: {}. (Their Debian packages: {}.)",
                names.join(", "),
                packages.join(" ")
            )
        }
    }
}

/// Sees to rustfmt and clippy, which rustup's minimal profile leaves out.
///
/// # Errors
/// They are missing and rustup could not add them.
pub fn rust_components() -> anyhow::Result<()> {
    let missing: Vec<&str> = [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(subcommand, _)| !crate::cargo::has_subcommand(subcommand))
        .map(|(_, component)| component)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if process::find_program("rustup").is_none() {
        bail!("{names}: missing, and there is no rustup to add them. Install and try again.");
    }
    eprintln!("Adding to the Rust toolchain, for the checks: {names}");
    process::run(
        process::command("rustup")
            .args(["component", "add"])
            .args(&missing),
    )
}
