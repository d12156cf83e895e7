//! Data processing, multiplications, and what shares their encoding: swaps, exclusive accesses,
//! halfwords and doublewords, branches to registers.

use super::{bit, core, field, is_pc, memory};
use crate::insn::{Branch, Insn};
use crate::regs::Regs;

/// A shift by a register takes the shifter a cycle more.
const REGISTER_SHIFT_CYCLES: u32 = 2;
/// Saturating additions.
const SATURATE_LATENCY: u32 = 2;
/// Dual and single 16-bit multiplications.
const HALF_MULTIPLY_LATENCY: u32 = 3;
/// The others go through the multiplier twice (`MUL`, `MLA`) or three times (64-bit results).
const MULTIPLY: (u32, u32) = (2, 4);
const LONG_HALF_MULTIPLY: (u32, u32) = (2, 4);
const LONG_MULTIPLY: (u32, u32) = (3, 5);
/// A write to the control bits of the status register. A guess; rare.
const STATUS_CYCLES: u32 = 4;

/// Opcodes of data processing.
mod opcode {
    pub(super) const ADD: u32 = 4;
    pub(super) const SUB: u32 = 2;
    /// `ADC`, `SBC`, `RSC` read the carry.
    pub(super) const WITH_CARRY: [u32; 3] = [5, 6, 7];
    /// `TST`, `TEQ`, `CMP`, `CMN` have no result.
    pub(super) const TESTS: std::ops::RangeInclusive<u32> = 8..=11;
    /// `MOV` and `MVN` have one operand.
    pub(super) const MOVES: [u32; 2] = [13, 15];
}

/// Bits 27 to 25 are 0.
pub(super) fn register(word: u32) -> Insn {
    let (is_7, is_4) = (bit(word, 7) == 1, bit(word, 4) == 1);
    if is_7 && is_4 {
        return match (field(word, 5, 2), bit(word, 24)) {
            (0, 0) => multiply(word),
            (0, _) => memory::exclusive(word),
            _ => memory::extra(word),
        };
    }
    // The opcodes of tests, without the bit that would make them set the flags.
    let is_other = field(word, 23, 2) == 2 && bit(word, 20) == 0;
    match (is_other, is_7) {
        (true, true) => half_multiply(word),
        (true, false) => other(word),
        (false, _) => processing(word, false),
    }
}

/// Bits 27 to 25 are 1: data processing, or a hint or write to the status register.
pub(super) fn immediate(word: u32) -> Insn {
    if field(word, 23, 2) == 2 && bit(word, 20) == 0 {
        return status(word);
    }
    processing(word, true)
}

fn processing(word: u32, is_immediate: bool) -> Insn {
    let opcode = field(word, 21, 4);
    let mut insn = Insn::NOTHING;
    if !opcode::MOVES.contains(&opcode) {
        insn.reads = core(word, 16);
    }
    if opcode::WITH_CARRY.contains(&opcode) {
        insn.reads = insn.reads.and(Regs::FLAGS);
    }
    if !is_immediate {
        shifter(word, &mut insn);
    }
    if bit(word, 20) == 1 {
        insn.also_writes = Regs::FLAGS;
    }
    if opcode::TESTS.contains(&opcode) {
        return insn;
    }
    insn.writes = core(word, 12);
    if is_pc(word, 12) {
        let is_return = opcode::MOVES.contains(&opcode) && field(word, 0, 12) == 14;
        insn.branch = Some(match is_return && !is_immediate {
            true => Branch::Return { is_load: false },
            false => Branch::Indirect {
                is_call: false,
                is_load: false,
            },
        });
    }
    let (to, from) = (field(word, 12, 4), field(word, 16, 4));
    if is_immediate && to == from && to != 15 {
        let value = field(word, 0, 8).rotate_right(2 * field(word, 8, 4));
        insn.step = match opcode {
            opcode::ADD => Some((to, value.cast_signed())),
            opcode::SUB => Some((to, value.cast_signed().wrapping_neg())),
            _ => None,
        };
    }
    insn
}

/// The second operand: a register, shifted by a constant or by another.
fn shifter(word: u32, insn: &mut Insn) {
    const ROTATE: u32 = 3;
    let operand = core(word, 0);
    let (kind, amount) = (field(word, 5, 2), field(word, 7, 5));
    if bit(word, 4) == 1 {
        insn.early = operand.and(core(word, 8));
        insn.issue = REGISTER_SHIFT_CYCLES;
        insn.latency = REGISTER_SHIFT_CYCLES;
    } else if (kind, amount) == (0, 0) {
        insn.reads = insn.reads.and(operand);
    } else {
        insn.early = operand;
        if (kind, amount) == (ROTATE, 0) {
            insn.reads = insn.reads.and(Regs::FLAGS);
        }
    }
}

/// `MUL` and its relatives of 32 bits.
fn multiply(word: u32) -> Insn {
    let (high, low) = (core(word, 16), core(word, 12));
    let early = core(word, 0).and(core(word, 8));
    let flags = match bit(word, 20) {
        0 => Regs::NONE,
        _ => Regs::FLAGS,
    };
    let is_long = bit(word, 23) == 1 || field(word, 21, 2) == 2;
    let accumulates = bit(word, 21) == 1 || field(word, 21, 3) == 2;
    let (issue, latency) = if is_long { LONG_MULTIPLY } else { MULTIPLY };
    Insn {
        early,
        late: match (accumulates, is_long) {
            (false, _) => Regs::NONE,
            (true, false) => low,
            (true, true) => low.and(high),
        },
        writes: if is_long { high.and(low) } else { high },
        also_writes: flags,
        issue,
        latency,
        ..Insn::NOTHING
    }
}

