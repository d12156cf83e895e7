//! The command line of the xtask: raw arguments become a [`Command`] before anything runs.
//! Pure; called by `main`.

use std::ffi::OsString;
use std::path::PathBuf;

use lab::torture::Torture;

use crate::bench::Bench;
use crate::fuzz::Fuzz;
use crate::model::MakeModel;
use crate::sim::Sim;
use crate::test::Area;
use crate::torture;

/// What `cargo xtask --help` prints.
pub const HELP: &str = "\
What a developer of promptstick runs. It says what it installs, and why, before it does.

  cargo xtask try [--usb|--pi] [--keep] [--model FILE] PROMPT
        Build the program and do its whole job once: a volume in a temporary folder, the prompt
        dropped on it as a host would, the real daemon, the response as read back.
        --usb          through a real USB stack: a Linux kernel in QEMU is the stick and its host
        --pi           on an emulated Pi Zero, with the build for it; a PC in QEMU is its host
        --keep         leave the folder, and print the commands to look at it
        --model FILE   a GGUF other than the demo model
  cargo xtask test [AREA]
        Run all the checks and tests, or those of one area:
        lint           formatting, clippy, licences, shell scripts
        volume, mailbox, medium, engine
                       the crate's own tests, and the module of that name in tests/
        daemon         the program's own tests, and tests/ daemon, hostile and sim
        lab            real kernels in QEMU: the stick and its host on one cable
        fuzz           the corpora of tests/fuzz replayed, and the reader's budget
        arm            builds for the Pi Zero W (build-pi), then runs them on an emulated core
        sanitizer      the backend for the board's processor, portable, with AddressSanitizer
        xtask          the tests of this tool, and of the models that it makes
  cargo xtask build-pi [--lab]
        Build the program for the Pi Zero W, for Raspberry Pi OS and static, and print the sizes.
        --lab          instead, what the lab's emulated board runs: the static one and an init
  cargo xtask bench [--quick] [--check|--update] [--only TEXT] [--program FILE] [--json FILE]
        What a token costs on the Pi Zero W, with llama.cpp's kernels and with ours: instructions,
        and the time that a model of the processor gives. Writes docs/PERFORMANCE.md's tables.
        --quick        small models at one position, and no tables
        --check        the same, and fail when a token takes more instructions than it did
        --update       the same, and remember them for --check
        --only TEXT    only models with this in their name or format, and no tables
        --program FILE the static program for the board, in the place of a new build
        --json FILE    all figures, for programs
  cargo xtask fuzz [TARGET] [--seconds N] [--minimise]
        Hand every target in tests/fuzz, or one, what a fuzzer thinks of, and say what it found.
        Needs Rust's nightly compiler and cargo-fuzz.
        --seconds N    how long each runs; 600 unless said otherwise
        --minimise     instead, renew the corpora from what was found
  cargo xtask sim [--seconds N] [--from SEED|--seed SEED|--mutations]
        The stick, its computers, its disk and its power in memory (tests/sim): new histories, until
        the time is over; what goes wrong is named with its seed.
        --seconds N    how long; 60 unless said otherwise, and 240 for each mutation
        --from SEED    start with this seed
        --seed SEED    instead, tell the story of one history
        --mutations    instead, break the program in known ways, and fail where nothing is noticed
  cargo xtask torture [--cuts N] [--seed N] [--kernel 6.1|6.12]
        Cut the power of a stick in QEMU in the middle of its work, 200 times, and look whether
        anything that a host had flushed is lost. A seed (1) chooses when, and what the disk loses.
  cargo xtask make-model SHAPE FORMAT FILE [--seed N]
        Write a GGUF file with random weights, as large and as slow as the model of that name:
        SHAPE          tiny, demo, endless, stories15m, smollm2-135m
        FORMAT         f32, q8_0, q4_0, q4_0-pure, q4_k_m
        --seed N       another seed than 1: the same seed gives the same file
  cargo xtask setup
        Only install what building, trying and testing need.
