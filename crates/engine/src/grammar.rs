//! `json` responses: a grammar for one JSON value in GBNF (llama.cpp's notation), and a tracker
//! that knows when the value is complete, so that no token is spent on finding that out.
//!
//! The grammar is narrower than RFC 8259, so that what it lets through is always taken by strict
//! parsers and always ends: nesting at most [`MAX_DEPTH`], white space only where it is short,
//! numbers that fit a double, no lone surrogates in escapes. It knows characters only; bytes that
//! are not UTF-8 are kept out by [`crate::utf8::Utf8Decoder::accepts`].

use std::fmt::Write as _;

/// Deepest nesting of objects and arrays. Parsers have a limit of their own (`serde_json`: 128).
pub const MAX_DEPTH: usize = 16;

/// Name of the start rule.
pub const ROOT: &str = "root";

const LEAVES: &str = r#"
string ::= "\"" char* "\""
char ::= [^"\\\x00-\x1F\x7F] | "\\" ( ["\\/bfnrt] | "u" unit )
unit ::= [0-9a-cA-Ce-fE-F] hex hex hex | [dD] [0-7] hex hex
hex ::= [0-9a-fA-F]
number ::= "-"? ( "0" | [1-9] [0-9]{0,14} ) ( "." [0-9]{1,14} )? ( [eE] [-+]? [0-9]{1,2} )?
leaf ::= string | number | "true" | "false" | "null"
ws ::= | " " | "\n" " "{0,16}
"#;

/// The grammar, one rule for each level of nesting.
#[must_use]
pub fn json() -> String {
    let mut grammar = format!("{ROOT} ::= value0\n");
    for depth in 0..MAX_DEPTH {
        let inner = depth + 1;
        // Writing to a String cannot fail.
        let _ = writeln!(
            grammar,
            "value{depth} ::= leaf | object{depth} | array{depth}"
        );
        let _ = writeln!(grammar, "pair{depth} ::= string \":\" ws value{inner}");
        let _ = writeln!(
            grammar,
            "object{depth} ::= \"{{\" ws ( pair{depth} ( ws \",\" ws pair{depth} )* ws )? \"}}\""
        );
        let _ = writeln!(
            grammar,
            "array{depth} ::= \"[\" ws ( value{inner} ( ws \",\" ws value{inner} )* ws )? \"]\""
        );
    }
    let _ = writeln!(grammar, "value{MAX_DEPTH} ::= leaf");
    grammar + LEAVES
}

/// Follows a JSON text that the grammar keeps valid.
#[derive(Debug, Clone, Default)]
pub struct JsonTracker {
    depth: usize,
    in_string: bool,
    escaped: bool,
    complete: bool,
}

impl JsonTracker {
    /// Takes more text.
    pub fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            self.step(byte);
        }
    }

    /// Whether an object, array or string at the top has been closed. A bare number or word is
    /// never known to be complete: the model ends it.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    fn step(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.in_string = false;
                    self.complete |= self.depth == 0;
                }
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.complete |= self.depth == 0;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completion_is_seen_at_the_last_byte() {
        for value in [r#"{"a":"}"}"#, r#"["\\",{"b":[]}]"#, r#""x\"y""#, "[]"] {
            let mut tracker = JsonTracker::default();
            let (head, last) = value.split_at(value.len() - 1);
            tracker.push(head);
            assert!(!tracker.is_complete(), "{value}");
            tracker.push(last);
            assert!(tracker.is_complete(), "{value}");
        }
        let mut tracker = JsonTracker::default();
        tracker.push("12.5");
        assert!(!tracker.is_complete());
    }

    #[test]
    fn every_rule_that_is_used_is_defined_once() {
        let grammar = json();
        let defined: Vec<&str> = grammar
            .lines()
            .filter_map(|line| line.split_once(" ::= "))
            .map(|(n, _)| n)
            .collect();
        let mut unique = defined.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), defined.len());
        for depth in 0..=MAX_DEPTH {
            assert!(defined.contains(&format!("value{depth}").as_str()));
        }
    }
}
