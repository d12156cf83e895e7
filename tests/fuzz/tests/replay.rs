//! Every file of the corpora, and mutations of them, through the same functions that
//! `cargo xtask fuzz` runs. A failure prints the input as the file that it has written.

#![allow(clippy::unwrap_used, reason = "a test may end this way")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fuzz::{TARGETS, Target};
use volume::testing::Random;

/// Time for the mutations of one target; the machine decides how many that are.
const MUTATE_FOR: Duration = Duration::from_millis(1500);
/// At least so many, however slow.
const LEAST_MUTATIONS: u32 = 100;
/// Longest input that is made.
const MAX_INPUT_BYTES: usize = 4096;

fn corpus(target: Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder:?} is empty");
    let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
    paths.into_iter().map(read).collect()
}

/// Changes, takes out, repeats or joins.
fn mutated(seeds: &[(PathBuf, Vec<u8>)], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].1.clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 => bytes.insert(at, random.byte()),
            1 => {
                let other = &seeds[random.below(seeds.len())].1;
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            2 => {
                let end = (at + random.below(16)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ if at == bytes.len() => bytes.push(random.byte()),
            3 => bytes[at] ^= 1 << random.below(8),
            4 => bytes[at] = [0, 1, 0x0F, 0x10, 0x7F, 0x80, 0xE5, 0xFF][random.below(8)],
            _ => bytes[at] = random.byte(),
        }
    }
    bytes.truncate(MAX_INPUT_BYTES);
    bytes
}

/// Runs the target; keeps what it fails on.
fn run(target: Target, what: &str, input: &[u8]) {
    let outcome = std::panic::catch_unwind(|| (target.run)(input));
    if outcome.is_err() {
        let path = std::env::temp_dir().join(format!("{}-failed", target.name));
        fs::write(&path, input).unwrap();
        panic!("{}: {what}; replay with {}", target.name, path.display());
    }
}

fn replay(name: &str) {
    let target = TARGETS
        .into_iter()
        .find(|target| target.name == name)
        .unwrap();
    run(target, "nothing", &[]);
    let seeds = corpus(target);
    for (path, input) in &seeds {
        run(target, &path.display().to_string(), input);
    }
    let (began, mut count) = (Instant::now(), 0);
    while count < LEAST_MUTATIONS || began.elapsed() < MUTATE_FOR {
        let input = mutated(&seeds, &mut Random::new(count.into()));
        run(target, &format!("mutation {count}"), &input);
        count += 1;
    }
    println!("{name}: {} files, {count} mutations", seeds.len());
}

/// A test of each target, by its name.
macro_rules! replay {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn each_target_is_replayed() {
            let replayed = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|target| target.name), replayed);
        }
    };
}

replay!(
    fat_image,
    fat_changing,
    fat_repair,
    long_name,
    prompt,
    settings,
    journal,
    ledger,
    gguf_header
);
