//! Are the licences and the sources of all dependencies among those of deny.toml?
//!
//! cargo-deny would answer the same questions, but it is itself a build of many minutes, so it is
//! for the release checklist (it also knows advisories, which need a database from the network).
//! Both read the one list in deny.toml.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, bail};

use super::spdx;
use crate::cargo;
use crate::process;

/// What the program is built for: dependencies for other systems are never compiled.
/// (The same list as `graph.targets` in deny.toml.)
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "arm-unknown-linux-gnueabihf"];

/// The registry that Cargo.lock may name.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Between a package and its licence in what `cargo tree` prints.
const SEPARATOR: char = '|';

/// Checks them all.
///
/// # Errors
/// Names each package that is not allowed, and its licence or source.
pub fn check() -> anyhow::Result<()> {
    let top = cargo::repository()?;
    let deny = fs::read_to_string(top.join("deny.toml")).context("cannot read deny.toml")?;
    let lock = fs::read_to_string(top.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let rules = Rules::parse(&deny).context("no `allow` list in deny.toml")?;
    let tree = cargo_tree()?;
    let packages = parse_tree(&tree);
    let mut complaints = rules.complaints(&packages);
    complaints.extend(foreign_sources(&lock));
    if !complaints.is_empty() {
        bail!("\n{}", complaints.join("\n"));
    }
    eprintln!(
        "      {} packages, all allowed by deny.toml.",
        packages.len()
    );
    eprintln!(
        "      Security advisories are not looked up here: that needs a database from the \
         network. Before a release: cargo deny check"
    );
    Ok(())
}

fn cargo_tree() -> anyhow::Result<String> {
    let format = format!("{{p}}{SEPARATOR}{{l}}");
    let mut arguments = vec![
        "tree",
        "--workspace",
        "--prefix",
        "none",
        "--format",
        &format,
    ];
    for target in TARGETS {
        arguments.extend(["--target", target]);
    }
    process::output(&mut cargo::command(&arguments)?)
}

/// Package (name and version) → licence, from lines such as `libc v0.2.1|MIT OR Apache-2.0 (*)`.
fn parse_tree(tree: &str) -> BTreeMap<String, String> {
    let pairs = tree.lines().filter_map(|line| {
        let (package, licence) = line.split_once(SEPARATOR)?;
        let licence = licence.trim_end_matches("(*)").trim();
        let mut words = package.split(' ');
        let name = format!("{} {}", words.next()?, words.next()?);
        Some((name, licence.to_owned()))
    });
    pairs.collect()
}

/// What deny.toml allows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rules {
    /// For every package.
    allowed: BTreeSet<String>,
    /// For one package by name.
    exceptions: BTreeMap<String, BTreeSet<String>>,
}

impl Rules {
    /// Reads the two lists in the one form in which deny.toml has them: an item a line, between
    /// `allow = [` or `exceptions = [` and `]`. (A TOML parser would be the largest dependency of
    /// this tool.)
    fn parse(deny: &str) -> Option<Self> {
        let mut rules = Self::default();
        for line in section(deny, "allow = [") {
            rules.allowed.extend(quoted(line));
        }
        for line in section(deny, "exceptions = [") {
            let mut words = quoted(line).into_iter();
            if let Some(name) = words.next() {
                rules.exceptions.insert(name, words.collect());
            }
        }
        (!rules.allowed.is_empty()).then_some(rules)
    }

    fn complaints(&self, packages: &BTreeMap<String, String>) -> Vec<String> {
        let wrong = packages.iter().filter(|(package, licence)| {
            let name = package.split(' ').next().unwrap_or_default();
            let own = self.exceptions.get(name);
            let allows = |id: &str| {
                self.allowed.contains(id) || own.is_some_and(|licences| licences.contains(id))
            };
            !spdx::is_satisfied(licence, &allows)
        });
        let lines = wrong.map(|(package, licence)| match licence.as_str() {
            "" => format!("{package}: no licence in its manifest"),
            _ => format!("{package}: {licence} is not allowed by deny.toml"),
        });
        lines.collect()
    }
}

/// The lines after `start` and before the `]` that ends the list, without comments.
fn section<'a>(deny: &'a str, start: &str) -> Vec<&'a str> {
    let after = deny
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != start)
        .skip(1);
    let inside = after.take_while(|line| !line.starts_with(']'));
    inside
        .map(|line| line.split('#').next().unwrap_or_default())
        .collect()
}

/// What stands in quotation marks on a line.
fn quoted(line: &str) -> Vec<String> {
    line.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Lines of Cargo.lock that name a source other than crates.io.
fn foreign_sources(lock: &str) -> Vec<String> {
    let sources = lock
        .lines()
        .filter_map(|line| line.strip_prefix("source = "));
    let foreign: BTreeSet<_> = sources
        .filter(|source| source.trim_matches('"') != REGISTRY)
        .collect();
    foreign
        .iter()
        .map(|source| format!("Cargo.lock: {source} is not crates.io"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENY: &str = "\
[licenses]
# Why.
allow = [
    # \"GPL-3.0\" is not.
    \"MIT\",
    \"Apache-2.0\", # a reason
]
exceptions = [
    # A reason.
    { crate = \"notify\", allow = [\"CC0-1.0\"] },
]
";

    fn rules() -> Rules {
        Rules::parse(DENY).expect("there is a list")
    }

    #[test]
    fn the_lists_of_deny_toml() {
        let rules = rules();
        assert_eq!(
            rules.allowed,
            ["MIT", "Apache-2.0"].map(String::from).into()
        );
        assert_eq!(rules.exceptions["notify"], [String::from("CC0-1.0")].into());
        assert_eq!(Rules::parse("[licenses]\n"), None);
    }

    #[test]
    fn packages_by_what_cargo_tree_prints() {
        let packages = parse_tree(
            "volume v0.1.0 (/somewhere)|MIT OR Apache-2.0\nlibc v0.2.1|MIT (*)\n\nbare v1.0.0|\n",
        );
        assert_eq!(packages["volume v0.1.0"], "MIT OR Apache-2.0");
        assert_eq!(packages["libc v0.2.1"], "MIT");
        assert_eq!(packages["bare v1.0.0"], "");
    }

    #[test]
    fn what_is_not_allowed_is_named() {
        let packages = parse_tree("a v1|MIT\nnotify v8|CC0-1.0\nb v1|CC0-1.0\nc v1|\n");
        assert_eq!(
            rules().complaints(&packages),
            [
                "b v1: CC0-1.0 is not allowed by deny.toml",
                "c v1: no licence in its manifest"
            ]
        );
    }

    #[test]
    fn only_crates_io() {
        let lock = format!("name = \"a\"\nsource = \"{REGISTRY}\"\nsource = \"git+https://x\"\n");
        assert_eq!(
            foreign_sources(&lock),
            ["Cargo.lock: \"git+https://x\" is not crates.io"]
        );
    }
}
