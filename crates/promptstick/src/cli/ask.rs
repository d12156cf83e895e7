//! `promptstick ask`.

use std::process::ExitCode;

/// Answer one prompt on the terminal.
#[derive(Debug, clap::Args)]
pub struct Ask {}

impl Ask {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        anyhow::bail!("not built yet")
    }
}