/// `SMLAxy`, `SMLAWy`, `SMULWy`, `SMLALxy`, `SMULxy`.
fn half_multiply(word: u32) -> Insn {
    let (result, accumulator) = (core(word, 16), core(word, 12));
    let mut insn = Insn {
        early: core(word, 0).and(core(word, 8)),
        writes: result,
        latency: HALF_MULTIPLY_LATENCY,
        ..Insn::NOTHING
    };
    match (field(word, 21, 2), bit(word, 5)) {
        (0, _) | (1, 0) => insn.late = accumulator,
        (2, _) => {
            insn.late = result.and(accumulator);
            insn.writes = result.and(accumulator);
            (insn.issue, insn.latency) = LONG_HALF_MULTIPLY;
        }
        _ => {}
    }
    insn
}

/// Status register, branches to a register, `CLZ`, saturating additions.
fn other(word: u32) -> Insn {
    let register = core(word, 0);
    let (kind, operation) = (field(word, 4, 4), field(word, 21, 2));
    match (kind, operation) {
        (0, 0 | 2) => Insn {
            reads: Regs::FLAGS,
            writes: core(word, 12),
            ..Insn::NOTHING
        },
        (0, _) => Insn {
            reads: register,
            ..status(word)
        },
        (1, 3) => Insn {
            reads: register,
            writes: core(word, 12),
            ..Insn::NOTHING
        },
        (1..=3, _) => Insn {
            reads: register,
            writes: if kind == 3 {
                Regs::core(14)
            } else {
                Regs::NONE
            },
            branch: Some(match (kind, field(word, 0, 4)) {
                (1 | 2, 14) => Branch::Return { is_load: false },
                _ => Branch::Indirect {
                    is_call: kind == 3,
                    is_load: false,
                },
            }),
            ..Insn::NOTHING
        },
        (5, _) => Insn {
            reads: register.and(core(word, 16)),
            writes: core(word, 12),
            latency: SATURATE_LATENCY,
            ..Insn::NOTHING
        },
        _ => Insn::NOTHING,
    }
}

/// `MSR` and hints. The flags alone can be written at once.
fn status(word: u32) -> Insn {
    const FLAGS_ONLY: u32 = 8;
    let fields = field(word, 16, 4);
    Insn {
        also_writes: Regs::FLAGS,
        issue: match fields {
            0 | FLAGS_ONLY => 1,
            _ => STATUS_CYCLES,
        },
        ..Insn::NOTHING
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode;
    use super::*;

    #[test]
    fn shifted_operands_are_early() {
        // add r0, r1, r2; add r0, r1, r2, lsl #3; add r0, r1, r2, lsl r3
        let plain = decode(0xe081_0002);
        assert_eq!(plain.reads, Regs::list(0b110));
        assert_eq!((plain.writes, plain.latency), (Regs::core(0), 1));
        let shifted = decode(0xe081_0182);
        assert_eq!(
            (shifted.reads, shifted.early),
            (Regs::core(1), Regs::core(2))
        );
        let by_register = decode(0xe081_0312);
        assert_eq!(by_register.early, Regs::list(0b1100));
        assert_eq!((by_register.issue, by_register.latency), (2, 2));
    }

    #[test]
    fn flags_are_written_and_read() {
        // subs r0, r0, #1; adc r1, r1, r2; cmp r0, r1
        let subs = decode(0xe250_0001);
        assert_eq!((subs.also_writes, subs.step), (Regs::FLAGS, Some((0, -1))));
        assert_eq!(
            decode(0xe0a1_1002).reads,
            Regs::list(0b110).and(Regs::FLAGS)
        );
        let cmp = decode(0xe150_0001);
        assert_eq!((cmp.writes, cmp.also_writes), (Regs::NONE, Regs::FLAGS));
    }

    #[test]
    fn multiplications() {
        // mul r0, r1, r2; mla r0, r1, r2, r3; smull r0, r1, r2, r3; umaal r0, r1, r2, r3
        let mul = decode(0xe000_0291);
        assert_eq!((mul.issue, mul.latency, mul.late), (2, 4, Regs::NONE));
        assert_eq!(decode(0xe020_3291).late, Regs::core(3));
        let smull = decode(0xe0c1_0392);
        assert_eq!((smull.issue, smull.latency), (3, 5));
        assert_eq!((smull.writes, smull.late), (Regs::list(0b11), Regs::NONE));
        let umaal = decode(0xe041_0392);
        assert_eq!((umaal.issue, umaal.late), (3, Regs::list(0b11)));
        // smlabb r0, r1, r2, r3; smlawt r0, r1, r2, r3; smulbb r0, r1, r2
        let smlabb = decode(0xe100_3281);
        assert_eq!((smlabb.latency, smlabb.late), (3, Regs::core(3)));
        assert_eq!(decode(0xe120_32c1).late, Regs::core(3));
        assert_eq!(decode(0xe160_0281).late, Regs::NONE);
    }

    #[test]
    fn returns() {
        // bx lr; mov pc, lr; bx r3; blx r3
        let is_return = Some(Branch::Return { is_load: false });
        assert_eq!(decode(0xe12f_ff1e).branch, is_return);
        assert_eq!(decode(0xe1a0_f00e).branch, is_return);
        let indirect = |is_call| {
            Some(Branch::Indirect {
                is_call,
                is_load: false,
            })
        };
        assert_eq!(decode(0xe12f_ff13).branch, indirect(false));
        assert_eq!(decode(0xe12f_ff33).branch, indirect(true));
    }
}
