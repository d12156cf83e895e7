//! When two names are the same name.
//!
//! FAT hosts compare names without case: Windows by a table of single upper-case units, Linux and
//! macOS in ways of their own. Here each character is replaced by its one-character upper-case
//! form and that by its one-character lower-case form, where there is one. This joins at least
//! what those hosts join, which is the safe side for "never reuse a name".

/// `name` in the form in which names are compared.
pub fn fold(name: &str) -> String {
    name.chars().map(|c| lower(upper(c))).collect()
}

fn upper(c: char) -> char {
    single(c.to_uppercase()).unwrap_or(c)
}

fn lower(c: char) -> char {
    single(c.to_lowercase()).unwrap_or(c)
}

/// The only item of `chars`; simple case folding keeps what would become longer (`ß`, `İ`).
fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_what_fat_hosts_join() {
        for (a, b) in [
            ("Hello.TXT", "hello.txt"),
            ("ÄÖÜ", "äöü"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("ПРИВЕТ", "привет"),
            ("Ǆ", "ǆ"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} and {b}");
        }
    }

    #[test]
    fn keeps_apart_what_is_different_and_what_has_no_case() {
        assert_ne!(fold("a"), fold("ä"));
        assert_ne!(fold("ß"), fold("ss"));
        for name in ["質問", "😀", "ß", "İ"] {
            assert_eq!(fold(name), name);
        }
    }
}
