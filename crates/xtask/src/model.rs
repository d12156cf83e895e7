//! `cargo xtask make-model`: a GGUF file of a known shape with random weights. Its arguments, pure,
//! and what is done with them. Used by `args` and `main`.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use genmodel::{Format, Shape, Spec};

/// Which model, and where to.
#[derive(Debug, PartialEq, Eq)]
pub struct MakeModel {
    spec: Spec,
    file: PathBuf,
}

impl MakeModel {
    /// Reads the arguments after `make-model`.
    ///
    /// # Errors
    /// A sentence that says which argument was wrong and what would be right.
    pub fn parse(mut rest: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut seed = None;
        let mut plain = Vec::new();
        while let Some(argument) = rest.next() {
            match argument.to_str() {
                Some("--seed") => {
                    let number = rest.next().ok_or("--seed needs a number after it.")?;
                    let known = number.to_str().and_then(|number| number.parse().ok());
                    let wrong =
                        || format!("--seed needs a whole number, not {}.", number.display());
                    seed = Some(known.ok_or_else(wrong)?);
                }
                Some(option) if option.starts_with('-') => {
                    return Err(format!("make-model has no option {option}; it has --seed."));
                }
                _ => plain.push(argument),
            }
        }
        let [shape, format, file] = <[OsString; 3]>::try_from(plain)
            .map_err(|_| "make-model needs a shape, a format and a file name.")?;
        let shape = named(
            "shape",
            &shape,
            Shape::named,
            &Shape::NAMED.map(|(name, _)| name),
        )?;
        let format = named(
            "format",
            &format,
            Format::named,
            &Format::NAMED.map(|(name, _)| name),
        )?;
        let mut spec = Spec::new(shape, format);
        spec.seed = seed.unwrap_or(spec.seed);
        let file = PathBuf::from(file);
        Ok(Self { spec, file })
    }

    /// Writes the file and says how large it is.
    ///
    /// # Errors
    /// There is a file of that name already, or no room for it.
    pub fn run(&self) -> anyhow::Result<()> {
        let file = self.file.display();
        if self.file.exists() {
            bail!("{file} is there already; remove it, or choose another name");
        }
        let cannot = || format!("cannot write {file}");
        self.spec.write(&self.file).with_context(cannot)?;
        let bytes = fs::metadata(&self.file).with_context(cannot)?.len();
        println!("{bytes:>10} bytes  {file}");
        Ok(())
    }
}

/// Looks up a name.
fn named<T>(
    what: &str,
    name: &OsString,
    look_up: impl Fn(&str) -> Option<T>,
    names: &[&str],
) -> Result<T, String> {
    let (shown, names) = (name.display(), names.join(", "));
    let found = name.to_str().and_then(look_up);
    found.ok_or_else(|| format!("there is no {what} {shown}; there are {names}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> Result<MakeModel, String> {
        MakeModel::parse(line.iter().map(OsString::from))
    }

    #[test]
    fn a_shape_a_format_a_file_and_a_seed() {
        let made = |seed| MakeModel {
            spec: Spec {
                seed,
                ..Spec::new(Shape::stories15m(), Format::Q4_0)
            },
            file: "m.gguf".into(),
        };
        let usual = ["stories15m", "q4_0", "m.gguf"];
        assert_eq!(parsed(&usual), Ok(made(1)));
        let seeded = ["--seed", "7", "stories15m", "q4_0", "m.gguf"];
        assert_eq!(parsed(&seeded), Ok(made(7)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases: &[(&[&str], &str)] = &[
            (&[], "needs a shape, a format and a file"),
            (
                &["tiny", "f32", "a", "b"],
                "needs a shape, a format and a file",
            ),
            (&["big", "f32", "a"], "no shape big; there are tiny, demo"),
            (
                &["tiny", "Q8", "a"],
                "no format Q8; there are f32, q8_0, q4_0, q4_0-pure, q4_k_m",
            ),
            (&["tiny", "f32", "a", "--seed"], "needs a number"),
            (&["tiny", "f32", "a", "--seed", "-1"], "not -1"),
            (&["tiny", "f32", "a", "--force"], "no option --force"),
        ];
        for (line, part) in cases {
            let error = parsed(line).expect_err("a wrong command line was accepted");
            assert!(error.contains(part), "{line:?}: {error}");
        }
    }

    #[test]
    fn no_file_is_replaced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("m.gguf");
        let line = ["tiny", "q8_0", file.to_str().expect("UTF-8")];
        let make = parsed(&line).expect("right");
        make.run().expect("room for it");
        assert!(fs::read(&file).expect("written").starts_with(b"GGUF"));
        let error = make.run().expect_err("it was replaced");
        assert!(error.to_string().contains("there already"), "{error}");
    }

    #[test]
    fn the_help_names_each_shape_and_format() {
        let shapes = Shape::NAMED.map(|(name, _)| name).join(", ");
        let formats = Format::NAMED.map(|(name, _)| name).join(", ");
        assert!(crate::args::HELP.contains(&shapes) && crate::args::HELP.contains(&formats));
    }
}
