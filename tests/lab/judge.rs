//! What must hold for the stick after every scenario: `fsck.fat -n` has nothing to say, each file
//! that the host had flushed is there, bit for bit, and each prompt has exactly one answer.

use lab::guest::Report;
use labhost::files::sha256;
use labhost::stick::PARTITION_BYTES;

use crate::support::image::Image;

/// The image of LUN 0 among the exported files.
const STICK: &str = "stick.img";

/// Judges the stick, and gives its image for more.
pub fn stick(report: &Report) -> Image {
    let image = image(report);
    image.assert_clean();
    for (path, expected) in report.flushed() {
        let content = image.get(&path);
        let Some(content) = content else {
            panic!(
                "{path}, which the host had flushed, is gone: {:?}\n{report}",
                image.list()
            );
        };
        assert_eq!(
            sha256(&content),
            expected,
            "{path} is not as the host flushed it\n{report}"
        );
    }
    if report.asked().next().is_some() {
        one_answer_each(report, &image.list());
    }
    image
}

/// Each prompt has one response or one error, and nothing else was answered.
fn one_answer_each(report: &Report, paths: &[String]) {
    let mut answers: Vec<&str> = paths
        .iter()
        .filter(|path| prompt_stem(path).is_some())
        .map(String::as_str)
        .collect();
    for prompt in report.asked() {
        let stem = prompt.strip_suffix(".txt").unwrap_or(prompt);
        let count = answers.len();
        answers.retain(|answer| prompt_stem(answer) != Some(stem));
        let found = count - answers.len();
        assert_eq!(found, 1, "{found} answers to {prompt}: {paths:?}\n{report}");
    }
    assert!(answers.is_empty(), "nobody asked for {answers:?}\n{report}");
}

/// What the name of an answer (docs/SPEC.md, 3.2) has before `.response` or `.error`.
fn prompt_stem(answer: &str) -> Option<&str> {
    let rest = answer.strip_suffix(".txt")?;
    let (stem, kind) = rest.rsplit_once('.')?;
    let (kind, number) = kind.split_once('-').unwrap_or((kind, "2"));
    let is_number = number.parse::<u32>().is_ok();
    (matches!(kind, "response" | "error") && is_number).then_some(stem)
}

#[test]
fn answers_are_told_by_their_names() {
    assert_eq!(prompt_stem("a.response.txt"), Some("a"));
    assert_eq!(prompt_stem("ask/why.error-3.txt"), Some("ask/why"));
    for other in [
        "a.txt",
        "response.txt",
        "a.response-x.txt",
        "a.response.md",
        "a.partial-1.txt",
    ] {
        assert_eq!(prompt_stem(other), None, "{other}");
    }
}

fn image(report: &Report) -> Image {
    let bytes = report.files.get(STICK).unwrap_or_else(|| {
        let names: Vec<_> = report.files.keys().collect();
        panic!("no {STICK} among the exported files {names:?}\n{report}")
    });
    let image = Image::none();
    std::fs::write(image.path(), bytes).expect("room for the image");
    if is_partitioned(bytes) {
        return image.at(PARTITION_BYTES);
    }
    image
}

/// A volume begins with a jump (FAT specification, `BS_jmpBoot`), a partition table does not.
fn is_partitioned(bytes: &[u8]) -> bool {
    !matches!(bytes.first(), Some(0xeb | 0xe9))
}
