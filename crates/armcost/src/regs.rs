//! Sets of what an instruction reads and writes: core registers, flags, single-precision
//! registers. Used by the decoder and the pipeline.

/// A set, one bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Regs(pub u64);

/// How many bits of a [`Regs`] are in use.
pub const REGISTERS: usize = 64;

impl Regs {
    /// None.
    pub const NONE: Self = Self(0);
    /// N, Z, C and V.
    pub const FLAGS: Self = Self(1 << 16);
    /// The GE flags of the parallel additions.
    pub const GREATER: Self = Self(1 << 17);
    /// The flags of the floating-point unit.
    pub const FLOAT_FLAGS: Self = Self(1 << 18);

    /// A core register; the program counter is none, for it is always there.
    #[must_use]
    pub const fn core(number: u32) -> Self {
        match number {
            0..=14 => Self(1 << number),
            _ => Self::NONE,
        }
    }

    /// The core registers of a transfer's 16-bit list.
    #[must_use]
    pub const fn list(mask: u32) -> Self {
        Self((mask & 0x7fff) as u64)
    }

    /// S0 to S31.
    #[must_use]
    pub const fn single(number: u32) -> Self {
        Self(1 << (32 + (number & 31)))
    }

    /// D0 to D15: two of the former.
    #[must_use]
    pub const fn double(number: u32) -> Self {
        Self(3 << (32 + 2 * (number & 15)))
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The numbers of the bits, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let number = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (number < REGISTERS).then_some(number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_pairs_of_singles_and_the_program_counter_is_nothing() {
        assert_eq!(Regs::double(3), Regs::single(6).and(Regs::single(7)));
        assert_eq!(Regs::core(15), Regs::NONE);
        assert_eq!(Regs::list(0x8003).iter().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(Regs::single(31).iter().collect::<Vec<_>>(), [63]);
    }
}
