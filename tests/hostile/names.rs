//! Names that are meant to lead elsewhere, to look like others, or to take the place of a file.

use std::collections::BTreeSet;

use volume::Volume;

use super::craft::{self, Craft, FAT16, FILE, Slot};
use super::look::look;
use super::siege::{Budget, HONEST, Siege, tiny_model, withstand};
use super::untouched::assert_untouched;
use crate::support::program;

/// Long names, as UTF-16. Each gets a short name of its own, which stands in where it is none.
fn names() -> Vec<Vec<u16>> {
    let texts = [
        "../../../etc/cron.d/evil.txt",
        "..\\..\\evil.txt",
        "/etc/evil.txt",
        "C:\\evil.txt",
        "C:evil.txt",
        "stream.txt:evil.txt",
        ".",
        "..",
        "...txt",
        "CON.txt",
        "NUL.txt",
        "COM1.txt",
        "LPT1",
        "right\u{202e}txt.exe.txt",
        "isolate\u{2067}x\u{2069}.txt",
        "zero\u{200b}width\u{feff}.txt",
        "bell\u{7}.txt",
        "line\nbreak.txt",
        "escape\u{1b}[2J.txt",
        "csi\u{9b}2J.txt",
        "delete\u{7f}.txt",
        "nul\0byte.txt",
        "padding\u{ffff}.txt",
        "Case.txt",
        "CASE.TXT",
        "case.txt",
        "\u{e4}.txt",
        "a\u{308}.txt",
        "dot.txt.",
        "space.txt ",
        " front.txt",
        "a.response.txt",
        "settings.toml.txt",
        "SETTINGS.TOML\u{200b}.txt",
    ];
    let mut names: Vec<Vec<u16>> = texts.map(|text| text.encode_utf16().collect()).into();
    let ending = |front: Vec<u16>| [front, ".txt".encode_utf16().collect()].concat();
    names.push(ending(vec![0xD800]));
    names.push(ending(vec![0xDC00, 0xD800]));
    names.push(ending(vec![u16::from(b'x'); 251]));
    names.push(ending(vec![0x2603; 251]));
    // Twenty slots, one unit more than a name may have.
    names.push(ending(vec![u16::from(b'y'); 256]));
    names
}

/// Every name on a prompt of its own.
fn crafted() -> Craft {
    let mut craft = Craft::with(FAT16, &[("honest.txt", HONEST), ("prompts/", b"")]);
    for (number, name) in (0..).zip(names()) {
        let cluster = craft.store(HONEST);
        let short = craft::numbered(number, b"TXT");
        let short = craft::short(&short, FILE, cluster, HONEST.len() as u32);
        craft.append("prompts", &craft::long(&name, short));
    }
    // The checksum of another short name.
    let cluster = craft.store(HONEST);
    let short = |name| craft::short(name, FILE, cluster, HONEST.len() as u32);
    let mut slots = craft::long_text("not mine.txt", short(b"OTHER   TXT"));
    *slots.last_mut().unwrap() = short(b"MINE    TXT");
    craft.append("prompts", &slots);
    craft
}

fn is_shown(name: &str) -> bool {
    let forbidden = |c: char| c < ' ' || "\"*/:<>?\\|\u{ffff}".contains(c);
    !matches!(name, "" | "." | "..") && !name.contains(forbidden)
}

#[test]
fn no_name_is_a_path() {
    let craft = crafted();
    let seen = look(&craft.bytes);
    assert_eq!(seen.names.len(), names().len() + 3);
    let volume = Volume::open(&craft.bytes).unwrap();
    for entry in volume.list("prompts").unwrap() {
        assert!(is_shown(&entry.name), "{:?}", entry.name);
        assert!(entry.name.encode_utf16().count() <= 255);
        let found = volume.find(&format!("prompts/{}", entry.name)).unwrap();
        assert_eq!(found.unwrap().name, entry.name);
    }
    assert!(seen.names.contains(&"prompts/MINE.TXT".to_owned()));
}

