//! `promptstick answer`: all prompts of an image, once.

use super::{PART_OF_ITS_ANSWER, QUESTION, demo_model};
use crate::support::image::Image;
use crate::support::program;

fn answer(image: &Image) -> String {
    program::answer(&image.path(), &demo_model())
}

#[test]
fn a_prompt_is_answered_beside_it_and_the_volume_is_clean() {
    let image = Image::usual();
    image.put("prompt.txt", QUESTION);
    answer(&image);
    assert_eq!(image.list(), ["prompt.response.txt", "prompt.txt"]);
    assert!(
        image
            .text("prompt.response.txt")
            .contains(PART_OF_ITS_ANSWER)
    );
    assert_eq!(image.text("prompt.txt"), QUESTION);
    image.assert_clean();
}

#[test]
fn run_again_it_does_nothing() {
    let image = Image::usual();
    image.put("prompt.txt", QUESTION);
    answer(&image);
    let before = std::fs::read(image.path()).unwrap();
    assert!(answer(&image).contains("nothing new"));
    assert!(
        std::fs::read(image.path()).unwrap() == before,
        "the image changed"
    );
}

#[test]
fn every_place_of_a_prompt_is_looked_at_and_no_other() {
    let image = Image::usual();
    for folder in ["prompts", "ask", "other"] {
        image.make_dir(folder);
    }
    for name in [
        "a.txt",
        "b.MD",
        "prompts/c.txt",
        "other/d.txt",
        "e.log",
        ".hidden.txt",
    ] {
        image.put(name, QUESTION);
    }
    image.put("~$a.txt", QUESTION);
    image.put("ask/What is this stick.txt", "");
    answer(&image);
    let new: Vec<String> = image
        .list()
        .into_iter()
        .filter(|path| path.contains("response"))
        .collect();
    assert_eq!(
        new,
        [
            "a.response.txt",
            "ask/What is this stick.response.txt",
            "b.response.txt",
            "prompts/c.response.txt"
        ]
    );
    image.assert_clean();
}

#[test]
fn a_changed_prompt_is_answered_under_a_new_name() {
    let image = Image::usual();
    image.put("prompt.txt", QUESTION);
    answer(&image);
    let first = image.text("prompt.response.txt");
    image.put("prompt.txt", "What does the LED mean?");
    answer(&image);
    assert_ne!(image.text("prompt.response-2.txt"), first);
    assert_eq!(
        image.text("prompt.response.txt"),
        first,
        "the first answer stays as it was"
    );
    image.assert_clean();
}

#[test]
fn a_renamed_prompt_is_not_asked_again() {
    let image = Image::usual();
    image.put("prompt.txt", QUESTION);
    answer(&image);
    image.rename("prompt.txt", "question.txt");
    assert!(answer(&image).contains("nothing new"));
    assert_eq!(image.list(), ["prompt.response.txt", "question.txt"]);
}

#[test]
fn deleting_the_response_and_saving_the_prompt_again_asks_again() {
    let image = Image::usual();
    image.put("prompt.txt", QUESTION);
    answer(&image);
    image.delete("prompt.response.txt");
    assert!(
        answer(&image).contains("nothing new"),
        "deleting alone asks nothing"
    );
    image.delete("prompt.txt");
    // FAT keeps time in steps of two seconds, and mtools reuses the cluster: a file of another
    // time is what "saved again" looks like.
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    image.put("prompt.txt", QUESTION);
    answer(&image);
    assert!(
        image
            .text("prompt.response-2.txt")
            .contains(PART_OF_ITS_ANSWER)
    );
}

#[test]
fn volumes_of_every_kind_are_served() {
    let kinds: [(u64, &[&str]); 4] = [
        (16, &["-F", "16", "-s", "1"]),
        (64, &["-F", "32", "-s", "1"]),
        (300, &["-F", "32", "-S", "4096"]),
        (512, &["-F", "16", "-s", "64"]),
    ];
    for (mebibytes, options) in kinds {
        let image = Image::mkfs(mebibytes, options);
        image.put("prompt.txt", QUESTION);
        answer(&image);
        assert!(
            image
                .text("prompt.response.txt")
                .contains(PART_OF_ITS_ANSWER),
            "{options:?}"
        );
        image.assert_clean();
    }
}

#[test]
fn a_partitioned_image_is_served() {
    let image = Image::none();
    let path = image.path();
    program::succeed([
        "volume".as_ref(),
        "format".as_ref(),
        path.as_os_str(),
        "--size".as_ref(),
        "64M".as_ref(),
        "--partitioned".as_ref(),
    ]);
    let table = std::fs::read(&path).unwrap();
    let start = u32::from_le_bytes(table[0x1be + 8..0x1be + 12].try_into().unwrap());
    let image = image.at(u64::from(start) * 512);
    image.put("prompt.txt", QUESTION);
    answer(&image);
    assert!(
        image
            .text("prompt.response.txt")
            .contains(PART_OF_ITS_ANSWER)
    );
    image.assert_clean();
}

#[test]
fn a_closed_standard_output_costs_no_answer() {
    let image = Image::usual();
    image.put("prompt.txt", QUESTION);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = program::answer_command(&image.path(), &demo_model());
    assert!(command.stdout(writer).status().unwrap().success());
    assert!(image.get("prompt.response.txt").is_some());
}
