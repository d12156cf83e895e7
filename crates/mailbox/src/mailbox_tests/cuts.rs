//! One day of a stick, with the power cut at each single operation of its disk.
//!
//! A failure names the operation and the seed; `day(operation, seed)` replays it.

use super::rig::Rig;
use crate::Digest;

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
