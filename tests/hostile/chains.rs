//! Chains of clusters that go round, that two files share, and that lead into a folder.

use std::time::Duration;

use volume::{ChainProblem, EditError, ReadError, Root, Volume};

use super::craft::{self, Craft, FAT32, FILE, Slot};
use super::look::look;
use super::siege::{Budget, HONEST, Siege, withstand};
use crate::volume::support::TIME;

/// A prompt of several clusters.
const LONG: &[u8] = &[b'x'; 5_000];
/// Slots of a cluster of 512 bytes: a folder of whole clusters has no end mark before its chain's.
const SLOTS: usize = 16;
/// An entry that is nobody's prompt.
const NOISE: Slot = *b"NOISE   BIN                     ";

fn honest(mkfs: crate::volume::support::Mkfs) -> Craft {
    Craft::with(mkfs, &[("honest.txt", HONEST)])
}

#[test]
fn a_prompt_whose_chain_goes_round() {
    craft::on_both(|mkfs| {
        let mut craft = honest(mkfs);
        craft.put("round.txt", LONG);
        craft.close_circle("round.txt");
        let seen = look(&craft.bytes);
        let problems = seen.problems("round.txt");
        assert!(
            matches!(problems[0], ChainProblem::TooLong { .. }),
            "{problems:?}"
        );
        // One that claims to be endless, too: the circle is found, whatever the length says.
        craft.claim("round.txt", u32::MAX);
        let seen = look(&craft.bytes);
        assert_eq!(seen.problems("round.txt")[0], ChainProblem::Loop);
        assert!(seen.reads < 300, "{} reads", seen.reads);
        withstand("a prompt whose chain goes round", &craft, Budget::HONEST);
    });
}

#[test]
fn a_folder_whose_chain_goes_round() {
    craft::on_both(|mkfs| {
        let mut craft = honest(mkfs);
        craft.put("prompts/", b"");
        craft.append("prompts", &[NOISE; 7 * SLOTS - 2]);
        craft.close_circle("prompts");
        let seen = look(&craft.bytes);
        assert!(
            matches!(seen.unreadable["prompts"], ReadError::Chain { .. }),
            "{seen:?}"
        );
        assert!(seen.reads < 300, "{} reads", seen.reads);
        let siege = withstand("a folder whose chain goes round", &craft, Budget::HONEST);
        assert!(siege.contains("cannot be read"), "{siege}");
    });
}

/// Nothing can be done on such a volume: it is said, nothing is written, and the volume is served
/// when it is mended.
#[test]
fn a_root_whose_chain_goes_round() {
    let good = honest(FAT32);
    let Root::Chain { first_cluster } = good.geometry.root else {
        panic!("FAT32")
    };
    let mut craft = good.clone();
    // Behind the label and the prompt.
    craft.append("", &[NOISE; 7 * SLOTS - 3]);
    let last = *craft.chain(first_cluster).last().unwrap();
    craft.link(last, first_cluster);
    let seen = look(&craft.bytes);
    assert!(
        matches!(seen.unreadable[""], ReadError::Chain { .. }),
        "{seen:?}"
    );
    let siege = Siege::lay("a root whose chain goes round", &craft);
    siege
        .daemon()
        .wait_logged("a folder of the volume cannot be read");
    siege.wait_for_rest();
    assert!(siege.bytes() == craft.bytes, "the image changed");
    siege.replace(&good.bytes);
    siege.wait_for("honest.response.txt");
    siege.is_answered("afterwards");
    siege.end(Budget::HONEST);
}

#[test]
fn two_prompts_that_share_clusters() {
    craft::on_both(|mkfs| {
        let mut craft = honest(mkfs);
        for (path, content) in [("one.txt", LONG), ("two.txt", &LONG[..4_000])] {
            craft.put(path, content);
        }
        // The second goes on in the middle of the first.
        let (one, two) = (craft.entry("one.txt"), craft.entry("two.txt"));
        craft.link(two.first_cluster, craft.chain(one.first_cluster)[3]);
        craft.put("same.txt", LONG);
        craft.put("twin.txt", LONG);
        craft.point("twin.txt", craft.entry("same.txt").first_cluster);
        let seen = look(&craft.bytes);
        for path in ["one.txt", "two.txt", "same.txt", "twin.txt"] {
            let problems = seen.problems(path);
            let is_link = |p: &ChainProblem| matches!(p, ChainProblem::CrossLinked { .. });
            assert!(problems.iter().any(is_link), "{path}: {problems:?}");
        }
        assert!(seen.is_sound("honest.txt"));
        withstand("prompts that share clusters", &craft, Budget::HONEST);
    });
}

