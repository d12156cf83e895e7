//! What is counted while the program runs, and where it stands. See [`super`] for who calls.

use std::cell::Cell;
use std::collections::HashMap;

use crate::block::Code;
use crate::cache::{Caches, Found, line_of};
use crate::insn::Branch;
use crate::predict::{Executed, Predictor};
use crate::report::{Counts, Region};

/// The region of what comes before the first mark.
const START: &str = "start";
/// The mark that begins no region.
const END: &str = "end";

/// A translated block with its counts, which only the watch changes, in the guest's first thread.
pub struct Watched {
    pub code: Code,
    function: String,
    mark: Option<String>,
    branch: Option<(u32, Branch)>,
    lines: (u32, u32),
    unknown_prefetches: Cell<u32>,
    executions: Cell<u64>,
    counts: Cell<Counts>,
    /// What it costs after the two blocks that it followed lately.
    after: Cell<[(usize, u32); 2]>,
    is_listed: Cell<bool>,
}

/// An instruction that loads or stores.
pub struct Site {
    pub block: &'static Watched,
    /// How far from its address lines are prefetched.
    pub prefetches: Box<[i32]>,
}

impl Watched {
    pub fn new(code: Code, function: &str, mark: Option<&str>) -> Self {
        Self {
            branch: code.branch(),
            lines: code.lines(),
            code,
            function: function.to_owned(),
            mark: mark.map(str::to_owned),
            unknown_prefetches: Cell::new(0),
            executions: Cell::new(0),
            counts: Cell::default(),
            after: Cell::new([(0, 0); 2]),
            is_listed: Cell::new(false),
        }
    }

    pub fn add_unknown_prefetches(&self, count: u32) {
        self.unknown_prefetches
            .set(self.unknown_prefetches.get() + count);
    }

    /// What tells blocks apart; never 0.
    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    #[inline]
    fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    /// The counts since the last time; they begin again at 0.
    fn take(&self) -> Counts {
        let mut counts = self.counts.take();
        let executions = self.executions.take();
        counts.instructions = executions * self.code.insns.len() as u64;
        counts.unknown_prefetches = executions * u64::from(self.unknown_prefetches.get());
        counts
    }
}

/// See the module.
#[derive(Default)]
pub struct Watch {
    region: Option<String>,
    before: Option<&'static Watched>,
    /// The blocks that were executed in a region.
    blocks: Vec<&'static Watched>,
    caches: Caches,
    predictor: Predictor,
    /// Costs that found no room in [`Watched::after`].
    costs: HashMap<(usize, usize), u32>,
    regions: Vec<Region>,
}

impl Watch {
    pub fn new(counts_from_start: bool) -> Self {
        Self {
            region: counts_from_start.then(|| START.to_owned()),
            ..Self::default()
        }
    }

    #[inline]
    pub fn is_counting(&self) -> bool {
        self.region.is_some()
    }

    #[inline]
    pub fn executed(&mut self, block: &'static Watched) {
        if let Some(mark) = &block.mark {
            self.cut();
            self.region = (mark != END).then(|| mark.clone());
        }
        if !self.is_counting() {
            return;
        }
        if !block.is_listed.replace(true) {
            self.blocks.push(block);
        }
        block.executions.set(block.executions.get() + 1);
        let penalty = match self.before.and_then(|before| before.branch) {
            None => 0,
            Some((at, branch)) => self.predictor.execute(Executed {
                at,
                branch,
                next: block.code.at,
            }),
        };
        if let (Some(before), true) = (self.before, penalty != 0) {
            before.count(|counts| {
                counts.core_cycles += u64::from(penalty);
                counts.branch_cycles += u64::from(penalty);
            });
        }
        let cycles = self.cost(block);
        block.count(|counts| counts.core_cycles += u64::from(cycles));
        self.fetch(block);
        self.before = Some(block);
    }

    fn cost(&mut self, block: &'static Watched) -> u32 {
        let key = self.before.map_or(0, Watched::key);
        let [first, second] = block.after.get();
        // A cost of 0 is none: the slot is empty.
        if first.0 == key && first.1 != 0 {
            return first.1;
        }
        if second.0 == key && second.1 != 0 {
            block.after.set([second, first]);
            return second.1;
        }
        let before = self.before;
        let work_out = || block.code.cycles_after(before.map(|before| &before.code));
        let cost = *self
            .costs
            .entry((key, block.key()))
            .or_insert_with(work_out);
        block.after.set([(key, cost), first]);
        cost
    }

    fn fetch(&mut self, block: &'static Watched) {
        if self
            .before
            .is_some_and(|before| before.key() == block.key())
        {
            return;
        }
        let (first, last) = block.lines;
        for line in first..=last {
            match self.caches.fetch(line) {
                Found::First => {}
                Found::Second => block.count(|counts| counts.fetch_second += 1),
                Found::Memory => block.count(|counts| counts.fetch_memory += 1),
            }
        }
    }

    #[inline]
    pub fn accessed(&mut self, site: &'static Site, address: u32, is_store: bool) {
        let line = line_of(address);
        let block = site.block;
        if is_store {
            let misses = u64::from(!self.caches.write(line));
            block.count(|counts| {
                counts.stores += 1;
                counts.store_misses += misses;
            });
        } else {
            let found = self.caches.read(line);
            block.count(|counts| {
                counts.loads += 1;
                match found {
                    Found::First => {}
                    Found::Second => counts.load_second += 1,
                    Found::Memory => counts.load_memory += 1,
                }
            });
        }
        for &distance in &site.prefetches {
            let found = self
                .caches
                .read(line_of(address.wrapping_add_signed(distance)));
            match found {
                Found::First => {}
                Found::Second => block.count(|counts| counts.prefetch_second += 1),
                Found::Memory => block.count(|counts| counts.prefetch_memory += 1),
            }
        }
    }

    /// Ends the region, if there is one.
    fn cut(&mut self) {
        let Some(region) = self.region.take() else {
            return;
        };
        let same = self.regions.iter().filter(|known| known.region == region);
        let index = u32::try_from(same.count()).unwrap_or(u32::MAX);
        let blocks = self.blocks.drain(..).map(|block| {
            block.is_listed.set(false);
            (block.function.clone(), block.take())
        });
        self.regions.push(Region::new(&region, index, blocks));
    }

    /// All regions, when the program has ended.
    pub fn finish(&mut self) -> &[Region] {
        self.cut();
        &self.regions
    }
}
