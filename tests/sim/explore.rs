//! Many histories: a fixed number of seeds for CI; on demand, as many as fit into a time, or one
//! seed with its story (`cargo xtask sim`).

use std::num::NonZero;
use std::ops::Range;
use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::figures::Figures;
use super::history::{self, Outcome};
use super::host::Log;

/// What CI runs: more than 10,000 stays at a host.
const SEEDS: Range<u64> = 0..5_400;
/// Seeds that have failed are listed; after so many there is nothing to learn from more.
const FAILURES_MAX: u64 = 20;

/// The seed of the history to replay.
const SEED: &str = "PROMPTSTICK_SIM_SEED";
/// The first seed to explore, for how many seconds, and until how many seeds have failed.
const START: &str = "PROMPTSTICK_SIM_START";
const SECONDS: &str = "PROMPTSTICK_SIM_SECONDS";
const FAILURES: &str = "PROMPTSTICK_SIM_FAILURES";

#[test]
fn nothing_is_lost_in_thousands_of_histories() {
    let found = explore(SEEDS, None, FAILURES_MAX);
    println!("simulation: {}", found.figures);
    assert!(found.failures.is_empty(), "{}", found.report());
    assert!(found.figures.stays >= 10_000, "{}", found.figures);
}

#[test]
#[ignore = "explores for as long as it is told: cargo xtask sim --seconds N"]
fn explored() {
    let start = number(START).unwrap_or(SEEDS.end);
    let end = Instant::now() + Duration::from_secs(number(SECONDS).unwrap_or(60));
    let failures_max = number(FAILURES).unwrap_or(FAILURES_MAX);
    let found = explore(start..u64::MAX, Some(end), failures_max);
    println!("simulation: {}", found.figures);
    assert!(found.failures.is_empty(), "{}", found.report());
}

#[test]
#[ignore = "tells the story of one seed: cargo xtask sim --seed N"]
fn replayed() {
    let seed = number(SEED).expect("a seed");
    let log = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .without_time();
    log.init();
    let Outcome {
        violations,
        figures,
        ..
    } = history::run(seed, Log::Telling);
    println!("simulation: {figures}");
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn a_seed_is_a_history() {
    for seed in 0..20 {
        let told = || {
            let log = Log::collecting();
            let outcome = history::run(seed, log.clone());
            (log.lines(), outcome.left)
        };
        assert!(told() == told(), "seed {seed}");
    }
}

/// What was found.
struct Found {
    start: Instant,
    figures: Figures,
    failures: Vec<String>,
    /// How long it took to the first of them, and how many histories.
    first: Option<(Duration, u64)>,
}

impl Found {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            figures: Figures::default(),
            failures: Vec::new(),
            first: None,
        }
    }

    fn fail(&mut self, failure: String) {
        let histories = self.figures.histories;
        self.first.get_or_insert((self.start.elapsed(), histories));
        self.failures.push(failure);
    }

    fn report(&self) -> String {
        let (after, histories) = self.first.unwrap_or_default();
        let seconds = after.as_secs_f64();
        let failures = self.failures.join("\n");
        format!("noticed after {histories} histories and {seconds:.1} s\n{failures}")
    }
}

/// Runs histories on all processors, until the seeds or the time are over or so many have failed.
fn explore(seeds: Range<u64>, end: Option<Instant>, failures_max: u64) -> Found {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(Found::new());
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let is_over = end.is_some_and(|end| Instant::now() >= end);
                    let has_failed = found.lock().unwrap().failures.len() as u64 >= failures_max;
                    if seed >= seeds.end || is_over || has_failed {
                        return;
                    }
                    note(seed, &found);
                }
            });
        }
    });
    found.into_inner().unwrap()
}

fn note(seed: u64, found: &Mutex<Found>) {
    let outcome = panic::catch_unwind(|| history::run(seed, Log::default()));
    let mut found = found.lock().unwrap();
    match outcome {
        Ok(outcome) => {
            found.figures += outcome.figures;
            if !outcome.violations.is_empty() {
                let what = outcome.violations.join("; ");
                found.fail(format!("seed {seed}: {what}"));
            }
        }
        Err(_) => found.fail(format!("seed {seed}: a panic")),
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
    )
}
