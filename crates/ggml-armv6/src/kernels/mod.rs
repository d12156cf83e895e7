//! Packed matrices times coefficients: the loops that nearly all of a token's time goes into.
//!
//! A kernel takes one vector, or a tile of four, and computes all rows. The assembly is for the
//! ARM1176; [`portable`] does the same to the last bit of every integer, on any processor, and is
//! what the assembly is tested against. Used by [`crate::matrix`].

#[cfg(armv6_kernels)]
mod arm;
pub mod portable;

use crate::activations::{TILE, block_pairs};
use crate::pack::{GROUP_ROWS, Layout};

/// One product: a matrix, the coefficients of one vector or a tile, and where the sums go.
#[derive(Debug)]
pub struct Product<'a> {
    layout: Layout,
    packed: &'a [u8],
    coefficients: &'a [u64],
    /// What one integer step of each vector stands for.
    step: [f32; TILE],
}

impl<'a> Product<'a> {
    /// Puts a product together.
    ///
    /// # Panics
    /// Where the lengths do not belong together, or the matrix does not begin at a multiple of 8:
    /// the assembly relies on it.
    #[must_use]
    pub fn new(
        layout: Layout,
        packed: &'a [u8],
        coefficients: &'a [u64],
        step: [f32; TILE],
    ) -> Self {
        assert!(packed.len() == layout.bytes() && packed.as_ptr().addr().is_multiple_of(8));
        let one = layout.blocks() * block_pairs(layout.format());
        assert!(coefficients.len() == one || coefficients.len() == one * TILE);
        Self {
            layout,
            packed,
            coefficients,
            step,
        }
    }

    /// Whether it is a tile's.
    #[must_use]
    pub fn is_tile(&self) -> bool {
        self.coefficients.len() > self.layout.blocks() * block_pairs(self.layout.format())
    }

    /// Floats that the result has: for each group of rows 4, or 16 in a tile (row by row, the four
    /// vectors of a row together).
    #[must_use]
    pub fn results(&self) -> usize {
        let each = if self.is_tile() {
            GROUP_ROWS * TILE
        } else {
            GROUP_ROWS
        };
        self.layout.groups() * each
    }

    /// Computes it with the fastest kernel that this processor has.
    ///
    /// # Panics
    /// Where `out` has not as many floats as [`Self::results`] says.
    pub fn compute(&self, out: &mut [f32]) {
        #[cfg(armv6_kernels)]
        arm::compute(self, out);
        #[cfg(not(armv6_kernels))]
        portable::compute(self, out);
    }
}

#[cfg(test)]
pub(crate) mod tests;
