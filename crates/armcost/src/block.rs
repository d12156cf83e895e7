//! A block of instructions as QEMU translates it: straight code up to a branch. What it takes is
//! worked out once for each block that it follows, with the pipeline in the state in which that
//! one, started with everything ready, leaves it. So latencies reach over one border of blocks and
//! no further; a loop of one block is costed as one that goes round. Used by the edge to QEMU.

use crate::cache::line_of;
use crate::insn::{Branch, Insn};
use crate::pipeline::Pipeline;

/// Bytes of an instruction.
const WORD_BYTES: u32 = 4;

/// See the module.
#[derive(Debug)]
pub struct Code {
    /// Where it begins.
    pub at: u32,
    /// Its instructions.
    pub insns: Vec<Insn>,
}

impl Code {
    /// The address after the last instruction.
    #[must_use]
    pub fn end(&self) -> u32 {
        let words = u32::try_from(self.insns.len()).unwrap_or(u32::MAX);
        self.at.wrapping_add(words.wrapping_mul(WORD_BYTES))
    }

    /// The branch at its end, with its address.
    #[must_use]
    pub fn branch(&self) -> Option<(u32, Branch)> {
        let branch = self.insns.last()?.branch?;
        Some((self.end().wrapping_sub(WORD_BYTES), branch))
    }

    /// Its first and last line in the cache.
    #[must_use]
    pub fn lines(&self) -> (u32, u32) {
        (line_of(self.at), line_of(self.end().wrapping_sub(1)))
    }

    /// Cycles that it takes after another one, branches predicted and caches hit.
    #[must_use]
    pub fn cycles_after(&self, before: Option<&Self>) -> u32 {
        let mut pipeline = Pipeline::default();
        if let Some(before) = before {
            pipeline.run(&before.insns);
        }
        let began = pipeline.cycles();
        pipeline.run(&self.insns);
        pipeline.cycles() - began
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;

    fn code(words: &[u32]) -> Code {
        let insns = words.iter().map(|&word| decode(word)).collect();
        Code { at: 0x1000, insns }
    }

    #[test]
    fn latencies_reach_into_the_next_block() {
        // ldr r0, [r1]; b .+8 and then add r2, r0, r1
        let loads = code(&[0xe591_0000, 0xea00_0000]);
        let adds = code(&[0xe080_2001]);
        assert_eq!(adds.cycles_after(None), 1);
        assert_eq!(adds.cycles_after(Some(&loads)), 2);
        // One accumulator: vmla.f32 s0, s1, s2; subs r0, r0, #1; bne
        let sum = code(&[0xee00_0a81, 0xe250_0001, 0x1aff_fffc]);
        assert_eq!(sum.cycles_after(None), 3);
        assert_eq!(sum.cycles_after(Some(&sum)), 8);
    }

    #[test]
    fn a_block_knows_where_it_ends() {
        let block = code(&[0xe250_0001, 0x1aff_fffd]);
        assert_eq!((block.end(), block.lines()), (0x1008, (0x80, 0x80)));
        let branch = Branch::Direct {
            offset_bytes: -4,
            is_call: false,
        };
        assert_eq!(block.branch(), Some((0x1004, branch)));
        assert_eq!(code(&[0xe250_0001]).branch(), None);
    }
}
