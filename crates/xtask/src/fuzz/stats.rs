//! What the fuzzing engine says of a run. Pure.

use std::fmt;

/// The engine's own count.
#[derive(Debug, PartialEq, Eq)]
pub struct Stats {
    executions: u64,
    a_second: u64,
    new_inputs: u64,
    edges: Option<u64>,
}

impl Stats {
    /// The last numbers of a run; `None` where there was none.
    pub fn read(log: &str) -> Option<Self> {
        let number = |name: &str| -> Option<u64> {
            let (_, rest) = log.rsplit_once(&format!("stat::{name}:"))?;
            rest.split_whitespace().next()?.parse().ok()
        };
        let edges = log.rsplit_once(" cov: ");
        Some(Self {
            executions: number("number_of_executed_units")?,
            a_second: number("average_exec_per_sec")?,
            new_inputs: number("new_units_added")?,
            edges: edges.and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok()),
        })
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            executions,
            a_second,
            new_inputs,
            edges,
        } = self;
        write!(out, "{executions} executions, {a_second} a second, ")?;
        match edges {
            Some(edges) => write!(out, "{edges} edges reached, {new_inputs} new inputs"),
            None => write!(out, "{new_inputs} new inputs"),
        }
    }
}

/// The input that something does not hold for.
pub fn finding(log: &str) -> Option<&str> {
    let (_, rest) = log.rsplit_once("Test unit written to ")?;
    rest.lines().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_counted() {
        let log = "#7\tNEW    cov: 12 ft: 3\n#9\tREDUCE cov: 34 ft: 5 corp: 2/1b\nDone\n\
                   stat::number_of_executed_units: 151894\nstat::average_exec_per_sec:     250\n\
                   stat::new_units_added:          7\n";
        let stats = Stats {
            executions: 151_894,
            a_second: 250,
            new_inputs: 7,
            edges: Some(34),
        };
        assert_eq!(Stats::read(log), Some(stats));
        assert_eq!(Stats::read("error: could not compile"), None);
        assert_eq!(
            finding("…; Test unit written to /a/crash-1\nBase64"),
            Some("/a/crash-1")
        );
    }
}
