//! Killed at any instant and run again, `answer` finishes: each prompt answered exactly once.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use super::{QUESTION, demo_model};
use crate::support::image::Image;
use crate::support::program;

const PROMPTS: usize = 40;
/// Images that are worked off, and how often that is cut short on each.
const IMAGES: u64 = 10;
const KILLS: u64 = 4;
/// A kill comes so long at most after something was reported: an answer and its publication take
/// some milliseconds, so it meets every part of them.
const LATEST_MS: u64 = 24;

fn image_with_prompts() -> Image {
    let image = Image::usual();
    for number in 0..PROMPTS {
        // Different bytes: identical prompts would hide one answer under another's name.
        image.put(
            &format!("p{number}.txt"),
            format!("{QUESTION}{}", " ".repeat(number)),
        );
    }
    image
}

/// Runs `answer` until it has reported `lines` steps, and kills it `delay_ms` later.
fn run_and_kill(image: &Image, lines: u64, delay_ms: u64) {
    let mut command = program::answer_command(&image.path(), &demo_model());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..lines {
        let read = stdout.read_line(&mut String::new()).unwrap();
        assert!(read > 0, "it ended before it could be killed");
    }
    std::thread::sleep(Duration::from_millis(delay_ms));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn each_prompt_is_answered_exactly_once() {
    for number in 0..IMAGES {
        let image = image_with_prompts();
        for kill in 0..KILLS {
            // Far fewer steps than there are, so that each kill meets work.
            let delay_ms = (number * KILLS + kill) * LATEST_MS / (IMAGES * KILLS);
            run_and_kill(&image, 1 + (number + kill) % 3, delay_ms);
        }
        finish(&image);
    }
}

fn finish(image: &Image) {
    program::answer(&image.path(), &demo_model());
    image.assert_clean();
    let mut expected: Vec<String> = (0..PROMPTS)
        .flat_map(|number| [format!("p{number}.response.txt"), format!("p{number}.txt")])
        .collect();
    expected.sort();
    assert_eq!(image.list(), expected);
    for number in 0..PROMPTS {
        assert_ne!(image.text(&format!("p{number}.response.txt")), "");
    }
    let journal = image.folder().join("stick.img.journal");
    assert!(!journal.exists());
}
