//! The arguments of `cargo xtask bench`. Pure.

use std::ffi::OsString;
use std::path::PathBuf;

/// What to measure, and what to do with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Bench {
    /// Small models, position 100.
    pub quick: bool,
    /// Compare with the baseline, and fail when a token costs more.
    pub check: bool,
    /// Make this the baseline.
    pub update: bool,
    /// Only models whose name and format contain this.
    pub only: Option<String>,
    /// The static program for the board, with its symbols, in the place of a new build.
    pub program: Option<PathBuf>,
    /// Where to write all figures.
    pub json: Option<PathBuf>,
}

impl Bench {
    /// What `--check` does.
    pub fn checking() -> Self {
        Self {
            quick: true,
            check: true,
            ..Self::default()
        }
    }

    /// Reads the arguments after `bench`.
    ///
    /// # Errors
    /// A sentence that says which argument was wrong and what would be right.
    pub fn parse(mut rest: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut bench = Self::default();
        while let Some(argument) = rest.next() {
            match argument.to_str() {
                Some("--quick") => bench.quick = true,
                Some("--check") => (bench.quick, bench.check) = (true, true),
                Some("--update") => (bench.quick, bench.update) = (true, true),
                Some("--only") => {
                    let name = rest.next().and_then(|name| name.into_string().ok());
                    bench.only = Some(name.ok_or("--only needs a part of a name after it.")?);
                }
                Some("--program") => {
                    let file = rest.next().ok_or("--program needs a file name after it.")?;
                    bench.program = Some(file.into());
                }
                Some("--json") => {
                    let file = rest.next().ok_or("--json needs a file name after it.")?;
                    bench.json = Some(file.into());
                }
                _ => {
                    return Err(format!(
                        "bench takes --quick, --check, --update, --only, --program and --json, \
                         not {}.",
                        argument.display()
                    ));
                }
            }
        }
        match (bench.check || bench.update) && bench.only.is_some() {
            true => Err("the baseline is of all small models: without --only.".into()),
            false => Ok(bench),
        }
    }

    /// Whether everything is measured, so that the result can be published.
    pub fn is_whole(&self) -> bool {
        !self.quick && self.only.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> Result<Bench, String> {
        Bench::parse(line.iter().map(OsString::from))
    }

    #[test]
    fn the_check_is_quick() {
        let bench = parsed(&["--check", "--json", "f"]).expect("right");
        assert!(bench.quick && bench.check && !bench.is_whole());
        assert_eq!(bench.json, Some("f".into()));
        assert!(parsed(&[]).expect("right").is_whole());
        assert!(!parsed(&["--only", "demo"]).expect("right").is_whole());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases: [(&[&str], &str); 3] = [
            (&["--fast"], "not --fast"),
            (&["--only"], "part of a name"),
            (&["--check", "--only", "demo"], "without --only"),
        ];
        for (line, part) in cases {
            let error = parsed(line).expect_err("it was accepted");
            assert!(error.contains(part), "{error}");
        }
    }
}
