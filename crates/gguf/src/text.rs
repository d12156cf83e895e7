//! Text out of files and libraries that strangers made, in messages of our own.

/// Longest piece of foreign text (a log line, a name out of a file) that a message carries.
pub const MAX_FOREIGN_TEXT_CHARS: usize = 200;

/// Makes foreign text safe to show: one line, no control characters, bounded length.
#[must_use]
pub fn foreign_text(text: &str) -> String {
    let clean: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_FOREIGN_TEXT_CHARS)
        .collect();
    clean.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_one_bounded_line() {
        let hostile = format!("a\n\u{1b}[31m{}", "x".repeat(1000));
        let clean = foreign_text(&hostile);
        assert_eq!(clean.chars().count(), MAX_FOREIGN_TEXT_CHARS);
        assert!(!clean.chars().any(char::is_control));
    }
}
