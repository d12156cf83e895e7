//! `promptstick model`.

use std::process::ExitCode;

/// Look into model files.
#[derive(Debug, clap::Args)]
pub struct Model {}

impl Model {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        anyhow::bail!("not built yet")
    }
}
