//! What was counted, and how it is written: JSON, an array with an object for each region, in the
//! order in which they were entered. `crates/xtask` reads it.

use std::collections::HashMap;

use serde::Serialize;

/// The version of the format; another one whenever a field changes its meaning.
pub const FORMAT: u32 = 1;

/// Counts of a block, a function or a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Instructions that were executed, those too whose condition did not hold.
    pub instructions: u64,
    /// Cycles of the core with all caches hit: pipeline and branches.
    pub core_cycles: u64,
    /// Those of them that wrong predictions and unpredicted branches cost.
    pub branch_cycles: u64,
    /// Loads, by word.
    pub loads: u64,
    /// Stores, by word.
    pub stores: u64,
    /// Loads that the second level served.
    pub load_second: u64,
    /// Loads that memory served.
    pub load_memory: u64,
    /// Lines that a prefetch brought from the second level.
    pub prefetch_second: u64,
    /// Lines that a prefetch brought from memory.
    pub prefetch_memory: u64,
    /// Lines of instructions from the second level.
    pub fetch_second: u64,
    /// Lines of instructions from memory.
    pub fetch_memory: u64,
    /// Stores to lines that are not in the first level.
    pub store_misses: u64,
    /// Prefetches whose address is not known, so that they are not modelled.
    pub unknown_prefetches: u64,
}

impl Counts {
    /// Adds all of another's.
    pub fn add(&mut self, other: &Self) {
        self.instructions += other.instructions;
        self.core_cycles += other.core_cycles;
        self.branch_cycles += other.branch_cycles;
        self.loads += other.loads;
        self.stores += other.stores;
        self.load_second += other.load_second;
        self.load_memory += other.load_memory;
        self.prefetch_second += other.prefetch_second;
        self.prefetch_memory += other.prefetch_memory;
        self.fetch_second += other.fetch_second;
        self.fetch_memory += other.fetch_memory;
        self.store_misses += other.store_misses;
        self.unknown_prefetches += other.unknown_prefetches;
    }
}

/// The counts of one function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Function {
    /// As in the symbol table; `?` for code that no symbol covers.
    pub symbol: String,
    /// Its own, without those that it calls.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What was counted from one mark to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Region {
    /// [`FORMAT`].
    pub format: u32,
    /// The mark's name.
    pub region: String,
    /// How many regions of this name came before.
    pub index: u32,
    /// All of it.
    #[serde(flatten)]
    pub counts: Counts,
    /// By function, the most cycles first.
    pub functions: Vec<Function>,
}

impl Region {
    /// Sums up what blocks counted, each under the name of its function.
    pub fn new(
        region: &str,
        index: u32,
        blocks: impl IntoIterator<Item = (String, Counts)>,
    ) -> Self {
        let mut all = Counts::default();
        let mut by_name: HashMap<String, Counts> = HashMap::new();
        for (name, counts) in blocks {
            all.add(&counts);
            by_name.entry(name).or_default().add(&counts);
        }
        let mut functions: Vec<_> = by_name
            .into_iter()
            .map(|(symbol, counts)| Function { symbol, counts })
            .collect();
        functions.sort_by(|a, b| {
            let cycles = b.counts.core_cycles.cmp(&a.counts.core_cycles);
            cycles.then_with(|| a.symbol.cmp(&b.symbol))
        });
        Self {
            format: FORMAT,
            region: region.to_owned(),
            index,
            counts: all,
            functions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_summed_by_function() {
        let counts = |core_cycles| Counts {
            core_cycles,
            loads: 1,
            ..Counts::default()
        };
        let blocks = [("a", 1), ("b", 5), ("a", 2)];
        let blocks = blocks.map(|(name, cycles)| (name.to_owned(), counts(cycles)));
        let region = Region::new("decode", 3, blocks);
        assert_eq!((region.counts.core_cycles, region.counts.loads), (8, 3));
        let names: Vec<_> = region
            .functions
            .iter()
            .map(|function| (function.symbol.as_str(), function.counts.core_cycles))
            .collect();
        assert_eq!(names, [("b", 5), ("a", 3)]);
        let json = serde_json::to_string(&region).expect("plain data");
        assert!(json.starts_with(r#"{"format":1,"region":"decode","index":3,"instructions":0"#));
    }
}
