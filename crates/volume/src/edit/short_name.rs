//! Makes the short name that goes with a long one.
//!
//! Rules: specification, "Basis-Name Generation Algorithm" and "Numeric-Tail Generation Algorithm".
//! Only ASCII is taken over: which code page a host uses for the rest is not known, and the long
//! name has it anyway. Pure.

use std::collections::HashSet;

/// Largest number that the tail `~N` takes.
const MAX_TAIL: u32 = 999_999;
const BASE_BYTES: usize = 8;
const EXTENSION_BYTES: usize = 3;

/// A short name as it is stored: base and extension, padded with spaces.
pub(super) type ShortName = [u8; BASE_BYTES + EXTENSION_BYTES];

/// The first candidate and whether it says all of the long name except its case.
struct Basis {
    base: Vec<u8>,
    extension: Vec<u8>,
    faithful: bool,
}

/// The short name for `name` in a folder where `taken` are the short names, and long names that
/// would look like one; `None` when all tails are taken.
pub(super) fn generate(name: &str, taken: &HashSet<ShortName>) -> Option<ShortName> {
    let basis = basis(name);
    let plain = pad(&basis.base, &basis.extension);
    if basis.faithful && !taken.contains(&plain) {
        return Some(plain);
    }
    let is_taken = |number: u32| taken.contains(&with_tail(&basis, number));
    free_number(MAX_TAIL, is_taken).map(|number| with_tail(&basis, number))
}

/// A number up to `most` that is free. Tails are mostly taken from 1 up without gaps, and a folder
/// may have ten thousand of them, so: double until one is free, then halve towards the last taken
/// one.
pub(crate) fn free_number(most: u32, is_taken: impl Fn(u32) -> bool) -> Option<u32> {
    let mut free = 1;
    while is_taken(free) {
        if free == most {
            // Gaps below, if any.
            return (1..most).find(|number| !is_taken(*number));
        }
        free = (free * 2).min(most);
    }
    let mut taken = free / 2;
    while taken + 1 < free {
        let middle = taken.midpoint(free);
        if is_taken(middle) {
            taken = middle;
        } else {
            free = middle;
        }
    }
    Some(free)
}

/// Whether the short name alone says the long name, case included.
pub(super) fn says_all(short: &ShortName, name: &str) -> bool {
    plain(short) == name
}

/// A short name that was generated, as a text with its dot.
pub(super) fn plain(short: &ShortName) -> String {
    let trimmed = |part: &[u8]| String::from_utf8_lossy(part).trim_end().to_owned();
    let (base, extension) = (trimmed(&short[..BASE_BYTES]), trimmed(&short[BASE_BYTES..]));
    if extension.is_empty() {
        base
    } else {
        format!("{base}.{extension}")
    }
}

/// The short name that equals this long name in any case, if there is one: another file must not
/// get it.
pub(super) fn reserved_by(name: &str) -> Option<ShortName> {
    // Base, dot and extension; most long names are longer and need no closer look.
    if name.len() > BASE_BYTES + 1 + EXTENSION_BYTES {
        return None;
    }
    let basis = basis(name);
    basis.faithful.then(|| pad(&basis.base, &basis.extension))
}

fn basis(name: &str) -> Basis {
    let stripped: String = name.trim_start_matches(['.', ' ']).replace(' ', "");
    let (base_part, extension_part) = stripped.rsplit_once('.').unwrap_or((&stripped, ""));
    let base_end = base_part.find('.').unwrap_or(base_part.len());
    let (base, base_kept) = take_over(&base_part[..base_end], BASE_BYTES);
    let (extension, extension_kept) = take_over(extension_part, EXTENSION_BYTES);
    let faithful = base_kept
        && extension_kept
        && base_end == base_part.len()
        && stripped.len() == name.len()
        && !base.is_empty()
        && stripped.contains('.') != extension.is_empty();
    Basis {
        base,
        extension,
        faithful,
    }
}

