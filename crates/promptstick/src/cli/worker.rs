//! `promptstick worker`: the child process that holds the model. Started by [`engine::Worker`],
//! with frames on stdin and stdout; of no use by hand.

use std::process::ExitCode;

/// Holds a model for the daemon; started by it, talks over a pipe.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Worker {}

impl Worker {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "every subcommand has the same signature"
    )]
    pub fn run(self) -> anyhow::Result<ExitCode> {
        Ok(engine::worker::run())
    }
}
