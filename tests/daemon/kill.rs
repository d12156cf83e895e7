//! Killed at any instant and run again, `answer` finishes: each prompt answered exactly once.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{PART_OF_ITS_ANSWER, QUESTION, demo_model};
use crate::support::image::Image;
use crate::support::program;

const PROMPTS: usize = 4;
/// The wait between the two readings that settle a prompt.
const SECOND_READ: Duration = Duration::from_millis(500);
/// A ledger that has only its header is smaller.
const EMPTY_LEDGER_BYTES: u64 = 64;

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

fn answer(image: &Image) -> Command {
    let mut command = program::answer_command(&image.path(), &demo_model());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// How long a whole run takes here and now.
fn whole_run() -> Duration {
    let image = image_with_prompts();
    let start = Instant::now();
    assert!(answer(&image).status().unwrap().success());
    start.elapsed()
}

#[test]
fn each_prompt_is_answered_exactly_once() {
    const IMAGES: u32 = 10;
    const KILLS_EACH: u32 = 4;
    // Until its second reading a run only waits; what follows is what can be cut in two.
    let whole = whole_run();
    let busy = whole.saturating_sub(SECOND_READ);
    let mut begun = 0;
    let mut survived = 0;
    for round in 0..IMAGES {
        let image = image_with_prompts();
        for kill in 0..KILLS_EACH {
            let mut child = answer(&image).spawn().unwrap();
            let part = kill * IMAGES + round;
            std::thread::sleep(SECOND_READ + busy * part / (IMAGES * KILLS_EACH));
            child.kill().unwrap();
            survived += u32::from(child.wait().unwrap().success());
        }
        let ledger = image.folder().join("stick.img.state/ledger");
        begun += u32::from(
            ledger
                .metadata()
                .is_ok_and(|ledger| ledger.len() > EMPTY_LEDGER_BYTES),
        );
        finish(&image);
    }
    assert!(
        begun > IMAGES / 2,
        "only {begun} of {IMAGES} were killed after they had begun"
    );
    assert!(
        survived < IMAGES * KILLS_EACH / 2,
        "{survived} runs ended before they were killed"
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
