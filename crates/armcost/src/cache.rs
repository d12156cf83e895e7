//! The caches: two of the first level, one of the second, all with lines of 32 bytes. Tags only.
//!
//! - First level (ARM1176, DDI 0301H): 16 KB for data and as much for instructions, 4 ways,
//!   pseudo-random replacement, no allocation by a write.
//! - Second level (BCM2835): 128 KB, 4 ways, as a Broadcom engineer said on the Raspberry Pi forum
//!   (quoted in the `VideoCore` IV wiki of Herman Hermitage). Replacement, length of a line and
//!   allocation are not documented; here as the first level's, but for writes, which allocate.
//!   On the board the graphics share it.
//!
//! Writes that miss cost nothing: a write buffer takes them. Dirty lines that are written back are
//! not modelled. Used by the edge to QEMU.

/// Of every cache here.
pub const LINE_BYTES: u32 = 32;
const LINE_SHIFT: u32 = LINE_BYTES.trailing_zeros();
const WAYS: u32 = 4;
const FIRST_LEVEL_BYTES: u32 = 16 << 10;
const SECOND_LEVEL_BYTES: u32 = 128 << 10;
/// In the place of a line's number.
const EMPTY: u32 = u32::MAX;

/// The number of the line that an address is in.
#[must_use]
pub const fn line_of(address: u32) -> u32 {
    address >> LINE_SHIFT
}

/// One cache.
#[derive(Debug, Clone)]
struct Cache {
    sets: Vec<[u32; WAYS as usize]>,
    mask: u32,
    random: u32,
}

impl Cache {
    fn new(bytes: u32) -> Self {
        let sets = bytes / LINE_BYTES / WAYS;
        Self {
            sets: vec![[EMPTY; WAYS as usize]; sets as usize],
            mask: sets - 1,
            random: 1,
        }
    }

    #[inline]
    fn has(&self, line: u32) -> bool {
        self.sets[(line & self.mask) as usize].contains(&line)
    }

    fn fill(&mut self, line: u32) {
        let set = &mut self.sets[(line & self.mask) as usize];
        let way = set.iter().position(|&held| held == EMPTY);
        let way = way.unwrap_or_else(|| {
            // xorshift32 (Marsaglia 2003): the same choices in each run.
            self.random ^= self.random << 13;
            self.random ^= self.random >> 17;
            self.random ^= self.random << 5;
            (self.random % WAYS) as usize
        });
        set[way] = line;
    }
}

/// Where a line was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// In the first level: no cost.
    First,
    /// In the second.
    Second,
    /// In memory.
    Memory,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Caches {
    data: Cache,
    code: Cache,
    second: Cache,
    /// The last line read: most accesses are to the line of the one before.
    last: u32,
}

impl Default for Caches {
    fn default() -> Self {
        Self {
            data: Cache::new(FIRST_LEVEL_BYTES),
            code: Cache::new(FIRST_LEVEL_BYTES),
            second: Cache::new(SECOND_LEVEL_BYTES),
            last: EMPTY,
        }
    }
}

impl Caches {
    /// A load, or a prefetch, which does the same to the caches.
    #[inline]
    pub fn read(&mut self, line: u32) -> Found {
        if line == self.last {
            return Found::First;
        }
        self.last = line;
        if self.data.has(line) {
            return Found::First;
        }
        self.data.fill(line);
        self.look_further(line)
    }

    /// A store; whether the first level has the line.
    #[inline]
    pub fn write(&mut self, line: u32) -> bool {
        if line == self.last || self.data.has(line) {
            return true;
        }
        self.look_further(line);
        false
    }

    /// Instructions of one line.
    #[inline]
    pub fn fetch(&mut self, line: u32) -> Found {
        if self.code.has(line) {
            return Found::First;
        }
        self.code.fill(line);
        self.look_further(line)
    }

    fn look_further(&mut self, line: u32) -> Found {
        if self.second.has(line) {
            return Found::Second;
        }
        self.second.fill(line);
        Found::Memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads so many bytes from 0 on, twice; what the second time found.
    fn again(bytes: u32) -> [usize; 3] {
        let mut caches = Caches::default();
        let lines = 0..bytes / LINE_BYTES;
        let first = lines
            .clone()
            .filter(|&line| caches.read(line) != Found::Memory);
        assert_eq!(first.count(), 0);
        let mut counts = [0; 3];
        for line in lines {
            counts[caches.read(line) as usize] += 1;
        }
        counts
    }

    #[test]
    fn what_fits_stays() {
        assert_eq!(again(16 << 10), [512, 0, 0]);
        let [first, second, memory] = again(64 << 10);
        assert_eq!(memory, 0);
        assert!(second > 9 * first, "{first} {second}");
        // Of a stream of a megabyte hardly anything is left.
        let [_, second, memory] = again(1 << 20);
        assert!(second * 20 < memory, "{second} {memory}");
    }

    #[test]
    fn a_write_that_misses_leaves_the_first_level_alone() {
        let mut caches = Caches::default();
        assert!(!caches.write(7));
        assert_eq!(caches.read(7), Found::Second);
        assert!(caches.write(7));
        assert_eq!(caches.read(7), Found::First);
    }

    #[test]
    fn code_and_data_share_the_second_level_only() {
        let mut caches = Caches::default();
        assert_eq!(caches.fetch(7), Found::Memory);
        assert_eq!(caches.read(7), Found::Second);
        assert_eq!(caches.fetch(7), Found::First);
        assert_eq!(line_of(64), 2);
    }
}