";

/// A command line that was understood.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Print [`HELP`].
    Help,
    /// Install what everything needs.
    Setup,
    /// Do the main job once.
    Try(TryOptions),
    /// Run the tests of one area, or all.
    Test(Area),
    /// Build what goes onto the board.
    BuildPi,
    /// Build what the lab's emulated board runs.
    BuildPiForLab,
    /// Measure what a token costs on the board.
    Bench(Bench),
    /// Run the fuzz targets.
    Fuzz(Fuzz),
    /// Run the simulation.
    Sim(Sim),
    /// Cut the power of a stick in the lab.
    Torture(Torture),
    /// Write a model with random weights.
    MakeModel(MakeModel),
}

/// The arguments of `try`.
#[derive(Debug, PartialEq, Eq)]
pub struct TryOptions {
    /// The text of the prompt file.
    pub prompt: String,
    /// A GGUF; `None` is the demo model of the repository.
    pub model: Option<PathBuf>,
    /// Where it happens.
    pub place: Place,
    /// Whether the temporary folder stays.
    pub keep: bool,
}

/// Where `try` does the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On an image in a file.
    File,
    /// A kernel in QEMU is the stick and its host.
    Usb,
    /// An emulated Pi Zero is the stick, and another machine its host.
    Pi,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// A sentence that says which argument was wrong and what would be right.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut rest = arguments.into_iter();
    let Some(name) = rest.next() else {
        return Ok(Command::Help);
    };
    match name.to_str() {
        Some("help" | "--help" | "-h") => Ok(Command::Help),
        Some("setup") => no_more(rest, "setup").map(|()| Command::Setup),
        Some("try") => parse_try(rest).map(Command::Try),
        Some("test") => parse_test(rest),
        Some("build-pi") => parse_build(rest),
        Some("bench") => Bench::parse(rest).map(Command::Bench),
        Some("fuzz") => Fuzz::parse(rest).map(Command::Fuzz),
        Some("sim") => Sim::parse(rest).map(Command::Sim),
        Some("torture") => torture::parse(rest).map(Command::Torture),
        Some("make-model") => MakeModel::parse(rest).map(Command::MakeModel),
        _ => Err(format!(
            "there is no command {}; there are try, test, build-pi, bench, fuzz, sim, torture, \
             make-model and setup.",
            name.display()
        )),
    }
}

fn parse_try(mut rest: impl Iterator<Item = OsString>) -> Result<TryOptions, String> {
    let mut prompt = None;
    let mut model = None;
    let mut keep = false;
    let mut place = Place::File;
    while let Some(argument) = rest.next() {
        match argument.to_str() {
            Some("--keep") => keep = true,
            Some("--usb") => place = elsewhere(place, Place::Usb)?,
            Some("--pi") => place = elsewhere(place, Place::Pi)?,
            Some("--model") => {
                let file = rest.next().ok_or("--model needs a file name after it.")?;
                model = Some(PathBuf::from(file));
            }
            Some(option) if option.starts_with("--") => {
                return Err(format!(
                    "try has no option {option}; it has --usb, --pi, --keep and --model."
                ));
            }
            Some(text) if prompt.is_none() => prompt = Some(text.to_owned()),
            Some(_) => return Err("try takes one prompt: put it in quotation marks.".into()),
            None => return Err("the prompt is not UTF-8.".into()),
        }
    }
    match prompt {
        Some(prompt) => Ok(TryOptions {
            prompt,
            model,
            place,
            keep,
        }),
        None => Err("try needs a prompt: cargo xtask try \"How do I use this stick?\"".into()),
    }
}

/// There is one place at a time.
fn elsewhere(before: Place, now: Place) -> Result<Place, String> {
    match before == Place::File || before == now {
        true => Ok(now),
        false => Err("try takes one of --usb and --pi, not both.".into()),
    }
}

