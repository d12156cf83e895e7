//! Editors of every kind: the response comes back in the prompt's own form.

use genmodel::Spec;

use super::{PART_OF_ITS_ANSWER, QUESTION, demo_model};
use crate::support::image::Image;
use crate::support::program;

fn answers(files: &[(&str, &[u8])]) -> Image {
    let image = Image::usual();
    for (name, content) in files {
        image.put(name, content);
    }
    program::answer(&image.path(), &demo_model());
    image.assert_clean();
    image
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    "\u{feff}"
        .encode_utf16()
        .chain(text.encode_utf16())
        .flat_map(unit)
        .collect()
}

#[test]
fn a_response_has_the_encoding_and_the_line_ends_of_its_prompt() {
    let windows = format!("{QUESTION}\r\n");
    let unix = format!("{QUESTION}\n");
    let image = answers(&[
        ("bom.txt", format!("\u{feff}{windows}").as_bytes()),
        ("le.txt", &utf16(&windows, u16::to_le_bytes)),
        ("be.txt", &utf16(&unix, u16::to_be_bytes)),
        ("unix.txt", unix.as_bytes()),
        ("windows.txt", windows.as_bytes()),
    ]);
    let get = |name| image.get(name).expect(name);
    assert!(get("bom.response.txt").starts_with(b"\xef\xbb\xbf"));
    assert!(get("le.response.txt").starts_with(b"\xff\xfe"));
    assert!(get("be.response.txt").starts_with(b"\xfe\xff"));
    assert!(get("windows.response.txt").ends_with(b"\r\n"));
    let unix = image.text("unix.response.txt");
    assert!(unix.ends_with('\n') && !unix.contains('\r'));
    let le: Vec<u16> = get("le.response.txt")
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes(pair.try_into().unwrap()))
        .collect();
    assert!(
        String::from_utf16(&le)
            .unwrap()
            .contains(PART_OF_ITS_ANSWER)
    );
}

// (mtools cuts characters beyond U+FFFF in half; those are tested with `fatfs`, in `volume`.)
#[test]
fn names_in_any_script_get_their_responses() {
    let names = [
        "Größe und Maß",
        "вопрос",
        "質問",
        "سؤال",
        "☃ out there",
        "a b  c",
    ];
    let image = Image::usual();
    for name in names {
        image.put(&format!("{name}.txt"), QUESTION);
    }
    program::answer(&image.path(), &demo_model());
    for name in names {
        let response = image.text(&format!("{name}.response.txt"));
        assert!(response.contains(PART_OF_ITS_ANSWER), "{name}");
    }
    image.assert_clean();
}

#[test]
fn a_prompt_may_bring_its_own_settings() {
    let image = answers(&[(
        "short.txt",
        b"+++\nmax_tokens = 3\ntemperature = 0.0\n+++\nHow do I use this stick?\n",
    )]);
    let response = image.text("short.response.txt");
    assert!(
        response.contains("limit of 3 tokens"),
        "a cut response says so: {response}"
    );
}

#[test]
fn the_sticks_settings_apply_to_all_prompts() {
    let image = answers(&[
        ("SETTINGS.TOML", b"max_tokens = 3\r\n"),
        ("a.txt", QUESTION.as_bytes()),
        ("b.txt", QUESTION.as_bytes()),
    ]);
    for name in ["a.response.txt", "b.response.txt"] {
        assert!(image.text(name).contains("limit of 3 tokens"), "{name}");
    }
}

#[test]
fn json_is_json() {
    // Random weights, so that both happen: a value that ends, and one that does not.
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("random.gguf");
    let spec = Spec {
        can_end: true,
        ..Spec::tiny()
    };
    spec.write(&model).unwrap();
    let image = Image::usual();
    let names: Vec<String> = (0..20).map(|seed| format!("p{seed}")).collect();
    for (seed, name) in names.iter().enumerate() {
        let settings = format!("format = \"json\"\nmax_tokens = 100\nseed = {seed}");
        image.put(
            &format!("{name}.txt"),
            format!("+++\n{settings}\n+++\nTell me.\n"),
        );
    }
    program::answer(&image.path(), &model);
    let mut values = 0;
    for name in names {
        match image.get(&format!("{name}.response.txt")) {
            Some(bytes) => {
                serde_json::from_slice::<serde_json::Value>(&bytes).expect("JSON");
                values += 1;
            }
            None => assert!(image.text(&format!("{name}.error.txt")).contains("JSON")),
        }
    }
    assert!(values > 0, "not one value came to its end");
}