#[test]
fn whatever_the_name_the_answer_lies_beside_the_prompt() {
    let craft = crafted();
    let siege = Siege::lay("names", &craft);
    siege.wait_for("prompts/MINE.response.txt");
    siege.is_answered("afterwards");
    siege.wait_for_rest();
    let image = siege.bytes();
    assert_untouched("names", &craft, &image);
    let before: BTreeSet<String> = look(&craft.bytes).names.into_iter().collect();
    let made = look(&image)
        .names
        .into_iter()
        .filter(|name| !before.contains(name));
    let made: Vec<String> = made.filter(|name| name != "afterwards.txt").collect();
    let (answers, others): (Vec<_>, Vec<_>) =
        made.iter().partition(|name| name.contains(".response"));
    assert!(others.is_empty(), "{others:?}");
    // Each is named after a prompt, whatever the model wrote.
    let stems = before.iter().filter_map(|name| name.rsplit_once('.'));
    let stems: Vec<String> = stems.map(|(stem, _)| format!("{stem}.response")).collect();
    for answer in answers
        .iter()
        .filter(|name| **name != "afterwards.response.txt")
    {
        let is_named = stems.iter().any(|stem| answer.starts_with(stem.as_str()));
        let is_shortened = answer.encode_utf16().count() == 240 + "prompts/".len();
        assert!(is_named || is_shortened, "{answer}");
    }
    // All but those that are not prompts: `LPT1`, and the ones that end otherwise.
    assert!(answers.len() > names().len() - 6, "{answers:?}");
    let beside = std::fs::read_dir(siege.folder()).unwrap();
    let beside: BTreeSet<_> = beside.map(|entry| entry.unwrap().file_name()).collect();
    let expected = ["stick.img", "stick.img.lock", "stick.img.state"].map(Into::into);
    assert_eq!(
        beside,
        BTreeSet::from(expected),
        "something was made beside the image"
    );
    let log = siege.end(Budget {
        prompts: names().len(),
        ..Budget::HONEST
    });
    assert!(!log.contains("evil"), "{log}");
}

/// Names are printed to whoever runs `answer`; none of them may steer the terminal.
#[test]
fn no_name_reaches_the_terminal_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("stick.img");
    std::fs::write(&image, crafted().bytes).unwrap();
    let printed = [
        program::answer(&image, &tiny_model()),
        program::succeed(["volume".as_ref(), "ls".as_ref(), image.as_os_str()]),
    ];
    for text in printed {
        let steers = |c: &char| c.is_control() && *c != '\n';
        assert_eq!(text.chars().find(steers), None, "{text:?}");
        let bidi = ['\u{202e}', '\u{2067}', '\u{2069}'];
        assert!(!text.contains(bidi), "{text:?}");
    }
}

/// Host's files that have, or come to have, the names that answers want.
#[test]
fn a_file_of_the_hosts_keeps_its_name() {
    let mut craft = Craft::with(
        FAT16,
        &[("honest.txt", HONEST), ("HONEST.Response.TXT", b"mine")],
    );
    // The short name that the answer would get, as a short and as a long name.
    let short = |name: &[u8; 11]| craft::short(name, FILE, 0, 0);
    let slots: Vec<Slot> = craft::long_text("HONEST~2.TXT", short(b"ZZZ     TMP"));
    craft.append("", &slots);
    craft.append("", &[short(b"HONEST~3TXT")]);
    let siege = Siege::lay("a response name that the host has", &craft);
    siege.wait_for("honest.response-2.txt");
    siege.wait_for_rest();
    assert_eq!(siege.get("honest.response.txt").unwrap(), b"mine");
    assert_untouched("collision", &craft, &siege.bytes());
    let image = siege.bytes();
    let volume = Volume::open(&image).unwrap();
    let entries = volume.list("").unwrap();
    let shorts: BTreeSet<_> = entries.iter().map(|entry| &entry.short_name).collect();
    assert_eq!(shorts.len(), entries.len(), "{shorts:?}");
    siege.end(Budget::HONEST);
}

#[test]
fn a_file_of_the_hosts_that_comes_while_the_answer_waits_keeps_its_name() {
    let mut craft = Craft::with(FAT16, &[("honest.txt", HONEST)]);
    craft.boot(0x25, &[1]);
    let siege = Siege::lay("a response name that the host takes", &craft);
    siege.daemon().wait_logged("answered");
    craft.put("honest.response.txt", b"mine");
    craft.boot(0x25, &[0]);
    siege.replace(&craft.bytes);
    siege.wait_for("honest.response-2.txt");
    // And once more, under the name that the first answer had.
    craft.put("honest.response-2.txt", b"mine, too");
    siege.replace(&craft.bytes);
    siege.wait_for_rest();
    assert_untouched("collision", &craft, &siege.bytes());
    assert_eq!(siege.get("honest.response.txt").unwrap(), b"mine");
    assert_eq!(siege.get("honest.response-2.txt").unwrap(), b"mine, too");
    siege.is_answered("afterwards");
    siege.end(Budget::HONEST);
}

#[test]
fn a_folder_in_the_place_of_an_answer() {
    let craft = Craft::with(
        FAT16,
        &[
            ("honest.txt", HONEST),
            ("honest.error.txt/", b""),
            ("SETTINGS.error.txt/", b""),
        ],
    );
    withstand("folders named as answers", &craft, Budget::HONEST);
}
