//! Killed at any instant and run again, `answer` finishes: each prompt answered exactly once.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{PART_OF_ITS_ANSWER, QUESTION, demo_model};
use crate::support::image::Image;
use crate::support::program;

const PROMPTS: usize = 4;

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

fn answer(image: &Image) -> std::process::Command {
    let mut command = program::promptstick(["answer"]);
    command.arg(image.path()).arg("--model").arg(demo_model());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// How long a whole run takes here and now, so that the kills are spread over it.
fn whole_run() -> Duration {
    let image = image_with_prompts();
    let start = Instant::now();
    assert!(answer(&image).status().unwrap().success());
    start.elapsed()
}

#[test]
fn each_prompt_is_answered_exactly_once() {
    const KILLS: u32 = 40;
    let whole = whole_run();
    let mut image = image_with_prompts();
    let mut survived = 0;
    for kill in 0..KILLS {
        let mut child = answer(&image).spawn().unwrap();
        std::thread::sleep(whole * kill / KILLS);
        child.kill().unwrap();
        survived += u32::from(child.wait().unwrap().success());
        if kill % 8 == 7 {
            finish(&image);
            image = image_with_prompts();
        }
    }
    assert!(
        survived < KILLS / 2,
        "{survived} runs ended before they were killed: nothing shown"
    );
}

fn finish(image: &Image) {
    assert!(answer(image).status().unwrap().success());
    image.assert_clean();
    let mut expected: Vec<String> = (0..PROMPTS)
        .flat_map(|number| [format!("p{number}.response.txt"), format!("p{number}.txt")])
        .collect();
    expected.sort();
    assert_eq!(image.list(), expected);
    for number in 0..PROMPTS {
        assert!(
            image
                .text(&format!("p{number}.response.txt"))
                .contains(PART_OF_ITS_ANSWER)
        );
    }
    let journal = image.folder().join("stick.img.journal");
    assert!(!journal.exists());
}
