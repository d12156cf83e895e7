//! What cannot be answered gets a file that says why, and what to do.

use super::{QUESTION, demo_model};
use crate::support::image::Image;
use crate::support::program;

fn answer(image: &Image) {
    program::answer(&image.path(), &demo_model());
    image.assert_clean();
}

/// Two lines: what happened, what to do.
fn assert_two_lines(text: &str) {
    assert_eq!(text.lines().count(), 2, "{text:?}");
    assert!(text.ends_with('\n'), "{text:?}");
}

#[test]
fn each_kind_of_bad_prompt_is_told_what_is_wrong() {
    let long = "All work and no play makes Jack a dull boy. ".repeat(1_000);
    let docx = [b"PK\x03\x04".as_slice(), &[0x14; 64]].concat();
    let cases: [(&str, &[u8], &str); 8] = [
        ("empty", b" \r\n\t\r\n", "nothing in this prompt"),
        ("document", &docx, "not"),
        ("nuls", b"what\0is\0this", "not"),
        ("large", &[b'x'; 70_000], "64 KiB"),
        ("long", long.as_bytes(), "tokens"),
        ("setting", b"+++\ntemprature = 1\n+++\nhello", "temperature"),
        (
            "model",
            b"+++\nmodel = \"nope.gguf\"\n+++\nhello",
            "nope.gguf",
        ),
        (
            "outside",
            b"+++\nmodel = \"../../etc/passwd\"\n+++\nhello",
            "model",
        ),
    ];
    let image = Image::usual();
    for (name, content, _) in cases {
        image.put(&format!("{name}.txt"), content);
    }
    image.put("good.txt", QUESTION);
    answer(&image);
    for (name, _, expected) in cases {
        let text = image.text(&format!("{name}.error.txt"));
        assert_two_lines(&text);
        assert!(text.contains(expected), "{name}: {text}");
        assert_eq!(image.get(&format!("{name}.response.txt")), None);
    }
    assert!(
        image.get("good.response.txt").is_some(),
        "the others are answered all the same"
    );
    let before = image.list();
    answer(&image);
    assert_eq!(image.list(), before, "an error is told once");
}

#[test]
fn a_mended_prompt_is_answered() {
    let image = Image::usual();
    image.put("prompt.txt", "+++\nseeed = 1\n+++\nhello");
    answer(&image);
    assert!(image.text("prompt.error.txt").contains("seed"));
    image.put("prompt.txt", QUESTION);
    answer(&image);
    assert!(image.get("prompt.response.txt").is_some());
}

#[test]
fn bad_settings_are_told_once_and_the_last_good_ones_stay() {
    let image = Image::usual();
    image.put("SETTINGS.TOML", "max_tokens = \"many\"\n");
    image.put("prompt.txt", QUESTION);
    answer(&image);
    assert_two_lines(&image.text("SETTINGS.error.txt"));
    assert!(
        image.get("prompt.response.txt").is_some(),
        "the defaults are in force"
    );
    answer(&image);
    assert_eq!(image.get("SETTINGS.error-2.txt"), None);
    image.put("SETTINGS.TOML", "max_tokens = -1\n");
    answer(&image);
    assert_two_lines(&image.text("SETTINGS.error-2.txt"));
}

#[test]
fn a_damaged_model_costs_an_error_file_and_no_more() {
    let image = Image::usual();
    let models = tempfile::tempdir().unwrap();
    let good = std::fs::read(demo_model()).unwrap();
    let model = |name: &str, content: &[u8]| {
        std::fs::write(models.path().join(name), content).unwrap();
    };
    model("demo.gguf", &good);
    model("cut.gguf", &good[..good.len() / 2]);
    model("noise.gguf", &[0xa5; 4096]);
    for name in ["cut", "noise", "demo"] {
        image.put(
            &format!("{name}.txt"),
            format!("+++\nmodel = \"{name}.gguf\"\n+++\n{QUESTION}"),
        );
    }
    let default = models.path().join("demo.gguf");
    program::answer(&image.path(), &default);
    assert_two_lines(&image.text("cut.error.txt"));
    assert_two_lines(&image.text("noise.error.txt"));
    assert!(image.get("demo.response.txt").is_some());
}

#[test]
fn settings_that_cannot_be_read_are_told_and_the_last_good_ones_stay() {
    let image = Image::usual();
    // Lower case, as some tools write it: the same file to FAT.
    image.put("settings.toml", "max_tokens = 3\n");
    answer(&image);
    image.put("settings.toml", format!("#{}\n", "x".repeat(70_000)));
    image.put("prompt.txt", QUESTION);
    answer(&image);
    assert_two_lines(&image.text("SETTINGS.error.txt"));
    let response = image.text("prompt.response.txt");
    assert!(response.contains("limit of 3 tokens"), "{response}");
}
