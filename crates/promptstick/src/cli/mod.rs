//! The command line: one module a subcommand, each with its arguments (`clap`) and a `run`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod answer;
mod ask;
mod bench;
mod gadget;
mod model;
mod serve;
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
    Answer(answer::Answer),
    Ask(ask::Ask),
    Bench(bench::Bench),
    Gadget(gadget::Gadget),
    Model(model::Model),
    Serve(serve::Serve),
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
            Command::Answer(command) => command.run(),
            Command::Ask(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Gadget(command) => command.run(),
            Command::Model(command) => command.run(),
            Command::Serve(command) => command.run(),
            Command::Volume(command) => command.run(),
            Command::Worker(command) => command.run(),
        }
    }
}

/// One thread runs everything that waits: the board has one core, and the model has a process of
/// its own.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}
