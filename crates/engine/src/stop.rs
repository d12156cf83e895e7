//! Stop strings, found also where they cross the borders of tokens.
//!
//! Invariant: no byte of a stop string that is met is ever given out, and no text is held back
//! longer than it could still become one. Pure; used by [`crate::session`].

/// Watches a response for the first stop string.
#[derive(Debug, Clone)]
pub struct StopMatcher {
    stops: Vec<String>,
    /// The end of the text so far that may be the beginning of a stop string.
    held: String,
}

/// What may be given out after some more text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Text that is certainly part of the response; may be empty.
    pub text: String,
    /// A stop string was met: `text` is the last of the response.
    pub stopped: bool,
}

impl StopMatcher {
    /// Watches for any of `stops`; empty strings among them are ignored.
    #[must_use]
    pub fn new(stops: &[String]) -> Self {
        let stops = stops
            .iter()
            .filter(|stop| !stop.is_empty())
            .cloned()
            .collect();
        Self {
            stops,
            held: String::new(),
        }
    }

    /// Takes more text. After `stopped` the matcher is used up and gives out nothing.
    pub fn push(&mut self, text: &str) -> Checked {
        self.held.push_str(text);
        if let Some(at) = self.first_match() {
            self.held.truncate(at);
            self.stops.clear();
            return Checked {
                text: std::mem::take(&mut self.held),
                stopped: true,
            };
        }
        let keep_from = self.held.len() - self.possible_prefix_bytes();
        let rest = self.held.split_off(keep_from);
        Checked {
            text: std::mem::replace(&mut self.held, rest),
            stopped: false,
        }
    }

    /// The response ended otherwise: what was held back is part of it.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    fn first_match(&self) -> Option<usize> {
        self.stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()))
            .min()
    }

    /// Length of the longest end of `held` that is a proper beginning of a stop string.
    fn possible_prefix_bytes(&self) -> usize {
        let longest = |stop: &String| {
            (1..stop.len().min(self.held.len() + 1))
                .rev()
                .find(|&len| self.held.as_bytes().ends_with(&stop.as_bytes()[..len]))
        };
        self.stops.iter().filter_map(longest).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(ToString::to_string).collect();
        let mut matcher = StopMatcher::new(&stops);
        let mut out = String::new();
        for piece in pieces {
            let checked = matcher.push(piece);
            out.push_str(&checked.text);
            if checked.stopped {
                return (out, true);
            }
        }
        out.push_str(&matcher.finish());
        (out, false)
    }

    #[test]
    fn a_stop_string_across_tokens_is_met_and_not_given_out() {
        assert_eq!(
            run(&["END"], &["one E", "N", "D two"]),
            ("one ".into(), true)
        );
        assert_eq!(
            run(&["END"], &["one E", "N", "d two"]),
            ("one ENd two".into(), false)
        );
        assert_eq!(run(&["aab"], &["aa", "ab"]), ("a".into(), true));
        assert_eq!(
            run(&["\n\n"], &["x\n", "y\n", "\nz"]),
            ("x\ny".into(), true)
        );
    }

    #[test]
    fn the_earliest_of_several_wins() {
        assert_eq!(run(&["later", "b"], &["abc later"]), ("a".into(), true));
    }

    #[test]
    fn characters_are_never_cut() {
        assert_eq!(run(&["é!"], &["caf", "é", "?"]), ("café?".into(), false));
        assert_eq!(run(&["ée"], &["café", "è"]), ("caféè".into(), false));
    }

    #[test]
    fn nothing_is_held_back_without_need() {
        let mut matcher = StopMatcher::new(&["stop".into()]);
        assert_eq!(matcher.push("hello st").text, "hello ");
        assert_eq!(matcher.push("ay").text, "stay");
    }

    proptest! {
        /// However the text is split, the result is what a search over the whole text gives.
        #[test]
        fn splitting_makes_no_difference(
            text in "[abé]{0,40}",
            stop in "[abé]{1,4}",
            cuts in prop::collection::vec(0usize..40, 0..8),
        ) {
            let mut borders: Vec<usize> = cuts
                .into_iter()
                .filter(|&cut| cut <= text.len() && text.is_char_boundary(cut))
                .chain([0, text.len()])
                .collect();
            borders.sort_unstable();
            let pieces: Vec<&str> = borders.windows(2).map(|w| &text[w[0]..w[1]]).collect();
            let expected = text.find(&stop).map_or(text.as_str(), |at| &text[..at]);
            let (out, stopped) = run(&[&stop], &pieces);
            prop_assert_eq!(out, expected);
            prop_assert_eq!(stopped, text.contains(&stop));
        }
    }
}
