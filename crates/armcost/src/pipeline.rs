//! The core's pipeline as an in-order, single-issue scoreboard.
//!
//! An instruction issues when the one before has left the issue stage, its operands are there (a
//! cycle earlier for those that pass the shifter, the address unit or the multiplier; a cycle later
//! for accumulators and what is stored), and the unit that it needs is free. Every load hits the
//! first-level cache: what misses cost is added elsewhere. Used by [`crate::block`].

use crate::insn::{Insn, Unit};
use crate::regs::{REGISTERS, Regs};

/// Units that can be busy.
const UNITS: usize = 3;

/// See the module. Times are cycles since it was made.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// When the next instruction can issue, as far as the issue stage is concerned.
    next: u32,
    /// From when on each register can be read by an instruction that issues then.
    ready: [u32; REGISTERS],
    /// When each unit is free.
    free: [u32; UNITS],
}

impl Default for Pipeline {
    fn default() -> Self {
        Self {
            next: 0,
            ready: [0; REGISTERS],
            free: [0; UNITS],
        }
    }
}

impl Pipeline {
    /// Cycles from the beginning until an instruction after the last one could issue.
    #[must_use]
    pub fn cycles(&self) -> u32 {
        self.next
    }

    /// Issues instructions in their order.
    pub fn run(&mut self, insns: &[Insn]) {
        insns.iter().for_each(|insn| self.issue(insn));
    }

    fn issue(&mut self, insn: &Insn) {
        let mut at = self.next;
        at = at.max(self.when(insn.reads));
        at = at.max(match self.when(insn.early) {
            0 => 0,
            ready => ready + 1,
        });
        at = at.max(self.when(insn.late).saturating_sub(1));
        if let Some(unit) = index(insn.unit) {
            at = at.max(self.free[unit]);
            self.free[unit] = at + insn.unit_cycles;
        }
        self.next = at + insn.issue;
        for register in insn.also_writes.iter() {
            self.ready[register] = at + 1;
        }
        for (place, register) in (0..).zip(insn.writes.iter()) {
            let wait = if insn.is_staggered { place / 2 } else { 0 };
            self.ready[register] = at + insn.latency + wait;
        }
    }

    /// When the last of these can be read.
    fn when(&self, registers: Regs) -> u32 {
        let each = registers.iter().map(|register| self.ready[register]);
        each.max().unwrap_or(0)
    }
}

fn index(unit: Unit) -> Option<usize> {
    match unit {
        Unit::None => None,
        Unit::Memory => Some(0),
        Unit::FloatMac => Some(1),
        Unit::FloatDivide => Some(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;

    fn cycles(words: &[u32]) -> u32 {
        let mut pipeline = Pipeline::default();
        let insns: Vec<_> = words.iter().map(|&word| decode(word)).collect();
        pipeline.run(&insns);
        pipeline.cycles()
    }

    #[test]
    fn independent_instructions_take_a_cycle_each() {
        // add r0, r1, r2; add r3, r1, r2; add r4, r0, r3
        assert_eq!(cycles(&[0xe081_0002, 0xe081_3002, 0xe080_4003]), 3);
    }

    #[test]
    fn a_loaded_value_is_waited_for() {
        // ldr r0, [r1]; add r2, r0, r1: issue at 0 and 3.
        assert_eq!(cycles(&[0xe591_0000, 0xe080_2001]), 4);
        // With it as the shifted operand (add r2, r1, r0, lsl #3) or the next base (ldr r2, [r0])
        // a cycle more; stored (str r0, [r1]) a cycle less.
        assert_eq!(cycles(&[0xe591_0000, 0xe081_2180]), 5);
        assert_eq!(cycles(&[0xe591_0000, 0xe590_2000]), 5);
        assert_eq!(cycles(&[0xe591_0000, 0xe581_0000]), 3);
    }

    #[test]
    fn accumulating_multiplications_follow_every_other_cycle() {
        // smlad r0, r1, r2, r0, twice: the second accumulates what comes after 3 cycles.
        assert_eq!(cycles(&[0xe700_0211, 0xe700_0211]), 3);
        // Into different accumulators, one a cycle; to an addition (add r4, r0, r1) 3 cycles.
        assert_eq!(cycles(&[0xe700_0211, 0xe703_3211]), 2);
        assert_eq!(cycles(&[0xe700_0211, 0xe080_4001]), 4);
    }

    #[test]
    fn a_block_load_lets_others_issue() {
        // ldmia r0, {r1-r8}; then add r9, r1, r2 at 3; add r9, r7, r8 at 6.
        assert_eq!(cycles(&[0xe890_01fe, 0xe081_9002]), 4);
        assert_eq!(cycles(&[0xe890_01fe, 0xe087_9008]), 7);
        // Another load waits for the memory unit: 4 cycles of the first.
        assert_eq!(cycles(&[0xe890_01fe, 0xe59a_9000]), 5);
        // Something else does not: add r9, r10, r11.
        assert_eq!(cycles(&[0xe890_01fe, 0xe08a_900b]), 2);
    }

    #[test]
    fn a_floating_point_sum_waits_for_the_one_before() {
        // vmla.f32 s0, s1, s2, three times.
        assert_eq!(cycles(&[0xee00_0a81; 3]), 17);
        // vmla.f32 s0, s1, s2; vmla.f32 s3, s1, s2: nothing in common.
        assert_eq!(cycles(&[0xee00_0a81, 0xee40_1a81]), 2);
    }
}
