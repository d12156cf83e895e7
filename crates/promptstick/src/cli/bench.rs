//! `promptstick bench`.

use std::process::ExitCode;

/// Measure a model on this machine.
#[derive(Debug, clap::Args)]
pub struct Bench {}

impl Bench {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        anyhow::bail!("not built yet")
    }
}
