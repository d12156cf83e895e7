//! The guest's init. In a guest with an init of its own it is an ordinary program that runs one
//! scenario: `labhost SCENARIO`.

use std::process::ExitCode;

use labhost::protocol::Line;
use labhost::scenario::{self, Lab};
use labhost::{init, report};

fn main() -> ExitCode {
    if std::process::id() == 1 {
        init::main();
    }
    let Some(name) = std::env::args().nth(1) else {
        eprintln!("labhost runs as the first process of a guest, or as: labhost SCENARIO");
        return ExitCode::FAILURE;
    };
    let lab = Lab::named(&name);
    let result = scenario::find(&name).and_then(|scenario| (scenario.run)(&lab));
    match result {
        Ok(()) => {
            report::tell(&Line::Pass);
            ExitCode::SUCCESS
        }
        Err(error) => {
            report::tell(&Line::Fail(error.to_string()));
            ExitCode::FAILURE
        }
    }
}
