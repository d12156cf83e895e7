//! `promptstick worker`: the child process that holds the model.

use std::process::ExitCode;

/// Holds a model for the daemon; started by it, talks over a pipe.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Worker {}

impl Worker {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        anyhow::bail!("not built yet")
    }
}
