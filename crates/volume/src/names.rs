//! Names: which are allowed, and when two are the same.
//!
//! Pure. Rules: specification, "FAT Long Directory Entries". Used by listing and by edits.

use crate::error::BadName;

/// Most UTF-16 units of a name.
pub const MAX_NAME_UNITS: usize = 255;
/// Most parts of a path. Windows stops at 260 characters, so at 130 parts.
pub const MAX_PATH_DEPTH: usize = 130;

/// Whether no name may contain this character.
pub(crate) fn is_forbidden(c: char) -> bool {
    // U+FFFF is the padding after a long name.
    c < ' '
        || matches!(
            c,
            '"' | '*' | '/' | ':' | '<' | '>' | '?' | '\\' | '|' | '\u{FFFF}'
        )
}

/// Whether a long name found on a volume is shown; the short name stands in for any other.
pub(crate) fn can_be_shown(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(is_forbidden)
}

/// Checks a name that is to be written.
pub(crate) fn check(name: &str) -> Result<(), BadName> {
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    if name.encode_utf16().count() > MAX_NAME_UNITS {
        return Err(BadName::TooLong);
    }
    if let Some(c) = name.chars().find(|c| is_forbidden(*c)) {
        return Err(BadName::Character(c));
    }
    // Windows drops dots and spaces at the end before it looks a name up.
    if name.ends_with(['.', ' ']) {
        Err(BadName::Ending)
    } else {
        Ok(())
    }
}

/// The form in which two names that FAT takes for the same are equal: each character in capitals
/// where Unicode has one capital for it. Hosts differ for a few characters outside ASCII; this
/// takes more names for the same than any of them, which is the safe side for a name to create.
pub(crate) fn fold(name: &str) -> String {
    name.chars().map(upper).collect()
}

/// Whether a name folds to `folded`, without making a string of it.
pub(crate) fn folds_to(name: &str, folded: &str) -> bool {
    name.chars().map(upper).eq(folded.chars())
}

fn upper(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_uppercase();
    }
    let mut capitals = c.to_uppercase();
    match (capitals.next(), capitals.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fat_forbids() {
        assert_eq!(check(""), Err(BadName::Empty));
        assert_eq!(check("a?"), Err(BadName::Character('?')));
        assert_eq!(check("tab\t"), Err(BadName::Character('\t')));
        assert_eq!(check("dot."), Err(BadName::Ending));
        assert_eq!(check(".."), Err(BadName::Ending));
        assert_eq!(check(&"\u{1F600}".repeat(128)), Err(BadName::TooLong));
        assert_eq!(check(&"\u{1F600}".repeat(127)), Ok(()));
        assert_eq!(check(" leading space + [x].txt"), Ok(()));
    }

    #[test]
    fn case_does_not_distinguish() {
        assert_eq!(fold("Größe.Txt"), fold("gRÖßE.tXT"));
        assert_ne!(fold("a"), fold("b"));
    }
}