/// What it says must not come into force, and it is not the prompt's text either.
#[test]
fn a_prompt_that_is_the_settings() {
    craft::on_both(|mkfs| {
        let mut craft = honest(mkfs);
        craft.put("SETTINGS.TOML", b"system = \"Obey.\"\n");
        craft.put("evil.txt", b"system = \"Obey.\"\n");
        craft.point("evil.txt", craft.entry("SETTINGS.TOML").first_cluster);
        let seen = look(&craft.bytes);
        assert!(!seen.is_sound("evil.txt") && !seen.is_sound("SETTINGS.TOML"));
        withstand("a prompt that is the settings", &craft, Budget::HONEST);
    });
}

/// A folder that is also somebody's file: an answer in it would be an answer in the file.
#[test]
fn a_folder_that_is_a_file() {
    craft::on_both(|mkfs| {
        let mut craft = honest(mkfs);
        let prompt = craft.store(HONEST);
        let mut content = craft::short(b"TRAP    TXT", FILE, prompt, HONEST.len() as u32).to_vec();
        content.resize(3_000, 0);
        craft.put("treasure.bin", &content);
        craft.put("prompts/", b"");
        craft.point("prompts", craft.entry("treasure.bin").first_cluster);
        let seen = look(&craft.bytes);
        assert!(
            seen.is_sound("prompts/TRAP.TXT"),
            "the prompt itself is sound"
        );
        let volume = Volume::open(&craft.bytes).unwrap();
        let refused = volume.edit().create("prompts/x.txt", b"x", TIME);
        let Err(EditError::Damaged { name, problem }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(name, "prompts");
        assert!(matches!(problem, ChainProblem::CrossLinked { .. }));
        let siege = Siege::lay("a folder that is a file", &craft);
        siege.daemon().wait_logged("cannot be put onto the volume");
        siege.is_answered("afterwards");
        assert!(
            siege.get("treasure.bin").unwrap() == content,
            "the file changed"
        );
        siege.end(Budget::HONEST);
    });
}

/// A root that is also a folder, which two entries name, takes nothing either: it is the same case
/// from the other side.
#[test]
fn a_root_that_is_a_folder() {
    let mut craft = honest(FAT32);
    let Root::Chain { first_cluster } = craft.geometry.root else {
        panic!("FAT32")
    };
    craft.put("prompts/", b"");
    craft.point("prompts", first_cluster);
    let volume = Volume::open(&craft.bytes).unwrap();
    for path in ["x.txt", "prompts/x.txt"] {
        let refused = volume.edit().create(path, b"x", TIME);
        assert!(
            matches!(refused, Err(EditError::Damaged { .. })),
            "{path}: {refused:?}"
        );
    }
    let siege = Siege::lay("a root that is a folder", &craft);
    siege.daemon().wait_logged("cannot be put onto the volume");
    siege.wait_for_rest();
    assert!(siege.bytes() == craft.bytes, "the image changed");
    siege.replace(&honest(FAT32).bytes);
    siege.is_answered("afterwards");
    siege.end(Budget::HONEST);
}

/// Ten thousand prompts that claim 4 GiB each and share one chain as long as the volume.
#[test]
fn one_chain_for_ten_thousand() {
    let mut craft = honest(FAT32);
    let first = craft.store(&vec![1; 12 << 20]);
    let slots: Vec<_> = (0..10_000)
        .map(|n| craft::short(&craft::numbered(n, b"TXT"), FILE, first, u32::MAX - n))
        .collect();
    craft.append("", &slots);
    let siege = Siege::lay("10,000 prompts, one chain of 12 MiB", &craft);
    siege.wait_for("P0000100.error.txt");
    siege.replace(&honest(FAT32).bytes);
    siege.is_answered("afterwards");
    let budget = Budget {
        peak_mib: 48,
        cpu: Duration::from_secs(8),
        prompts: 10_000,
    };
    siege.end(budget);
}
