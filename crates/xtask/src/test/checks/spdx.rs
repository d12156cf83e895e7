//! Licence expressions, as far as crates use them: identifiers with AND, OR, WITH, brackets, and
//! the old `/` for OR (SPDX specification, annex D). Pure; used by `licences`.

use std::iter::Peekable;

/// Brackets nested more deeply than this are an error: no real expression comes near.
const DEPTH_LIMIT: u32 = 16;

/// Whether somebody who accepts the licences for which `allows` is true may use a package under
/// `expression`. One that cannot be understood is not satisfied.
pub fn is_satisfied(expression: &str, allows: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let satisfied = any_of(&mut words, allows, 0);
    satisfied == Some(true) && words.next().is_none()
}

/// `a OR b OR …`; `None` where the words make no expression.
fn any_of<'a>(
    words: &mut Peekable<impl Iterator<Item = &'a str>>,
    allows: &dyn Fn(&str) -> bool,
    depth: u32,
) -> Option<bool> {
    let mut satisfied = all_of(words, allows, depth)?;
    while words.next_if_eq(&"OR").is_some() {
        satisfied |= all_of(words, allows, depth)?;
    }
    Some(satisfied)
}

/// `a AND b AND …`, which binds more tightly than OR.
fn all_of<'a>(
    words: &mut Peekable<impl Iterator<Item = &'a str>>,
    allows: &dyn Fn(&str) -> bool,
    depth: u32,
) -> Option<bool> {
    let mut satisfied = one(words, allows, depth)?;
    while words.next_if_eq(&"AND").is_some() {
        satisfied &= one(words, allows, depth)?;
    }
    Some(satisfied)
}

/// An identifier, one `WITH` an exception (allowed only as the whole), or a bracket.
fn one<'a>(
    words: &mut Peekable<impl Iterator<Item = &'a str>>,
    allows: &dyn Fn(&str) -> bool,
    depth: u32,
) -> Option<bool> {
    let word = words.next()?;
    if word == "(" {
        if depth == DEPTH_LIMIT {
            return None;
        }
        let inside = any_of(words, allows, depth + 1);
        return words.next_if_eq(&")").and(inside);
    }
    if matches!(word, ")" | "OR" | "AND" | "WITH") {
        return None;
    }
    if words.next_if_eq(&"WITH").is_some() {
        let exception = words.next()?;
        return Some(allows(&format!("{word} WITH {exception}")));
    }
    Some(allows(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_mit_and_bsd(expression: &str) -> bool {
        is_satisfied(expression, &|id| {
            matches!(id, "MIT" | "BSD-3-Clause" | "X WITH Y")
        })
    }

    #[test]
    fn what_may_be_used() {
        for expression in [
            "MIT",
            "MIT OR Apache-2.0",
            "Apache-2.0/MIT",
            "(Apache-2.0 OR MIT) AND BSD-3-Clause",
            "GPL-3.0 AND GPL-2.0 OR MIT",
            "X WITH Y",
        ] {
            assert!(with_mit_and_bsd(expression), "{expression}");
        }
    }

    #[test]
    fn what_may_not_and_what_is_no_expression() {
        let deep = format!("{}MIT{}", "(".repeat(40), ")".repeat(40));
        for expression in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR GPL-3.0) AND GPL-3.0",
            "MIT WITH Y",
            "MIT OR",
            "(MIT",
            "MIT)",
            "AND MIT",
            "MIT MIT",
            &deep,
        ] {
            assert!(!with_mit_and_bsd(expression), "{expression}");
        }
    }
}
