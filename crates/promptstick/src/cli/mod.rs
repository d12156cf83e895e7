//! The command line: one module a subcommand, each with its arguments (`clap`) and a `run`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod ask;
mod bench;
mod model;
mod volume;
mod worker;

/// A USB stick that answers.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ask(ask::Ask),
    Bench(bench::Bench),
    Model(model::Model),
    Volume(volume::Volume),
    Worker(worker::Worker),
}

impl Cli {
    /// Runs the chosen subcommand.
    ///
    /// # Errors
    /// What went wrong, to be printed on stderr.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Ask(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Model(command) => command.run(),
            Command::Volume(command) => command.run(),
            Command::Worker(command) => command.run(),
        }
    }
}
