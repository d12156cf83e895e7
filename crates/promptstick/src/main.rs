//! The program. Parses the command line, starts the log, and runs one subcommand; everything else
//! is in a module of its own. The only place where an error becomes an exit status.

mod cli;
mod config;
mod daemon;
mod log;
mod size;
mod stick;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::Cli::parse().run().unwrap_or_else(|error| {
        eprintln!("promptstick: {error:#}");
        ExitCode::FAILURE
    })
}
