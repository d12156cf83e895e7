//! Which legacy encoding some bytes are in that are neither ASCII, UTF-8 nor UTF-16.
//!
//! `chardetng` (the detector of Firefox) decides. It knows letters in words well, but a text with
//! one or two bytes above 0x7F can be too little for it: `£5` alone becomes `Ł5`. For such texts a
//! reading as windows-1252 that makes sense is preferred to anything rarer.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, WINDOWS_1250, WINDOWS_1252, WINDOWS_1254, WINDOWS_1257, WINDOWS_1258};

/// Letters above 0x7F that are too few to speak for a rare encoding.
const SCARCE_MAX: usize = 2;

/// The other Windows encodings of Latin letters: believed if a *letter* speaks for them.
const OTHER_LATIN: [&Encoding; 4] = [WINDOWS_1250, WINDOWS_1254, WINDOWS_1257, WINDOWS_1258];

/// Signs of windows-1252 that Western texts hold beside words.
const SIGNS: &str = "£€§©®°¿¡«»“”„‚‹›·•…½¼¾\u{a0}";

/// Signs that may stand within a word too.
const JOINING: &str = "’‘–—\u{a0}";

/// The encoding of `bytes`, which hold at least one byte above 0x7F.
pub(super) fn detect(bytes: &[u8]) -> &'static Encoding {
    // ISO-2022-JP is pure ASCII with escapes, so it never comes here.
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    let guess = detector.guess(None, Utf8Detection::Deny);
    match western(bytes) {
        Some(Western { letters: 0 }) => WINDOWS_1252,
        Some(_) if !OTHER_LATIN.contains(&guess) => WINDOWS_1252,
        _ => guess,
    }
}

/// A reading as windows-1252 that makes sense, in a text with few letters above 0x7F.
struct Western {
    letters: usize,
}

fn western(bytes: &[u8]) -> Option<Western> {
    let (text, _) = WINDOWS_1252.decode_without_bom_handling(bytes);
    let mut letters = 0;
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let after = rest.peek().copied().unwrap_or(' ');
        if !c.is_ascii() {
            let within = before.is_alphanumeric() && after.is_alphabetic();
            let sensible = (SIGNS.contains(c) && !within) || JOINING.contains(c);
            let letter = c.is_alphabetic() && !"ªºƒµ".contains(c) && before.is_ascii();
            if !sensible && !letter {
                return None;
            }
            letters += usize::from(letter);
        }
        before = c;
    }
    (letters <= SCARCE_MAX).then_some(Western { letters })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str, label: &str) -> String {
        let encoding = Encoding::for_label(label.as_bytes()).unwrap();
        let (bytes, _, unmappable) = encoding.encode(text);
        assert!(!unmappable, "{text} in {label}");
        detect(&bytes)
            .decode_without_bom_handling(&bytes)
            .0
            .into_owned()
    }

    #[test]
    fn short_western_texts_stay_western() {
        for text in [
            "café",
            "naïve",
            "Wie heißt die Hauptstadt von Österreich?",
            "Über",
            "Où",
            "ça va",
            "Que é isto?",
            "¿Qué es esto?",
            "Größe",
            "Hvad er det på dansk? Æble",
            "¡Hola!",
            "“Hello” – it’s",
            "It’s",
            "price: 5 €",
            "£5",
            "20 °C",
            "§ 5",
            "mañana",
            "«Bonjour»",
            "coração não",
            "À bientôt",
            "Señor",
            "Þetta",
            "ñ",
            "é",
            "½ cup",
            "Straße",
            "Kääntäjä",
            "Résumé: élève, œuvre, Noël",
            "Schöne Grüße",
            "año",
            "x² + y²",
            "© 2024",
            "ÄÖÜ",
            "Crème brûlée",
            "déjà vu",
            "São Paulo",
            "Ångström",
            "hôtel",
            "10 €–20 €",
            "créée",
        ] {
            assert_eq!(decoded(text, "windows-1252"), text);
        }
    }

    #[test]
    fn other_languages_are_detected() {
        for (label, text) in [
            ("windows-1250", "Cześć"),
            ("windows-1250", "Jak go używać?"),
            ("windows-1250", "Příliš žluťoučký kůň"),
            ("windows-1251", "Привет"),
            ("windows-1251", "Что это такое?"),
            ("koi8-r", "Что это такое?"),
            ("windows-1253", "Τι είναι αυτό;"),
            ("windows-1254", "Bu nedir? Nasıl kullanılır?"),
            ("windows-1255", "מה זה?"),
            ("windows-874", "นี่คืออะไร"),
            ("shift_jis", "これは何ですか"),
            ("euc-jp", "これは何ですか"),
            ("gbk", "这是什么？"),
            ("big5", "這是什麼？"),
            ("euc-kr", "이것은 무엇입니까?"),
        ] {
            assert_eq!(decoded(text, label), text, "{label}");
        }
    }
}
