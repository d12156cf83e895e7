//! Tokens of a made-up language, in as many as a real vocabulary has: specials, all bytes, and
//! words of letters in order. What any text becomes, and what any token says, is therefore text.

use crate::shape::{Shape, Tokenizer};

/// Numbers of special tokens.
pub(crate) const UNKNOWN: u32 = 0;
pub(crate) const BEGIN: u32 = 1;
pub(crate) const END: u32 = 2;
pub(crate) const END_OF_TURN: u32 = 4;

/// How many special tokens there are, from 0.
pub(crate) const SPECIALS: u32 = 5;

/// `enum llama_token_type` in llama.h.
mod kind {
    pub(super) const NORMAL: i32 = 1;
    pub(super) const UNKNOWN: i32 = 2;
    pub(super) const CONTROL: i32 = 3;
    pub(super) const BYTE: i32 = 6;
}

pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) kind: i32,
    /// For `SentencePiece`: higher is merged first.
    pub(crate) score: f32,
}

impl Token {
    fn new(text: impl Into<String>, kind: i32) -> Self {
        Self {
            text: text.into(),
            kind,
            score: 0.0,
        }
    }

    fn normal(text: impl Into<String>) -> Self {
        Self::new(text, kind::NORMAL)
    }
}

/// All tokens of a shape; none of them has any of the ASCII characters in `without`.
pub(crate) fn tokens(shape: &Shape, without: &str) -> Vec<Token> {
    let count = shape.vocabulary as usize;
    let mut tokens = specials();
    match shape.tokenizer {
        Tokenizer::Spm => tokens.extend(pieces()),
        Tokenizer::Gpt2 => tokens.extend(letters_of_bytes().chain(words()).map(Token::normal)),
    }
    tokens.truncate(count);
    while tokens.len() < count {
        tokens.push(Token::normal(format!("word{}", tokens.len())));
    }
    for (number, token) in tokens.iter_mut().enumerate().skip(SPECIALS as usize) {
        token.score = -(number as f32);
    }
    leave_out(&mut tokens, without);
    tokens
}

fn specials() -> Vec<Token> {
    vec![
        Token::new("<unk>", kind::UNKNOWN),
        Token::new("<s>", kind::CONTROL),
        Token::new("</s>", kind::CONTROL),
        Token::new("<|im_start|>", kind::CONTROL),
        Token::new("<|im_end|>", kind::CONTROL),
    ]
}

/// Bytes, printable ASCII, and some that are words, other scripts or pieces of JSON.
fn pieces() -> impl Iterator<Item = Token> {
    const OTHERS: [&str; 12] = [
        "▁", "▁the", "▁a", "é", "▁é", "你", "🦀", "\",", "\":", "{\"", "[[", "\"}",
    ];
    let bytes = (0..=u8::MAX).map(|byte| Token::new(format!("<0x{byte:02X}>"), kind::BYTE));
    let ascii = (b'!'..=b'~').map(|byte| Token::normal(char::from(byte)));
    bytes.chain(ascii).chain(OTHERS.map(Token::normal))
}

/// The letter that stands for each byte in byte-level BPE (`bytes_to_unicode` of GPT-2's
/// `encoder.py`): itself where it is printable, else the next from U+0100 on.
fn letters_of_bytes() -> impl Iterator<Item = String> {
    let mut others = '\u{100}'..;
    (0..=u8::MAX).map(move |byte| match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte).to_string(),
        _ => others.next().map(String::from).unwrap_or_default(),
    })
}

/// `aa`, `ab` … `zz`, `aaa` …: each is an earlier one and a letter.
fn words() -> impl Iterator<Item = String> {
    const LETTERS: usize = 26;
    const SHORTEST: u32 = 2;
    const LONGEST: u32 = 4;
    (SHORTEST..=LONGEST).flat_map(|length| {
        (0..LETTERS.pow(length)).map(move |number| {
            let letter = |place| b'a' + (number / LETTERS.pow(place) % LETTERS) as u8;
            let letters = (0..length).rev().map(|place| char::from(letter(place)));
            letters.collect()
        })
    })
}

/// How each of the [`words`] is made of two tokens.
pub(crate) fn merges(tokens: &[Token]) -> Vec<String> {
    let is_word = |text: &str| text.len() > 1 && text.bytes().all(|b| b.is_ascii_lowercase());
    let words = tokens.iter().filter(|token| is_word(&token.text));
    words
        .map(|token| token.text.split_at(token.text.len() - 1))
        .map(|(start, letter)| format!("{start} {letter}"))
        .collect()
}

/// Puts other texts in the place of all tokens with one of these characters.
fn leave_out(tokens: &mut [Token], characters: &str) {
    for (number, token) in tokens.iter_mut().enumerate() {
        let has = |c: char| token.text.contains(c) || token.text == format!("<0x{:02X}>", c as u32);
        if characters.chars().any(has) {
            token.text = format!("gone{number}");
            token.kind = kind::NORMAL;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn as_many_as_asked_for_and_no_two_alike() {
        for (name, shape) in Shape::NAMED {
            let tokens = tokens(&shape, "");
            let texts: HashSet<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
            assert_eq!(tokens.len(), shape.vocabulary as usize, "{name}");
            assert_eq!(texts.len(), tokens.len(), "{name}");
        }
    }

    #[test]
    fn each_merge_makes_a_token_of_tokens() {
        let tokens = tokens(&Shape::smollm2_135m(), "");
        let texts: HashSet<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
        let merges = merges(&tokens);
        assert!(merges.len() > 48_000, "{}", merges.len());
        for merge in &merges {
            let (start, letter) = merge.split_once(' ').expect("two parts");
            let made = format!("{start}{letter}");
            for text in [start, letter, &made] {
                assert!(texts.contains(text), "{merge}: {text}");
            }
        }
    }

    #[test]
    fn characters_can_be_left_out() {
        let with = |tokens: &[Token]| tokens.iter().any(|token| token.text.contains('"'));
        assert!(with(&tokens(&Shape::tiny(), "")));
        let left = tokens(&Shape::tiny(), "\"");
        assert!(!with(&left) && left.iter().all(|token| token.text != "<0x22>"));
    }
}
