//! What a developer runs: `cargo xtask setup`, `try`, `test`, `build-pi`, `bench`, `fuzz`, `sim`,
//! `torture` and `make-model`.
//! Dispatch only; each command is a module, the tools that they need are in [`setup`].
//!
//! It runs first on a fresh machine, before cmake and libclang exist, so it depends on nothing that
//! needs them and on very little else.

mod args;
mod bench;
mod cargo;
mod demo;
mod fuzz;
mod model;
mod pi;
mod process;
mod progress;
mod setup;
mod sim;
mod test;
mod torture;

use std::process::ExitCode;

use args::Command;

/// The exit status for a command line that cannot be understood, as in most Unix tools.
const USAGE_STATUS: u8 = 2;

fn main() -> ExitCode {
    let command = match args::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("xtask: {error}\nFor the list of commands: cargo xtask --help");
            return ExitCode::from(USAGE_STATUS);
        }
    };
    match run(&command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Help => {
            print!("{}", args::HELP);
            Ok(())
        }
        Command::Setup => setup::everything(),
        Command::Try(options) => demo::run(options),
        Command::Test(area) => test::run(*area),
        Command::BuildPi => pi::build(),
        Command::BuildPiForLab => pi::build_for_lab(),
        Command::Bench(bench) => bench.run(),
        Command::Fuzz(fuzz) => fuzz.run(),
        Command::Sim(sim) => sim.run(),
        Command::MakeModel(make) => make.run(),
        Command::Torture(torture) => torture::run(torture),
    }
}
