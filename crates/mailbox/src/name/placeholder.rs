//! Names that a file manager gives a new, still empty file before the user has named it.
//!
//! Windows, for one, creates `New Text Document.txt` on the volume and lets the user type the name
//! afterwards. Such a file is no question while it is empty, neither by content nor by name.

use super::fold;

/// The names, folded and without extension. From the "New" menus of Windows (in the languages whose
/// text we are sure of), GNOME, KDE, Xfce and macOS.
const PLACEHOLDERS: [&str; 20] = [
    "new text document",
    "neues textdokument",
    "nouveau document texte",
    "nuevo documento de texto",
    "nuovo documento di testo",
    "novo documento de texto",
    "nieuw tekstdocument",
    "nytt textdokument",
    "nowy dokument tekstowy",
    "новый текстовый документ",
    "新建 文本文档",
    "新建文本文档",
    "新しいテキスト ドキュメント",
    "untitled",
    "untitled document",
    "untitled file",
    "new file",
    "new empty file",
    "new document",
    "text file",
];

/// Whether `stem` (a name without extension) is such a name, with or without ` (2)` or ` 2`.
pub(super) fn is_placeholder(stem: &str) -> bool {
    let folded = fold(stem.trim());
    let counted = folded.trim_end_matches(|c: char| c.is_ascii_digit() || "() ".contains(c));
    PLACEHOLDERS.contains(&counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_them_with_and_without_a_number() {
        for stem in [
            "New Text Document",
            "New Text Document (2)",
            "untitled 3",
            "新建 文本文档",
        ] {
            assert!(is_placeholder(stem), "{stem}");
        }
        for stem in [
            "What is a new text document",
            "new",
            "untitled poem",
            "2",
            "",
        ] {
            assert!(!is_placeholder(stem), "{stem}");
        }
    }
}
