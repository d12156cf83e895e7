//! One day of a stick, with the power cut at each single operation of its disk.
//!
//! A failure names the operation and the seed; `day(operation, seed)` replays it.

use super::rig::Rig;
use crate::{Digest, MailboxError};

/// Ways in which each cut may turn out.
const SEEDS: u64 = 24;

/// What the user does, with the daemon at work in between. Returns how many operations it took.
fn day(cut_at: usize, seed: u64) -> usize {
    let mut rig = Rig::new(seed);
    rig.disk.cut_after(cut_at);
    let work: [fn(&mut Rig) -> Result<(), MailboxError>; 2] = [
        |rig| {
            rig.look()?;
            rig.answer().map(drop)
        },
        |rig| rig.publish(),
    ];
    rig.save("a.txt", "one");
    rig.save("b.txt", "two");
    rig.save("ask/Why.txt", "");
    work.iter().for_each(|step| rig.surely(step));
    rig.rename("b.txt", "c.txt");
    work.iter().for_each(|step| rig.surely(step));
    rig.save("a.txt", "three");
    rig.delete("ask/Why.txt");
    work.iter().for_each(|step| rig.surely(step));
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
