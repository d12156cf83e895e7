//! Names made different by a number, as file managers write it. Pure.
//!
//! The number goes before the last two parts of a name, so that `poem.response.txt` becomes
//! `poem (2).response.txt` and is still a response's name by its form.

use crate::names::MAX_NAME_UNITS;

/// How many dots from the end the number goes before.
const KEPT_PARTS: usize = 2;

/// The name with a number; number 1 is the name itself.
pub(super) fn numbered(name: &str, number: u32) -> String {
    if number == 1 {
        return name.to_owned();
    }
    let end_at = name
        .rmatch_indices('.')
        .take(KEPT_PARTS)
        .last()
        .map_or(name.len(), |(at, _)| at);
    let (stem, end) = name.split_at(end_at);
    let mark = format!(" ({number})");
    let room_units = MAX_NAME_UNITS
        .saturating_sub(mark.len())
        .saturating_sub(end.encode_utf16().count());
    format!("{}{mark}{end}", shorten(stem, room_units))
}

/// The longest beginning of at most `limit_units` UTF-16 units, in whole characters.
fn shorten(stem: &str, limit_units: usize) -> &str {
    let mut units = 0;
    for (at, c) in stem.char_indices() {
        units += c.len_utf16();
        if units > limit_units {
            return stem.get(..at).unwrap_or(stem);
        }
    }
    stem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_goes_into_the_stem() {
        for (name, second) in [
            ("poem.response.txt", "poem (2).response.txt"),
            ("a.b.error-3.txt", "a.b (2).error-3.txt"),
            ("poem.txt", "poem (2).txt"),
            ("poem", "poem (2)"),
        ] {
            assert_eq!(numbered(name, 1), name);
            assert_eq!(numbered(name, 2), second);
        }
    }

    #[test]
    fn a_long_name_stays_within_what_fat_stores() {
        let name = format!("{}.response.txt", "\u{1F600}".repeat(121));
        assert_eq!(name.encode_utf16().count(), 255);
        let second = numbered(&name, 2);
        assert!(second.encode_utf16().count() <= MAX_NAME_UNITS);
        assert!(second.ends_with("\u{1F600} (2).response.txt"), "{second}");
    }
}
