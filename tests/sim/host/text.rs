//! What users write: prompts that no other is equal to, in the encodings of editors, and noise.

use volume::testing::Random;

use super::belief::Content;
use super::chance::{between, percent};

/// A prompt of 10 to some 3000 characters: UTF-8 or UTF-16, LF or CRLF.
pub fn prompt(random: &mut Random) -> Content {
    let number = random.bits();
    let mut text = format!("prompt {number}: what?");
    let length = match percent(random, 70) {
        true => between(random, 10, 400),
        false => between(random, 400, 3000),
    };
    while (text.len() as u64) < length {
        text.push_str(&format!("\nline {} of it", text.len()));
    }
    text.push('\n');
    if percent(random, 30) {
        text = text.replace('\n', "\r\n");
    }
    if percent(random, 15) {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        return units.flat_map(u16::to_le_bytes).collect();
    }
    text.into_bytes().into()
}

/// Another text of the same length and encoding: one digit of its number is another.
pub fn same_length(random: &mut Random, old: &Content) -> Content {
    let mut new = old.to_vec();
    let digits: Vec<usize> = (0..new.len())
        .filter(|&at| new[at].is_ascii_digit())
        .collect();
    if let Some(&at) = digits.get(random.below(digits.len().min(8))) {
        new[at] = b'0' + (new[at] - b'0' + 1 + random.below(9) as u8) % 10;
    }
    new.into()
}

/// Bytes that are no text, so many at most.
pub fn noise(random: &mut Random, most_bytes: usize) -> Content {
    let count = random.below(most_bytes);
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0];
    while bytes.len() < count {
        bytes.extend(random.bits().to_le_bytes());
    }
    bytes.into()
}

/// Whether a name is the stick's own, by its form.
pub fn is_response(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    name.ends_with(".txt") && (name.contains(".response") || name.contains(".error"))
}
