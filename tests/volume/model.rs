//! Random sequences of edits against a model in memory: after each edit the volume holds exactly
//! what the model does, and `fsck.fat -n` finds nothing. `proptest` prints the smallest failing
//! sequence and keeps its seed.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};
use volume::{EditError, FatTime, Volume};

use super::support::{self, Mkfs};

#[derive(Clone, Debug)]
enum Step {
    Create {
        folder: usize,
        name: String,
        len: usize,
    },
    MakeDir {
        folder: usize,
        name: String,
    },
    Replace {
        file: usize,
        len: usize,
    },
    /// Ends the edit, publishes it and starts the next one.
    Publish,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Folder,
    File(Vec<u8>),
}

type Model = BTreeMap<String, Node>;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{1,3}",
        "[A-C]{1,8}(\\.[A-C]{1,3})?",
        "[a-zA-Z0-9 ._~+-]{1,40}",
        "[àéîöüßÀÉ]{1,9}\\.txt",
        "[日本語🎈ж]{1,20}",
        "long name that needs a tail [0-9]{1,3}\\.response\\.txt",
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let len = || prop_oneof![Just(0_usize), 1..600_usize, 1..9000_usize];
    prop_oneof![
        6 => (any::<usize>(), name(), len())
            .prop_map(|(folder, name, len)| Step::Create { folder, name, len }),
        2 => (any::<usize>(), name()).prop_map(|(folder, name)| Step::MakeDir { folder, name }),
        3 => (any::<usize>(), len()).prop_map(|(file, len)| Step::Replace { file, len }),
        3 => Just(Step::Publish),
    ]
}

/// A path in one of the folders that there are.
fn path_in(model: &Model, folder: usize, name: &str) -> String {
    let mut folders = vec![String::new()];
    folders.extend(
        model
            .iter()
            .filter(|(_, node)| **node == Node::Folder)
            .map(|(p, _)| p.clone()),
    );
    let parent = &folders[folder % folders.len()];
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}/{name}")
    }
}

/// What the edit answered must be what the model expects.
fn agrees(model: &Model, path: &str, outcome: &Result<(), EditError>) -> bool {
    let exists = model
        .keys()
        .any(|known| known.to_uppercase() == path.to_uppercase());
    let bad = path.ends_with(['.', ' ']);
    match outcome {
        Ok(()) => !exists && !bad,
        Err(EditError::BadName { .. }) => bad,
        // Also when the name is the short name of another.
        Err(EditError::Exists { .. }) => exists || path.contains('~'),
        Err(_) => false,
    }
}

fn run(mkfs: Mkfs, steps: &[Step]) {
    let mut image = support::in_memory(mkfs);
    let mut model = Model::new();
    let mut time = FatTime::FIRST;
    for part in steps.split(|step| matches!(step, Step::Publish)) {
        let changes = {
            let volume = Volume::open(&image).unwrap();
            let mut edit = volume.edit();
            for (number, step) in part.iter().enumerate() {
                time = FatTime::after([time]);
                apply(&mut edit, &mut model, step, number as u64, time);
            }
            edit.finish().unwrap()
        };
        support::apply(&mut image, &changes);
        check(&image, &model);
    }
}

fn apply(
    edit: &mut volume::Edit<'_, &Vec<u8>>,
    model: &mut Model,
    step: &Step,
    seed: u64,
    time: FatTime,
) {
    match step {
        Step::Create { folder, name, len } => {
            let path = path_in(model, *folder, name);
            let content = support::content(seed, *len);
            let outcome = edit.create(&path, &content, time);
            assert!(agrees(model, &path, &outcome), "{path:?}: {outcome:?}");
            if outcome.is_ok() {
                model.insert(path, Node::File(content));
            }
        }
        Step::MakeDir { folder, name } => {
            let path = path_in(model, *folder, name);
            let outcome = edit.make_dir(&path, time);
            assert!(agrees(model, &path, &outcome), "{path:?}: {outcome:?}");
            if outcome.is_ok() {
                model.insert(path, Node::Folder);
            }
        }
        Step::Replace { file, len } => {
            let files: Vec<String> = model
                .iter()
                .filter(|(_, n)| **n != Node::Folder)
                .map(|(p, _)| p.clone())
                .collect();
            if let Some(path) = files.get(*file % files.len().max(1)) {
                let content = support::content(seed, *len);
                edit.replace(path, &content, time).unwrap();
                model.insert(path.clone(), Node::File(content));
            }
        }
        Step::Publish => {}
    }
}

fn check(image: &Vec<u8>, model: &Model) {
    let volume = Volume::open(image).unwrap();
    let mut found = Model::new();
    let mut waiting = vec![String::new()];
    while let Some(folder) = waiting.pop() {
        let entries = volume.list(&folder).unwrap();
        for (entry, inspection) in entries.iter().zip(volume.inspect(&entries).unwrap()) {
            assert!(
                inspection.is_consistent(),
                "{}: {:?}",
                entry.name,
                inspection.problems
            );
            let name = &entry.name;
            let path = if folder.is_empty() {
                name.clone()
            } else {
                format!("{folder}/{name}")
            };
            if entry.is_dir() {
                waiting.push(path.clone());
                found.insert(path, Node::Folder);
            } else {
                found.insert(path, Node::File(volume.read(entry, 1 << 20).unwrap()));
            }
        }
    }
    assert!(
        found == *model,
        "ours {:?}, model {:?}",
        found.keys(),
        model.keys()
    );
    support::fsck_bytes(image);
}

fn config() -> Config {
    let persistence = FileFailurePersistence::Direct(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/volume/model.proptest-regressions"
    ));
    Config {
        cases: 96,
        failure_persistence: Some(Box::new(persistence)),
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn edits_of_fat16(steps in prop::collection::vec(step(), 1..40)) {
        run(Mkfs { mib: 3, cluster_bytes: Some(512), ..Mkfs::FAT16 }, &steps);
    }

    #[test]
    fn edits_of_fat32(steps in prop::collection::vec(step(), 1..40)) {
        run(Mkfs { mib: 2, ..Mkfs::FAT32 }, &steps);
    }
}
