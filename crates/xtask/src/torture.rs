//! `cargo xtask torture`: cuts the power of a stick in the lab in the middle of its work, again and
//! again (`lab::torture`), and says what was lost: nothing, or it fails. Its arguments, pure, and
//! what is done with them. Used by `args` and `main`.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use genmodel::{Format, Shape, Spec};
use lab::Series;
use lab::guest;
use lab::torture::{Cut, Reached, Torture};

use crate::cargo;
use crate::progress::Took;
use crate::setup::{self, Needed};

/// What is promised of a stick is measured with so many.
const CUTS: u32 = 200;

/// Reads the arguments after `torture`.
///
/// # Errors
/// A sentence that says which argument was wrong and what would be right.
pub fn parse(mut rest: impl Iterator<Item = OsString>) -> Result<Torture, String> {
    let mut torture = Torture {
        cuts: CUTS,
        seed: 1,
        series: Series::V6_12,
    };
    while let Some(argument) = rest.next() {
        let name = argument.to_string_lossy().into_owned();
        let value = rest.next().unwrap_or_default();
        let value = value.to_string_lossy();
        let wrong = |wanted: &str| format!("{name} needs {wanted} after it.");
        match &*name {
            "--cuts" => torture.cuts = value.parse().map_err(|_| wrong("a number of cuts"))?,
            "--seed" => torture.seed = value.parse().map_err(|_| wrong("a whole number"))?,
            "--kernel" => {
                let named = |series: &Series| series.name() == value;
                let series = Series::ALL.into_iter().find(named);
                torture.series = series.ok_or_else(|| wrong("6.1 or 6.12"))?;
            }
            _ => {
                return Err(format!(
                    "torture has no option {name}; it has --cuts, --seed and --kernel."
                ));
            }
        }
    }
    Ok(torture)
}

/// Does it.
///
/// # Errors
/// Something was lost, or the lab failed.
pub fn run(torture: &Torture) -> anyhow::Result<()> {
    setup::ensure(&[Needed::Build, Needed::Volume, Needed::Lab])?;
    for package in ["promptstick", "labhost"] {
        crate::process::run(&mut cargo::command(&["build", "--package", package])?)?;
    }
    let folder = tempfile::tempdir().context("no temporary folder")?;
    // What is tortured is the disk: a model that is fast is enough.
    let model = folder.path().join("model.gguf");
    let (shape, format) = (Shape::named("tiny"), Format::named("q8_0"));
    let (shape, format) = shape.zip(format).context("no model of that name")?;
    Spec::new(shape, format)
        .write(&model)
        .context("no room for a model")?;
    let programs = guest::programs(&cargo::output_folder()?.join("promptstick"), &model)?;
    let start = Instant::now();
    let cuts = torture.run(&programs, &mut |cut| {
        println!("{}", line(cut, start.elapsed()));
    })?;
    println!("{}", summary(torture, &cuts, start.elapsed()));
    match cuts.iter().filter(|cut| !cut.losses.is_empty()).count() {
        0 => Ok(()),
        lost => bail!("after {lost} cuts something was lost"),
    }
}

/// One cut in a line, and below it what was lost.
fn line(cut: &Cut, since: Duration) -> String {
    let Cut {
        number,
        reached,
        unflushed,
        lost,
        ..
    } = cut;
    let reached = format!("{reached:?}").to_lowercase();
    let journal = if cut.found_journal { ", journal" } else { "" };
    let mended = match &cut.mended {
        Some(why) => format!(
            ", mended with e2fsck -y: {}",
            why.lines().next().unwrap_or_default()
        ),
        None => String::new(),
    };
    let mut line = format!(
        "{:7.1} s  cut {number}: {reached} publication{journal} ({}); {lost} of {unflushed} \
         sectors lost{mended}",
        since.as_secs_f64(),
        cut.how
    );
    for loss in &cut.losses {
        line += &format!("\n           LOST: {loss}");
    }
    line
}

fn summary(torture: &Torture, cuts: &[Cut], wall: Duration) -> String {
    let count = |is: &dyn Fn(&Cut) -> bool| cuts.iter().filter(|cut| is(cut)).count();
    let reached = |wanted| count(&|cut| cut.reached == wanted);
    let requests = || cuts.iter().filter_map(|cut| cut.requests);
    format!(
        "{} cuts (seed {}, Linux {}) in {}: {} before an answer was there, {} between it and its \
         publication, {} after; {} left a journal; {} had unflushed sectors, {} lost some; \
         {} file systems needed e2fsck -y; a publication took {} to {} requests to the disk; \
         after {} something was lost",
        cuts.len(),
        torture.seed,
        torture.series.name(),
        Took(wall),
        reached(Reached::Before),
        reached(Reached::Within),
        reached(Reached::After),
        count(&|cut| cut.found_journal),
        count(&|cut| cut.unflushed > 0),
        count(&|cut| cut.lost > 0),
        count(&|cut| cut.mended.is_some()),
        requests().min().unwrap_or_default(),
        requests().max().unwrap_or_default(),
        count(&|cut| !cut.losses.is_empty()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> Result<Torture, String> {
        parse(line.iter().map(OsString::from))
    }

    #[test]
    fn options_and_what_holds_without_them() {
        let usual = parsed(&[]).expect("nothing is needed");
        assert_eq!((usual.cuts, usual.seed), (CUTS, 1));
        let given = parsed(&["--cuts", "5", "--kernel", "6.1", "--seed", "7"]);
        let given = given.expect("it is right");
        assert_eq!((given.cuts, given.seed, given.series), (5, 7, Series::V6_1));
        for (line, part) in [
            (&["--cuts"][..], "needs a number"),
            (&["--kernel", "5.4"], "6.1 or 6.12"),
            (&["--moon", "1"], "no option --moon"),
        ] {
            let error = parsed(line).expect_err("it is wrong");
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_was_lost_is_told() {
        let cut = Cut {
            number: 3,
            reached: Reached::Within,
            unflushed: 9,
            lost: 4,
            mended: None,
            found_journal: true,
            requests: Some(30),
            losses: vec!["own 1.bin is gone".into()],
            how: "2 requests after the answer, Lost".into(),
            wall: Duration::ZERO,
        };
        let line = line(&cut, Duration::from_secs(2));
        assert!(line.contains("LOST: own 1.bin"), "{line}");
        let torture = parsed(&[]).expect("it is right");
        let summary = summary(&torture, &[cut], Duration::from_secs(2));
        assert!(summary.contains("1 left a journal"), "{summary}");
        assert!(summary.contains("after 1 something was lost"), "{summary}");
    }
}
