//! Model files that are cut, damaged, random or hostile: the parent's parser always comes back with
//! a failure or a card, and a file that it lets through costs at most the child.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use engine::gguf::{Card, GgufError, card, read_header};
use engine::{Event, Failure, ModelOptions, inspect};
use genmodel::{Random, Spec};

use super::support::{TestModel, ask, greedy, run, worker};

/// A bound against hanging and no measure: a debug build takes a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

fn look(bytes: &[u8]) -> Result<Card, GgufError> {
    let began = Instant::now();
    let length = bytes.len() as u64;
    let card = read_header(bytes, length).and_then(|header| card(&header, length));
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    card
}

fn why(bytes: &[u8]) -> String {
    look(bytes).expect_err("it is refused").to_string()
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = Spec::tiny().bytes().unwrap();
    look(&whole).unwrap();
    // The last tensor's data ends before the padding at the end of the file.
    let header = 12_000;
    let everywhere_in_the_header = (0..header).step_by(7);
    let in_the_data = (header..whole.len() - 64).step_by(9_973);
    for length in everywhere_in_the_header.chain(in_the_data) {
        let failure = look(&whole[..length]).expect_err("it is cut");
        assert!(
            matches!(failure, GgufError::Truncated(_) | GgufError::NotGguf),
            "{length}: {failure}"
        );
    }
    assert!(why(&whole[..whole.len() / 2]).contains("cut off"));
}

#[test]
fn flipped_bits_never_hang_or_crash_the_parser() {
    let whole = Spec::tiny().bytes().unwrap();
    let seed = 0x5eed;
    let mut random = Random::new(seed);
    for round in 0..3_000 {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(12_000);
            bytes[at] ^= 1 << random.below(8);
        }
        // Any result is right; that there is one is what is tested.
        let _ = look(&bytes).map_err(|failure| {
            assert!(
                failure.to_string().len() < 500,
                "seed {seed}, round {round}: {failure}"
            );
        });
    }
}

#[test]
fn random_files_are_refused() {
    let seed = 0xbad;
    let mut random = Random::new(seed);
    for round in 0..500 {
        let length = random.below(4_000);
        let mut bytes: Vec<u8> = (0..length)
            .map(|_| random.bits().to_le_bytes()[0])
            .collect();
        if round % 2 == 0 && bytes.len() >= 24 {
            bytes[..8].copy_from_slice(b"GGUF\x03\0\0\0");
            bytes[8..24].fill(0);
            bytes[8] = 1;
            bytes[16] = 3;
        }
        assert!(look(&bytes).is_err(), "seed {seed}, round {round}");
    }
}

