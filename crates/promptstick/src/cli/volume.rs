//! `promptstick volume`.

use std::process::ExitCode;

/// Work on a volume image with the stick's own FAT code.
#[derive(Debug, clap::Args)]
pub struct Volume {}

impl Volume {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        anyhow::bail!("not built yet")
    }
}
