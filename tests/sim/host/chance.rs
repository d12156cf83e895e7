//! Draws that hosts and users make, from the history's one generator.

use volume::testing::Random;

/// A time from `least` to `most`, ms.
pub fn between(random: &mut Random, least: u64, most: u64) -> u64 {
    least + random.bits() % (most - least + 1)
}

/// True in so many of a hundred cases.
pub fn percent(random: &mut Random, cases: u64) -> bool {
    random.bits() % 100 < cases
}

/// One of them.
pub fn one_of<'a, T>(random: &mut Random, of: &'a [T]) -> Option<&'a T> {
    of.get(random.below(of.len()))
}