/// A header by hand: version, tensors, keys, then what follows.
fn header(version: u32, tensors: u64, keys: u64, rest: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(tensors.to_le_bytes());
    bytes.extend(keys.to_le_bytes());
    rest.iter().for_each(|part| bytes.extend(*part));
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

fn text_key(key: &str, value: &str) -> Vec<u8> {
    [text(key), 8u32.to_le_bytes().to_vec(), text(value)].concat()
}

fn number_key(key: &str, value: u32) -> Vec<u8> {
    [
        text(key),
        4u32.to_le_bytes().to_vec(),
        value.to_le_bytes().to_vec(),
    ]
    .concat()
}

fn tensor(name: &str, dimensions: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut bytes = text(name);
    bytes.extend(u32::try_from(dimensions.len()).unwrap().to_le_bytes());
    dimensions
        .iter()
        .for_each(|n| bytes.extend(n.to_le_bytes()));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

#[test]
fn huge_counts_and_lengths_are_refused_at_once() {
    let llama = text_key("general.architecture", "llama");
    let max = u64::MAX.to_le_bytes();
    let array = |kind: u32, count: u64| {
        [
            text("a"),
            9u32.to_le_bytes().to_vec(),
            kind.to_le_bytes().to_vec(),
            count.to_le_bytes().to_vec(),
        ]
        .concat()
    };
    for bytes in [
        header(3, u64::MAX, 0, &[]),
        header(3, 0, u64::MAX, &[]),
        header(3, 0, 1, &[&max]),
        header(3, 0, 1, &[&text("k"), &8u32.to_le_bytes(), &max]),
        header(3, 0, 1, &[&array(8, u64::MAX)]),
        header(3, 0, 1, &[&array(4, u64::MAX / 4 + 1)]),
        header(3, 0, 1, &[&array(9, 1)]),
        header(3, 0, 1, &[&array(99, 1)]),
        header(3, 0, 1, &[&text("k"), &77u32.to_le_bytes()]),
        header(
            3,
            1,
            1,
            &[&llama, &tensor("t", &[u64::MAX, u64::MAX], 0, 0)],
        ),
        header(3, 1, 1, &[&llama, &tensor("t", &[1 << 62, 2], 0, 0)]),
        header(3, 1, 1, &[&llama, &tensor("t", &[32], 0, u64::MAX)]),
        header(3, 1, 1, &[&llama, &tensor("t", &[32], 0, 32)]),
        header(3, 1, 1, &[&llama, &tensor("t", &[33], 2, 0)]),
        header(3, 1, 1, &[&llama, &tensor("t", &[0], 0, 0)]),
        header(3, 1, 1, &[&llama, &tensor("t", &[1; 5], 0, 0)]),
        header(3, 1, 1, &[&llama, &tensor(&"n".repeat(64), &[1], 0, 0)]),
        header(3, 0, 2, &[&llama, &llama]),
        header(3, 0, 2, &[&llama, &number_key("general.alignment", 0)]),
        header(3, 0, 2, &[&llama, &number_key("general.alignment", 48)]),
        header(
            3,
            0,
            2,
            &[&llama, &number_key("llama.block_count", u32::MAX)],
        ),
        header(3, 0, 2, &[&llama, &text_key("llama.block_count", "many")]),
        header(3, 0, 0, &[]),
    ] {
        let why = why(&bytes);
        assert!(why.starts_with("it is "), "{why}");
    }
}

#[test]
fn other_versions_types_and_files_are_named() {
    assert!(why(&header(1, 0, 0, &[])).contains("version 1"));
    assert!(why(&header(3u32.swap_bytes(), 0, 0, &[])).contains("big-endian"));
    assert!(why(&header(9, 0, 0, &[])).contains("version 9"));
    let llama = text_key("general.architecture", "llama");
    let unknown = header(3, 1, 1, &[&llama, &tensor("t", &[32], 4, 0)]);
    assert!(why(&unknown).contains("unknown type 4"));
    assert!(why(b"<!DOCTYPE html>").contains("not a GGUF file"));
    assert!(why(b"").contains("not a GGUF file"));
}

#[test]
fn names_out_of_a_file_are_shown_safely() {
    let llama = text_key("general.architecture", "llama");
    let name = "\u{1b}[2J\nforged line".to_owned();
    let bytes = header(3, 1, 1, &[&llama, &tensor(&name, &[1 << 20], 0, 0)]);
    let why = why(&bytes);
    assert!(!why.contains('\u{1b}') && !why.contains('\n'), "{why:?}");
}

/// 8 GiB of claimed data in a sparse file: read in no time.
#[test]
fn a_large_sparse_file_costs_only_its_header() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    let llama = text_key("general.architecture", "llama");
    let bytes = header(3, 1, 1, &[&llama, &tensor("t", &[1 << 31], 0, 0)]);
    let mut file = File::create(&path).unwrap();
    file.write_all(&bytes).unwrap();
    file.set_len(9 << 30).unwrap();
    let info = inspect(&ModelOptions::new(&path)).unwrap();
    assert_eq!(info.parameters, 1 << 31);
    run(async {
        let mut worker = worker();
        let answer = ask(&mut worker, &ModelOptions::new(&path), greedy("x", 1)).await;
        // Refused for its size, or by llama.cpp: never a hang.
        answer.failure();
    });
}

#[test]
fn a_directory_is_not_a_model() {
    let dir = tempfile::tempdir().unwrap();
    let failure = inspect(&ModelOptions::new(dir.path())).unwrap_err();
    assert!(
        matches!(failure, Failure::ModelUnreadable { .. }),
        "{failure}"
    );
}

/// What llama.cpp says about a file reaches the person.
#[test]
fn a_file_without_what_llama_cpp_needs_is_refused_in_its_words() {
    let llama = text_key("general.architecture", "llama");
    let file = TestModel::from_bytes(&header(3, 0, 1, &[&llama]));
    run(async {
        let answer = ask(&mut worker(), &file.options(), greedy("x", 1)).await;
        let why = answer.failure().to_string();
        assert!(why.contains("llama.context_length"), "{why}");
    });
}

/// Files that our parser lets through and llama.cpp does not, or not well: the worker survives all.
#[test]
fn damage_that_only_llama_cpp_sees_costs_one_answer() {
    let whole = Spec::tiny().bytes().unwrap();
    let good = TestModel::new(&Spec::tiny());
    let seed = 0xf1;
    let mut random = Random::new(seed);
    run(async {
        let mut worker = worker();
        let mut reached_the_child = 0;
        for round in 0..60 {
            let mut bytes = whole.clone();
            for _ in 0..4 {
                let at = random.below(12_000);
                bytes[at] ^= 1 << random.below(8);
            }
            let bad = TestModel::from_bytes(&bytes);
            worker.start(&bad.options(), greedy("x", 2)).unwrap();
            loop {
                match worker.event().await {
                    Event::Loading { .. } => reached_the_child += 1,
                    Event::Finished(_) | Event::Failed(_) => break,
                    _ => {}
                }
            }
            assert!(worker.is_idle(), "seed {seed}, round {round}");
        }
        assert!(reached_the_child > 0);
        let answer = ask(&mut worker, &good.options(), greedy("x", 2)).await;
        assert_eq!(answer.summary().response_tokens, 2);
    });
}
