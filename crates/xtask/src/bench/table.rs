//! The figures for people: text for a terminal, Markdown for docs/PERFORMANCE.md. Pure.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::Context;

use super::figures::{Measurement, Phase};

/// The comments of the page between which the tables are.
const BEGIN: &str = "<!-- bench: begin (cargo xtask bench writes what is below) -->\n";
const END: &str = "<!-- bench: end -->";
/// What others are compared with.
const STOCK: &str = "cpu";
/// Functions that are listed of each token.
const FUNCTIONS: usize = 6;
/// Where functions are listed.
const PROFILE_POSITION: u32 = 100;
const MILLION: f64 = 1e6;
const THOUSAND: f64 = 1e3;

/// One token of a model, as each backend computes it.
struct Row<'a> {
    stock: Option<&'a Measurement>,
    ours: Option<&'a Measurement>,
}

impl<'a> Row<'a> {
    fn any(&self) -> Option<&'a Measurement> {
        self.stock.or(self.ours)
    }

    /// A figure of both.
    fn both(&self, figure: impl Fn(&Measurement) -> String) -> String {
        let shown = |side: Option<&Measurement>| side.map_or("–".to_owned(), &figure);
        format!("{} → {}", shown(self.stock), shown(self.ours))
    }

    /// How many times less we need.
    fn ratio(&self, figure: impl Fn(&Measurement) -> f64) -> String {
        match (self.stock, self.ours) {
            (Some(stock), Some(ours)) if figure(ours) > 0.0 => {
                format!("{:.2}", figure(stock) / figure(ours))
            }
            _ => "–".to_owned(),
        }
    }
}

fn rows(measurements: &[Measurement], phase: Phase) -> Vec<Row<'_>> {
    let mut rows: Vec<Row> = Vec::new();
    for measured in measurements.iter().filter(|one| one.phase == phase) {
        let same = |row: &&mut Row| row.any().is_some_and(|any| any.is_like(measured));
        let row = match rows.iter_mut().find(same) {
            Some(row) => row,
            None => {
                rows.push(Row {
                    stock: None,
                    ours: None,
                });
                let last = rows.len() - 1;
                &mut rows[last]
            }
        };
        match measured.backend == STOCK {
            true => row.stock = Some(measured),
            false => row.ours = Some(measured),
        }
    }
    rows
}

/// With three digits or more.
fn millions(count: f64) -> String {
    let millions = count / MILLION;
    let digits = if millions < 10.0 { 2 } else { 1 };
    format!("{millions:.digits$}")
}

fn range(measured: &Measurement) -> String {
    let digits = usize::from(measured.most_ms < 10.0);
    let (least, most) = (measured.least_ms, measured.most_ms);
    format!("{least:.digits$} to {most:.digits$}")
}

/// For a terminal.
pub fn text(measurements: &[Measurement]) -> String {
    let mut text = String::new();
    for one in measurements {
        let _ = writeln!(
            text,
            "{:<24} {:>4} {:<8} {:<6} {:>9.3} M instructions {:>9.3} M cycles \
             {:>8.1} k L1 {:>8.1} k L2 misses {:>15} ms",
            format!("{} {}", one.model, one.format),
            one.position,
            format!("{:?}", one.phase).to_lowercase(),
            one.backend,
            one.instructions / MILLION,
            one.core_cycles / MILLION,
            one.l1_misses / THOUSAND,
            one.l2_misses / THOUSAND,
            range(one),
        );
    }
    text + &profile(measurements)
}

/// The most expensive functions of each model's token.
fn profile(measurements: &[Measurement]) -> String {
    let mut text = String::new();
    let shown = measurements
        .iter()
        .filter(|one| one.phase == Phase::Decode && one.position == PROFILE_POSITION);
    for one in shown {
        let (model, format, backend) = (&one.model, &one.format, &one.backend);
        let _ = writeln!(
            text,
            "\n{model} {format}, {backend}: M instructions, M cycles"
        );
        for part in one.functions.iter().take(FUNCTIONS) {
            let _ = writeln!(
                text,
                "{:>11.3} {:>9.3}  {}",
                part.instructions / MILLION,
                part.core_cycles / MILLION,
                readable(&part.symbol),
            );
        }
    }
    text
}