/// At most `limit` characters in capitals, and whether they say all that was there.
fn take_over(part: &str, limit: usize) -> (Vec<u8>, bool) {
    let mut faithful = part.chars().count() <= limit;
    let bytes = part
        .chars()
        .take(limit)
        .map(|c| match u8::try_from(c.to_ascii_uppercase()) {
            Ok(byte) if is_short_character(byte) => byte,
            _ => {
                faithful = false;
                b'_'
            }
        });
    (bytes.collect(), faithful)
}

/// What a short name may contain, of ASCII.
fn is_short_character(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"$%'-_@~`!(){}^#&".contains(&byte)
}

fn with_tail(basis: &Basis, number: u32) -> ShortName {
    let tail = format!("~{number}");
    let kept = basis.base.len().min(BASE_BYTES - tail.len());
    let mut base = basis.base[..kept].to_vec();
    base.extend_from_slice(tail.as_bytes());
    pad(&base, &basis.extension)
}

fn pad(base: &[u8], extension: &[u8]) -> ShortName {
    let mut short = [b' '; BASE_BYTES + EXTENSION_BYTES];
    short[..base.len()].copy_from_slice(base);
    short[BASE_BYTES..BASE_BYTES + extension.len()].copy_from_slice(extension);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(name: &str, taken: &[&ShortName]) -> String {
        let taken = taken.iter().map(|short| **short).collect();
        let short = generate(name, &taken).unwrap();
        String::from_utf8(short.to_vec()).unwrap()
    }

    #[test]
    fn basis_and_tails() {
        assert_eq!(short("README.TXT", &[]), "README  TXT");
        assert_eq!(short("readme.txt", &[]), "README  TXT");
        assert_eq!(short("readme.txt", &[b"README  TXT"]), "README~1TXT");
        assert_eq!(short("prompt.response.txt", &[]), "PROMPT~1TXT");
        assert_eq!(
            short("prompt.response-2.txt", &[b"PROMPT~1TXT"]),
            "PROMPT~2TXT"
        );
        assert_eq!(short("a b.c d.e f g h", &[]), "AB~1    EFG");
        assert_eq!(short("[x]+y=z.html", &[]), "_X__Y_~1HTM");
        assert_eq!(short(".hidden", &[]), "HIDDEN~1   ");
        assert_eq!(short("日本語.txt", &[]), "___~1   TXT");
        assert_eq!(short("noextension", &[]), "NOEXTE~1   ");
        assert_eq!(short("ünder.txt", &[]), "_NDER~1 TXT");
        assert_eq!(short(" ", &[]), "~1         ");
    }

    #[test]
    fn tails_shorten_the_base() {
        let mut taken = HashSet::new();
        for _ in 0..1234 {
            assert!(taken.insert(generate("a long name.txt", &taken).unwrap()));
        }
        assert!(taken.contains(b"ALONGN~9TXT"));
        assert!(taken.contains(b"ALONG~10TXT"));
        assert!(taken.contains(b"ALO~1234TXT"));
    }

    #[test]
    fn a_free_number_is_found_wherever_it_is() {
        assert_eq!(free_number(MAX_TAIL, |_| false), Some(1));
        assert_eq!(free_number(MAX_TAIL, |number| number <= 9999), Some(10_000));
        assert_eq!(
            free_number(MAX_TAIL, |number| number != 777_777),
            Some(777_777)
        );
        assert_eq!(
            free_number(MAX_TAIL, |number| number != MAX_TAIL),
            Some(MAX_TAIL)
        );
        assert_eq!(free_number(MAX_TAIL, |_| true), None);
    }

    #[test]
    fn only_capitals_need_no_long_name() {
        assert!(says_all(b"README  TXT", "README.TXT"));
        assert!(!says_all(b"README  TXT", "Readme.txt"));
        assert_eq!(reserved_by("prompt~1.txt"), Some(*b"PROMPT~1TXT"));
        assert_eq!(reserved_by("prompt.response.txt"), None);
    }
}
