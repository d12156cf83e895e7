//! What the tokens of small models cost the last time somebody looked: instructions, which are the
//! same in each run and on each machine for the same program. Pure but for reading the file.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use super::figures::Measurement;

/// Where it is in the repository.
pub const FILE: &str = "tests/bench/instructions.json";
/// How much more is too much.
const TOLERANCE: f64 = 0.02;
/// What makes this the baseline.
const UPDATE: &str = "cargo xtask bench --update";

/// Instructions of a token, by what it is.
type Baseline = BTreeMap<String, u64>;

/// The file for these figures.
///
/// # Errors
/// None that can happen.
pub fn text(measurements: &[Measurement]) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(&baseline(measurements))?;
    text.push('\n');
    Ok(text)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts, some of them divided"
)]
fn baseline(measurements: &[Measurement]) -> Baseline {
    let each = measurements.iter().map(|one| {
        let phase = format!("{:?}", one.phase).to_lowercase();
        let key = [&one.model, &one.format, &one.backend, &phase].map(String::as_str);
        (
            format!("{} @{}", key.join(" "), one.position),
            one.instructions.round() as u64,
        )
    });
    each.collect()
}

/// Compares with the file.
///
/// # Errors
/// Something takes more instructions than it did, or was not measured before; the message says
/// what to do.
pub fn check(file: &Path, measurements: &[Measurement]) -> anyhow::Result<()> {
    let cannot = || format!("no baseline in {}; make one: {UPDATE}", file.display());
    let text = fs::read_to_string(file).with_context(cannot)?;
    let before: Baseline = serde_json::from_str(&text).with_context(cannot)?;
    let complaints = complaints(&before, &baseline(measurements));
    if complaints.is_empty() {
        eprintln!("No token takes more instructions than it did.");
        return Ok(());
    }
    bail!(
        "Instructions a token:\n{complaints}A rise above {:.0} % needs a reason. Look for it with \
         `cargo xtask bench --quick`; if it is meant, or a token or backend is new: {UPDATE}, and \
         commit {FILE} with the change.",
        TOLERANCE * 100.0
    );
}

/// By which share of the first the second is more.
#[allow(clippy::cast_precision_loss, reason = "counts are below 2^53")]
fn rise(before: u64, now: u64) -> f64 {
    now as f64 / before as f64 - 1.0
}

fn complaints(before: &Baseline, now: &Baseline) -> String {
    let mut text = String::new();
    for (name, instructions) in now {
        let _ = match before.get(name) {
            None => writeln!(text, "  {name}: {instructions}, and not measured before"),
            Some(known) if rise(*known, *instructions) > TOLERANCE => writeln!(
                text,
                "  {name}: {instructions}, {:.1} % more than {known}",
                rise(*known, *instructions) * 100.0
            ),
            Some(_) => Ok(()),
        };
    }
    for name in before.keys().filter(|name| !now.contains_key(*name)) {
        let _ = writeln!(text, "  {name}: was measured before, and is not now");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::example;
    use super::*;

    fn complained(before: u64, now: u64) -> String {
        let of = |instructions| baseline(&example("cpu", instructions));
        complaints(&of(before), &of(now))
    }

    #[test]
    fn a_rise_is_a_complaint_and_a_fall_is_none() {
        assert_eq!(complained(1_000_000, 1_019_000), "");
        assert_eq!(complained(1_000_000, 500_000), "");
        let complaint = complained(1_000_000, 1_050_000);
        assert!(
            complaint.contains("demo q8_0 cpu decode @100: 1050000, 5.0 % more than 1000000"),
            "{complaint}"
        );
    }

    #[test]
    fn what_appears_or_goes_is_a_complaint() {
        let (one, other) = (example("cpu", 1), example("armv6", 1));
        let text = complaints(&baseline(&one), &baseline(&other));
        assert!(
            text.contains("not measured before") && text.contains("is not now"),
            "{text}"
        );
    }

    #[test]
    fn the_file_can_be_read_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("baseline.json");
        let measured = example("cpu", 1_000_000);
        let error = check(&file, &measured).expect_err("no file");
        assert!(error.to_string().contains("--update"), "{error}");
        fs::write(&file, text(&measured).expect("plain data")).expect("room");
        check(&file, &measured).expect("the same");
        check(&file, &example("cpu", 2_000_000)).expect_err("twice as many");
    }
}