/// The names in a mangled symbol: each is preceded by its length. Others stay as they are.
fn readable(symbol: &str) -> String {
    let Some(mut rest) = symbol.strip_prefix("_ZN").or(symbol.strip_prefix("_ZL")) else {
        return symbol.to_owned();
    };
    let mut names = Vec::new();
    loop {
        rest = rest.trim_start_matches('K');
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        let Ok(length) = rest[..digits].parse::<usize>() else {
            break;
        };
        let Some(name) = rest.get(digits..digits + length) else {
            break;
        };
        names.push(name);
        rest = &rest[digits + length..];
    }
    // Rust adds a hash of 16 digits.
    if names
        .last()
        .is_some_and(|name| name.len() == 17 && name.starts_with('h'))
    {
        names.pop();
    }
    match names.is_empty() {
        true => symbol.to_owned(),
        false => names.join("::"),
    }
}

/// The page with the tables of these figures in the place of those before.
///
/// # Errors
/// It lacks the comments.
pub fn into_page(page: &str, measurements: &[Measurement]) -> anyhow::Result<String> {
    let missing = "docs/PERFORMANCE.md has lost the comments around its tables";
    let (before, rest) = page.split_once(BEGIN).context(missing)?;
    let (_, after) = rest.split_once(END).context(missing)?;
    let tables = markdown(measurements);
    Ok(format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
}

fn markdown(measurements: &[Measurement]) -> String {
    let mut text = String::new();
    let titles = [
        (Phase::Decode, "A generated token"),
        (Phase::Prefill, "A token of a prompt"),
        (Phase::Sample, "Choosing a token, greedily"),
        (Phase::Load, "Loading the model"),
    ];
    for (phase, title) in titles {
        let _ = write!(
            text,
            "**{title}**, stock → ours\n\n\
             | Model | Position | M instructions | fewer | M core cycles | fewer | \
             k L1 misses | k L2 misses | ms at 1 GHz |\n\
             |---|---|---|---|---|---|---|---|---|\n"
        );
        let mut seen = BTreeSet::new();
        for row in rows(measurements, phase) {
            let Some(any) = row.any() else { continue };
            // Choosing depends on the vocabulary only, loading on the file.
            let alike = match phase {
                Phase::Decode | Phase::Prefill => None,
                Phase::Sample => Some((&any.model, None)),
                Phase::Load => Some((&any.model, Some(&any.format))),
            };
            if alike.is_some_and(|alike| !seen.insert(alike)) {
                continue;
            }
            let _ = writeln!(
                text,
                "| {} {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                any.model,
                any.format,
                any.position,
                row.both(|one| millions(one.instructions)),
                row.ratio(|one| one.instructions),
                row.both(|one| millions(one.core_cycles)),
                row.ratio(|one| one.core_cycles),
                row.both(|one| format!("{:.0}", one.l1_misses / THOUSAND)),
                row.both(|one| format!("{:.0}", one.l2_misses / THOUSAND)),
                row.both(range),
            );
        }
        text.push('\n');
    }
    let _ = write!(
        text,
        "**Where a generated token's cycles go**, position {PROFILE_POSITION}\n\n\
         ```text{}```\n",
        profile(measurements)
    );
    text
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::example;
    use super::*;

    #[test]
    fn a_page_gets_its_tables_again() {
        let measured = [example("cpu", 5_000_000), example("armv6", 1_000_000)].concat();
        let page = format!("before\n{BEGIN}old\n{END}\nafter\n");
        let new = into_page(&page, &measured).expect("it has the comments");
        assert!(new.starts_with("before\n") && new.ends_with("\nafter\n"));
        assert!(!new.contains("old"));
        assert!(
            new.contains("| stories15m q4_0 | 100 | 5.00 → 1.00 | 5.00 | 2.00 → 2.00 | 1.00 |"),
            "{new}"
        );
        assert_eq!(into_page(&new, &measured).expect("still"), new);
        assert!(into_page("nothing", &measured).is_err());
    }

    #[test]
    fn one_side_may_be_missing() {
        let page = markdown(&example("cpu", 5_000_000));
        assert!(
            page.contains("| demo q8_0 | 100 | 5.00 → – | – |"),
            "{page}"
        );
    }

    #[test]
    fn symbols_are_readable() {
        assert_eq!(readable("ggml_vec_dot"), "ggml_vec_dot");
        assert_eq!(
            readable("_ZN6engine8sampling7Sampler4pick17h5e4145fb568494f1E"),
            "engine::sampling::Sampler::pick"
        );
        assert_eq!(readable("_ZL9one_chunkPK19ggml"), "one_chunk");
        assert_eq!(readable("_ZN99short"), "_ZN99short");
    }
}
