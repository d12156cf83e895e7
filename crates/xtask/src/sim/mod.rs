//! `cargo xtask sim`: the simulation of `tests/sim` on demand. Explores new histories for a time,
//! tells the story of one, or proves that it can fail: each mutation of [`mutants`] must be caught.

mod mutants;

use std::ffi::OsString;
use std::process::Command;

use anyhow::bail;

use crate::{cargo, process};

/// How long it explores, unless asked otherwise.
const SECONDS: u32 = 60;
/// The same for each mutation: the rarest needs some ten thousand histories.
const MUTATION_SECONDS: u32 = 240;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Sim {
    /// Explore for so many seconds, from a seed on, or from one that the time gives.
    Explore {
        /// How long.
        seconds: u32,
        /// The first seed.
        start: Option<u64>,
    },
    /// Tell the story of a seed.
    Replay(u64),
    /// Break the program in known ways; the simulation must notice within so many seconds each.
    Mutate {
        /// How long each.
        seconds: u32,
    },
}

impl Sim {
    /// Reads the arguments after `sim`.
    ///
    /// # Errors
    /// A sentence that says which argument was wrong and what would be right.
    pub fn parse(mut rest: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let (mut seconds, mut start, mut replayed, mut mutates) = (None, None, None, false);
        while let Some(argument) = rest.next() {
            match argument.to_str() {
                Some("--seconds") => seconds = Some(number(&mut rest, "--seconds")?),
                Some("--from") => start = Some(number(&mut rest, "--from")?),
                Some("--seed") => replayed = Some(number(&mut rest, "--seed")?),
                Some("--mutations") => mutates = true,
                _ => {
                    return Err(format!(
                        "sim takes --seconds, --from, --seed and --mutations, not {}.",
                        argument.display()
                    ));
                }
            }
        }
        match (replayed, mutates) {
            (Some(_), true) => Err("--seed tells one story: without --mutations.".into()),
            (Some(seed), false) => Ok(Self::Replay(seed)),
            (None, true) => Ok(Self::Mutate {
                seconds: seconds.unwrap_or(MUTATION_SECONDS),
            }),
            (None, false) => Ok(Self::Explore {
                seconds: seconds.unwrap_or(SECONDS),
                start,
            }),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Something was lost in a history, or a mutation was not noticed; or cargo failed.
    pub fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Explore { seconds, start } => {
                let start = start.unwrap_or_else(new_seed).to_string();
                println!("exploring from seed {start}; the same again: --from {start}");
                let seconds = seconds.to_string();
                let mut tests = tests("explore::explored")?;
                tests.env("PROMPTSTICK_SIM_START", start);
                process::run(tests.env("PROMPTSTICK_SIM_SECONDS", seconds))
            }
            Self::Replay(seed) => {
                let mut tests = tests("explore::replayed")?;
                process::run(tests.env("PROMPTSTICK_SIM_SEED", seed.to_string()))
            }
            Self::Mutate { seconds } => match mutants::run(*seconds)? {
                0 => Ok(()),
                survivors => bail!("{survivors} mutations were not noticed"),
            },
        }
    }
}

/// The test binary of the simulation, built and run by cargo, with one of its tests.
fn tests(name: &str) -> anyhow::Result<Command> {
    let arguments = ["test", "-p", "promptstick", "--test", "sim", "--"];
    let mut command = cargo::command(&arguments)?;
    command.args(["--ignored", "--exact", "--nocapture", name]);
    Ok(command)
}

/// Another one each time.
fn new_seed() -> u64 {
    use std::time::{SystemTime, UNIX_EPOCH};

    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() << 20)
}

fn number<T: std::str::FromStr>(
    rest: &mut impl Iterator<Item = OsString>,
    name: &str,
) -> Result<T, String> {
    let number = rest.next().and_then(|text| text.to_str()?.parse().ok());
    number.ok_or_else(|| format!("{name} needs a number after it."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> Result<Sim, String> {
        Sim::parse(line.iter().map(OsString::from))
    }

    #[test]
    fn explores_unless_told_otherwise() {
        let explore = Sim::Explore {
            seconds: SECONDS,
            start: None,
        };
        assert_eq!(parsed(&[]), Ok(explore));
        assert_eq!(parsed(&["--seed", "7"]), Ok(Sim::Replay(7)));
        let mutate = Sim::Mutate { seconds: 9 };
        assert_eq!(parsed(&["--mutations", "--seconds", "9"]), Ok(mutate));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, part) in [
            (&["--fast"][..], "not --fast"),
            (&["--seed"], "a number"),
            (&["--seed", "1", "--mutations"], "without --mutations"),
        ] {
            let error = parsed(line).expect_err("it was accepted");
            assert!(error.contains(part), "{error}");
        }
    }
}
