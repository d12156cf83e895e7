//! One day of a stick, with the power cut at each single operation of its disk.
//!
//! A failure names the operation and the seed; `day(operation, seed)` replays it.

use std::collections::BTreeMap;

use volume::testing::Random;

use super::rig::Rig;
use crate::SettingsFile::Content;
use crate::testing::CutDisk;
use crate::{Digest, Mailbox, MailboxError};

/// Ways in which each cut may turn out.
const SEEDS: u64 = 24;

/// What the user does, with the daemon at work in between. Returns how many operations it took.
fn day(cut_at: usize, seed: u64) -> usize {
    let mut rig = Rig::new(seed);
    rig.disk.cut_after(cut_at);
    rig.save("a.txt", "one");
    rig.save("b.txt", "two");
    rig.save("ask/Why.txt", "");
    work(&mut rig);
    rig.rename("b.txt", "c.txt");
    work(&mut rig);
    rig.save("a.txt", "three");
    rig.delete("ask/Why.txt");
    work(&mut rig);
    let operations = rig.disk.operations();
    rig.finish();
    assert_eq!(
        rig.answers.len(),
        if rig.answered.contains_key(&why()) {
            4
        } else {
            3
        }
    );
    for content in ["one", "two", "three"] {
        assert_eq!(rig.answered[&Digest::of(content.as_bytes())], 1);
    }
    operations
}

/// Looks, answers one prompt, publishes.
fn work(rig: &mut Rig) {
    rig.surely(|rig| {
        rig.look()?;
        rig.answer()
    });
    rig.surely(Rig::publish);
}

fn why() -> Digest {
    Digest::of(b"Why")
}

#[test]
fn a_power_cut_at_any_operation_neither_repeats_nor_forgets() {
    let operations = day(usize::MAX / 2, 0);
    assert!(operations > 30, "{operations}");
    for cut_at in 0..=operations {
        for seed in 0..SEEDS {
            let replay = std::panic::catch_unwind(|| day(cut_at, seed));
            assert!(replay.is_ok(), "replay with day({cut_at}, {seed})");
        }
    }
}

#[test]
fn five_hundred_prompts_at_once_are_each_answered_once() {
    let mut rig = Rig::new(0);
    for n in 0..500 {
        rig.save(&format!("{n}.txt"), &format!("question {}", n % 250));
    }
    rig.finish();
    assert_eq!(rig.answers.len(), 500);
    assert!(rig.answered.values().all(|count| *count == 2));
}

/// A publication fails, and the user makes a file under the name that was intended. Returns how
/// many operations it took.
fn stranger_day(cut_at: usize, seed: u64) -> usize {
    let mut rig = Rig::new(seed);
    rig.disk.cut_after(cut_at);
    rig.save("a.txt", "one");
    rig.surely(|rig| {
        rig.look()?;
        rig.answer()
    });
    rig.surely(Rig::intend);
    rig.squat();
    work(&mut rig);
    let operations = rig.disk.operations();
    rig.finish();
    let strangers: Vec<_> = rig.strangers.into_keys().collect();
    let answers: Vec<_> = rig.answers.into_keys().collect();
    assert_eq!(strangers, ["a.response.txt"]);
    assert_eq!(answers, ["a.response-2.txt"]);
    operations
}

#[test]
fn a_power_cut_while_a_stranger_has_the_intended_name_loses_neither_file() {
    let operations = stranger_day(usize::MAX / 2, 0);
    for cut_at in 0..=operations {
        for seed in 0..SEEDS {
            let replay = std::panic::catch_unwind(|| stranger_day(cut_at, seed));
            assert!(replay.is_ok(), "replay with stranger_day({cut_at}, {seed})");
        }
    }
}

/// A user mistypes the settings. Returns how many operations it took.
fn settings_day(cut_at: usize, seed: u64) -> usize {
    let (disk, mut random) = (CutDisk::default(), Random::new(seed));
    disk.cut_after(cut_at);
    let mut on_volume = BTreeMap::new();
    let (good, bad) = (Content(b"top_k = 3"), Content(b"top_j = 3"));
    let mut step = |step: &mut dyn FnMut(&mut Mailbox<CutDisk>) -> Result<(), MailboxError>| {
        while Mailbox::open_on(disk.clone(), 1)
            .and_then(|mut mailbox| step(&mut mailbox))
            .is_err()
        {
            disk.restart(&mut random);
        }
    };
    step(&mut |mailbox| mailbox.feed_settings(good.clone()).map(drop));
    for _ in 0..2 {
        step(&mut |mailbox| {
            mailbox.feed_settings(bad.clone())?;
            let content = |path: &str| on_volume.get(path).copied();
            mailbox.resolve_intents(&content)?;
            mailbox.reconcile(&[], &|path| content(path).is_some())?;
            let ids: Vec<_> = mailbox.ready().iter().map(|ready| ready.id).collect();
            let names = mailbox.names_for(&ids, &|_| false);
            mailbox.publishing(&names)?;
            for (id, name) in &names {
                let bytes = mailbox.outcome_bytes(*id)?.unwrap();
                on_volume.insert(name.clone(), Digest::of(&bytes));
            }
            mailbox.published(&names)
        });
    }
    step(&mut |mailbox| {
        assert_eq!(mailbox.settings().top_k, 3);
        Ok(())
    });
    let names: Vec<_> = on_volume.into_keys().collect();
    assert_eq!(names, ["SETTINGS.error.txt"]);
    disk.operations()
}

#[test]
fn a_power_cut_while_settings_are_wrong_complains_once_and_keeps_the_good_ones() {
    let operations = settings_day(usize::MAX / 2, 0);
    for cut_at in 0..=operations {
        for seed in 0..SEEDS {
            let replay = std::panic::catch_unwind(|| settings_day(cut_at, seed));
            assert!(replay.is_ok(), "replay with settings_day({cut_at}, {seed})");
        }
    }
}
