//! The areas of `cargo xtask test AREA` and what belongs to each. Pure.
//! A new area is a row of [`AREAS`] and an arm of [`Area::test_runs`].

use super::checks::Check;
use super::runner::TestRun;
use crate::setup::Needed;

/// A part of the checks and tests that can be run by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Everything.
    All,
    /// What looks at the sources only.
    Lint,
    /// `crates/volume` and `tests/` `volume`.
    Volume,
    /// `crates/mailbox`.
    Mailbox,
    /// `crates/medium`.
    Medium,
    /// `crates/engine`, `crates/gguf` and `tests/` `engine`.
    Engine,
    /// `crates/promptstick` and `tests/` `daemon`, `hostile` and `sim`.
    Daemon,
    /// `crates/lab`, `crates/labhost` and `tests/` `lab`: real kernels in QEMU.
    Lab,
    /// `tests/fuzz`: the corpora replayed, and the reader's budget.
    Fuzz,
    /// `tests/` `arm` and `crates/ggml-armv6`: what is built for the board, on an emulated core.
    /// And `crates/armcost`, which counts there.
    Arm,
    /// `crates/ggml-armv6` with `AddressSanitizer`, on this machine. Not a part of everything.
    Sanitizer,
    /// `crates/xtask`, and `crates/genmodel`, which writes models for it and for the tests.
    Xtask,
}

/// The areas that can be named; [`Area::All`] is the absence of a name.
const AREAS: [(&str, Area); 11] = [
    ("lint", Area::Lint),
    ("volume", Area::Volume),
    ("mailbox", Area::Mailbox),
    ("medium", Area::Medium),
    ("engine", Area::Engine),
    ("daemon", Area::Daemon),
    ("lab", Area::Lab),
    ("fuzz", Area::Fuzz),
    ("arm", Area::Arm),
    ("sanitizer", Area::Sanitizer),
    ("xtask", Area::Xtask),
];

impl Area {
    /// The area that is called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        AREAS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, area)| *area)
    }

    /// All names, for messages.
    pub fn names() -> String {
        AREAS.map(|(name, _)| name).join(", ")
    }

    /// The tools without which it cannot run.
    pub fn needs(self) -> &'static [Needed] {
        match self {
            Self::All => &Needed::ALL,
            Self::Lab => &[
                Needed::Build,
                Needed::Volume,
                Needed::Test,
                Needed::Lab,
                Needed::Pi,
            ],
            Self::Arm => &[
                Needed::Build,
                Needed::Volume,
                Needed::Test,
                Needed::Pi,
                Needed::Arm,
            ],
            _ => &[Needed::Build, Needed::Volume, Needed::Test],
        }
    }

    /// Whether its tests want the builds for the board.
    pub fn wants_pi(self) -> bool {
        matches!(self, Self::All | Self::Arm | Self::Lab)
    }

    /// What is checked without running the program.
    pub fn checks(self) -> &'static [Check] {
        match self {
            Self::All | Self::Lint => &Check::ALL,
            _ => &[],
        }
    }

    /// The calls of the test runner that want the compiler for the board.
    pub fn board_runs(self) -> Vec<TestRun> {
        match self {
            Self::All | Self::Arm => vec![TestRun::on_core("ggml-armv6")],
            _ => Vec::new(),
        }
    }

    /// Whether the instructions of a token on the board are compared with those of the last time.
    pub fn counts_instructions(self) -> bool {
        matches!(self, Self::All | Self::Arm)
    }

    /// The other calls of the test runner.
    pub fn test_runs(self) -> Vec<TestRun> {
        match self {
            Self::All => vec![TestRun::workspace()],
            Self::Lint => Vec::new(),
            Self::Volume => vec![TestRun::package("volume"), TestRun::across("volume::")],
            Self::Mailbox => vec![TestRun::package("mailbox")],
            Self::Medium => vec![TestRun::package("medium")],
            Self::Engine => vec![
                TestRun::package("engine"),
                TestRun::package("gguf"),
                TestRun::across("engine::"),
            ],
            Self::Daemon => vec![
                TestRun::program(),
                TestRun::across("daemon::"),
                TestRun::across("hostile::"),
                TestRun::simulation(),
            ],
            Self::Lab => vec![
                TestRun::package("lab"),
                TestRun::package("labhost"),
                TestRun::across("lab::"),
            ],
            Self::Fuzz => vec![TestRun::package("fuzz")],
            Self::Arm => vec![
                TestRun::package("ggml-armv6"),
                TestRun::package("armcost"),
                TestRun::across("arm::"),
            ],
            Self::Sanitizer => vec![TestRun::sanitized("ggml-armv6")],
            Self::Xtask => vec![TestRun::package("xtask"), TestRun::package("genmodel")],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_area_does_something() {
        for (name, area) in AREAS {
            assert_eq!(Area::from_name(name), Some(area));
            assert!(
                !area.checks().is_empty() || !area.test_runs().is_empty(),
                "{name}"
            );
        }
        assert_eq!(Area::from_name("all"), None);
    }

    #[test]
    fn modules_of_the_tests_across_crates_are_there() {
        const MODULES: &str = include_str!("../../../../tests/main.rs");
        let mut found = 0;
        for run in AREAS.iter().flat_map(|(_, area)| area.test_runs()) {
            if let Some(module) = run.module() {
                let line = format!("mod {};", module.trim_end_matches("::"));
                assert!(MODULES.contains(&line), "{line}");
                found += 1;
            }
        }
        assert!(found > 0);
    }

    #[test]
    fn the_help_names_each_area() {
        for (name, _) in AREAS {
            assert!(crate::args::HELP.contains(name), "{name}");
        }
    }
}
