//! Runs one scenario and shows what happens:
//! `cargo run -p lab -- SCENARIO [6.1|6.12] [pi] [model=FILE] [lab.NAME=VALUE]`.
//! For looking into a scenario while it is being written; the tests judge the stick as well.

use std::path::Path;
use std::process::ExitCode;

use lab::guest::{self, Boot};
use lab::programs::{self, Programs};
use lab::{Board, LabError, Series};

/// Where the model lies in the repository.
const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../image/model/promptstick-demo-q8_0.gguf"
);

/// The word before another model's path.
const OTHER_MODEL: &str = "model";

/// The word for the emulated Pi Zero.
const PI: &str = "pi";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(scenario) = arguments.first() else {
        eprintln!("lab SCENARIO [6.1|6.12] [pi] [model=FILE] [lab.NAME=VALUE]; the scenarios are:");
        for scenario in labhost::scenario::ALL {
            eprintln!("  {}", scenario.name);
        }
        return ExitCode::FAILURE;
    };
    match run(scenario, &arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(scenario: &str, arguments: &[String]) -> Result<bool, LabError> {
    let named = |series: &Series| arguments.iter().any(|word| word == series.name());
    let series = Series::ALL.into_iter().find(named).unwrap_or(Series::V6_1);
    let words = arguments.iter().filter_map(|word| word.split_once('='));
    let (models, parameters): (Vec<_>, Vec<_>) = words
        .map(|(name, value)| (name, value.to_owned()))
        .partition(|(name, _)| *name == OTHER_MODEL);
    let model = models.last().map_or(MODEL, |(_, path)| path).as_ref();
    let is_pi = arguments.iter().any(|word| word == PI);
    let (board, programs) = match is_pi {
        true => (Board::PiZero, guest::programs_for_pi(model)?),
        false => (Board::Pc, programs_for_pc(model)?),
    };
    let mut boot = Boot::on(board, scenario, series);
    boot.parameters = &parameters;
    let report = boot.run(&programs)?;
    let verdict = report.verdict();
    if let Err(why) = &verdict {
        println!("{report}\nFAILED: {why}");
    } else {
        println!("passed in {:.1} s", report.wall.as_secs_f64());
    }
    Ok(verdict.is_ok())
}

fn programs_for_pc(model: &Path) -> Result<Programs, LabError> {
    let promptstick = programs::output_folder()?.join("debug/promptstick");
    guest::programs(&promptstick, model)
}
