//! The mask as runs of cells that some query of a part sees.
//!
//! llama.cpp rounds the number of cells up to a multiple of 256 and hides the rest; a sliding
//! window and the other sequences of a shared cache are hidden cells too. So most of a mask is a
//! few long runs. Found once for the same tokens: all heads share them.

use std::ops::Range;

use super::Attention;
use super::products::LANES;

/// -∞ as f16: the cell is hidden.
const HIDDEN: u16 = 0xFC00;

/// Cells in a row that are treated alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The first cell.
    pub first: usize,
    /// Cells, at least one.
    pub len: usize,
    /// Groups of scores before those of this run.
    group: usize,
    /// Whether the mask has anything but zeros here, for some token.
    pub biased: bool,
}

impl Run {
    /// Where its scores are, in groups of [`LANES`].
    pub fn groups(&self) -> Range<usize> {
        self.group..self.group + self.len.div_ceil(LANES)
    }
}

/// All runs for the queries of a part.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: Vec<Run>,
}

impl Clone for Runs {
    fn clone(&self) -> Self {
        Self {
            runs: self.runs.clone(),
        }
    }

    /// Keeps the memory.
    fn clone_from(&mut self, source: &Self) {
        self.runs.clone_from(&source.runs);
    }
}

impl Runs {
    /// Finds the runs of what at least one of the tokens sees.
    pub fn find(&mut self, what: &Attention<'_>, tokens: Range<usize>) {
        self.runs.clear();
        let Some((mask, stride)) = what.mask else {
            self.add(0, what.cells, false);
            return;
        };
        let row = |token: usize| &mask[token * stride..][..what.cells];
        let first = row(tokens.start);
        if tokens.len() == 1 {
            self.scan(what.cells, |cell| Class::of(first[cell]));
            return;
        }
        self.scan(what.cells, |cell| {
            let mut others = tokens
                .clone()
                .skip(1)
                .map(|token| mask[token * stride + cell]);
            if others.all(|other| other == first[cell]) {
                Class::of(first[cell])
            } else {
                Class::Biased
            }
        });
    }

    /// Groups of scores of all runs.
    pub fn groups(&self) -> usize {
        self.runs.last().map_or(0, |run| run.groups().end)
    }

    /// The runs, by cell.
    pub fn iter(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    fn scan(&mut self, cells: usize, class_of: impl Fn(usize) -> Class) {
        let mut first = 0;
        while first < cells {
            let class = class_of(first);
            let mut end = first + 1;
            while end < cells && class_of(end) == class {
                end += 1;
            }
            if class != Class::Hidden {
                self.add(first, end - first, class == Class::Biased);
            }
            first = end;
        }
    }

    fn add(&mut self, first: usize, len: usize, biased: bool) {
        if len > 0 {
            let group = self.groups();
            self.runs.push(Run {
                first,
                len,
                group,
                biased,
            });
        }
    }
}

/// What the mask says about a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Hidden,
    /// Seen, nothing to add.
    Clear,
    Biased,
}

impl Class {
    fn of(mask: u16) -> Self {
        match mask {
            HIDDEN => Self::Hidden,
            0 | 0x8000 => Self::Clear,
            _ => Self::Biased,
        }
    }
}

/// The exact value of an f16.
pub(super) fn f16_to_f32(half: u16) -> f32 {
    /// 2¹¹², what the exponents of f16 and f32 differ by.
    const REBIAS: f32 = f32::from_bits((127 + 112) << 23);
    let sign = u32::from(half & 0x8000) << 16;
    let magnitude = u32::from(half & 0x7FFF);
    if magnitude >= 0x7C00 {
        // Infinite or not a number.
        return f32::from_bits(sign | 0x7F80_0000 | (magnitude & 0x3FF) << 13);
    }
    if magnitude < 0x0400 {
        // Below 2⁻¹⁴: as an integer, because a denormal f32 may be flushed.
        /// 2⁻²⁴, the unit of an f16 denormal.
        const UNIT: f32 = f32::from_bits((127 - 24) << 23);
        #[expect(clippy::cast_precision_loss, reason = "below 1024")]
        let value = magnitude as f32 * UNIT;
        return f32::from_bits(sign | value.to_bits());
    }
    f32::from_bits(sign | (f32::from_bits(magnitude << 13) * REBIAS).to_bits())
}