fn parse_test(mut rest: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let Some(name) = rest.next() else {
        return Ok(Command::Test(Area::All));
    };
    no_more(rest, "test with an area")?;
    let area = name.to_str().and_then(Area::from_name);
    area.map(Command::Test).ok_or_else(|| {
        format!(
            "there is no test area {}; there are {}.",
            name.display(),
            Area::names()
        )
    })
}

fn parse_build(mut rest: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let Some(option) = rest.next() else {
        return Ok(Command::BuildPi);
    };
    if option != "--lab" {
        return Err(format!(
            "build-pi takes no argument but --lab, not {}.",
            option.display()
        ));
    }
    no_more(rest, "build-pi --lab").map(|()| Command::BuildPiForLab)
}

fn no_more(mut rest: impl Iterator<Item = OsString>, after: &str) -> Result<(), String> {
    match rest.next() {
        None => Ok(()),
        Some(extra) => Err(format!(
            "{after} takes no more arguments, not {}.",
            extra.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> Result<Command, String> {
        parse(line.iter().map(OsString::from))
    }

    #[test]
    fn a_prompt_with_its_options() {
        let expected = TryOptions {
            prompt: "How?".into(),
            model: Some("m.gguf".into()),
            place: Place::File,
            keep: true,
        };
        assert_eq!(
            parsed(&["try", "--model", "m.gguf", "How?", "--keep"]),
            Ok(Command::Try(expected))
        );
    }

    #[test]
    fn the_place_is_an_option_anywhere() {
        let cases: &[(&[&str], Place)] = &[
            (&["try", "--usb", "How?"], Place::Usb),
            (&["try", "How?", "--usb"], Place::Usb),
            (&["try", "--pi", "How?"], Place::Pi),
            (&["try", "How?"], Place::File),
        ];
        for (line, place) in cases {
            let Ok(Command::Try(options)) = parsed(line) else {
                panic!("{line:?} was not understood");
            };
            assert_eq!((options.place, options.prompt.as_str()), (*place, "How?"));
            assert!(!options.keep && options.model.is_none());
        }
    }

    #[test]
    fn no_argument_is_a_request_for_help() {
        assert_eq!(parsed(&[]), Ok(Command::Help));
        assert_eq!(parsed(&["--help"]), Ok(Command::Help));
    }

    #[test]
    fn builds_for_the_board() {
        assert_eq!(parsed(&["build-pi"]), Ok(Command::BuildPi));
        assert_eq!(parsed(&["build-pi", "--lab"]), Ok(Command::BuildPiForLab));
    }

    #[test]
    fn areas_by_name() {
        assert_eq!(parsed(&["test"]), Ok(Command::Test(Area::All)));
        assert_eq!(parsed(&["test", "lint"]), Ok(Command::Test(Area::Lint)));
        assert_eq!(parsed(&["test", "daemon"]), Ok(Command::Test(Area::Daemon)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases: &[(&[&str], &str)] = &[
            (&["tyr"], "no command tyr"),
            (&["try"], "needs a prompt"),
            (&["try", "--usb"], "needs a prompt"),
            (&["try", "--model"], "needs a file name"),
            (&["try", "--moon", "x"], "no option --moon; it has --usb"),
            (&["try", "--pi", "--usb", "x"], "not both"),
            (&["try", "How", "now"], "quotation marks"),
            (&["test", "moon"], "no test area moon"),
            (&["test", "lint", "more"], "not more"),
            (&["setup", "now"], "not now"),
            (&["build-pi", "now"], "not now"),
            (&["build-pi", "--lab", "now"], "not now"),
            (&["make-model", "tiny"], "needs a shape"),
        ];
        for (line, part) in cases {
            let error = parsed(line).expect_err("a wrong command line was accepted");
            assert!(error.contains(part), "{line:?}: {error}");
        }
    }
}
