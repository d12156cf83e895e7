//! The media instructions: parallel additions, packing, saturation, dual multiplications.

use super::{bit, core, field, is_pc};
use crate::insn::Insn;
use crate::regs::Regs;

/// Parallel additions that saturate or halve, and saturation.
const SATURATE_LATENCY: u32 = 2;
/// Dual 16-bit multiplications, sums of absolute differences.
const DUAL_LATENCY: u32 = 3;
/// `SMMLA`, `SMMUL`, `SMMLS`; `SMLALD`, `SMLSLD`.
const LONG: (u32, u32) = (2, 4);

/// Bits 27 to 25 are 3, and bit 4 is 1.
pub(super) fn decode(word: u32) -> Insn {
    match field(word, 23, 2) {
        0 => parallel(word),
        1 => pack(word),
        2 => multiply(word),
        _ if field(word, 20, 5) == 0x18 => Insn {
            early: core(word, 0).and(core(word, 8)),
            late: accumulator(word),
            writes: core(word, 16),
            latency: DUAL_LATENCY,
            ..Insn::NOTHING
        },
        _ => Insn::NOTHING,
    }
}

fn parallel(word: u32) -> Insn {
    // Of the six kinds the plain ones, signed and unsigned, set the GE flags.
    let is_plain = matches!(field(word, 20, 3), 1 | 5);
    Insn {
        reads: core(word, 16).and(core(word, 0)),
        writes: core(word, 12),
        latency: if is_plain { 1 } else { SATURATE_LATENCY },
        also_writes: if is_plain { Regs::GREATER } else { Regs::NONE },
        ..Insn::NOTHING
    }
}

/// Packing, saturation, extension, reversal, selection.
fn pack(word: u32) -> Insn {
    const EXTEND: u32 = 3;
    const SELECT: u32 = 5;
    let (operand, other) = (core(word, 0), core(word, 16));
    let (kind, operation) = (field(word, 20, 3), field(word, 5, 3));
    let insn = Insn {
        writes: core(word, 12),
        ..Insn::NOTHING
    };
    match (kind, operation) {
        (0, SELECT) => Insn {
            reads: operand.and(other).and(Regs::GREATER),
            ..insn
        },
        // With 15 there is nothing to add.
        (_, EXTEND) | (0, _) => Insn {
            reads: other,
            early: operand,
            ..insn
        },
        // REV, REV16, REVSH.
        (3 | 7, 1 | 5) => Insn {
            early: operand,
            ..insn
        },
        _ => Insn {
            early: operand,
            latency: SATURATE_LATENCY,
            ..insn
        },
    }
}

fn multiply(word: u32) -> Insn {
    const LONG_DUAL: u32 = 4;
    const MOST_SIGNIFICANT: u32 = 5;
    let early = core(word, 0).and(core(word, 8));
    let insn = Insn {
        early,
        late: accumulator(word),
        writes: core(word, 16),
        latency: DUAL_LATENCY,
        ..Insn::NOTHING
    };
    let (issue, latency) = LONG;
    match field(word, 20, 3) {
        LONG_DUAL => {
            let both = core(word, 16).and(core(word, 12));
            Insn {
                late: both,
                writes: both,
                issue,
                latency,
                ..insn
            }
        }
        MOST_SIGNIFICANT => Insn {
            issue,
            latency,
            ..insn
        },
        _ => insn,
    }
}

/// None where 15 is in its place.
fn accumulator(word: u32) -> Regs {
    debug_assert!(bit(word, 4) == 1);
    match is_pc(word, 12) {
        true => Regs::NONE,
        false => core(word, 12),
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode;
    use super::*;

    #[test]
    fn dual_multiplications() {
        // smlad r0, r1, r2, r3; smuad r0, r1, r2; smlald r0, r1, r2, r3; smmul r0, r1, r2
        let smlad = decode(0xe700_3211);
        assert_eq!(smlad.early, Regs::list(0b110));
        assert_eq!((smlad.late, smlad.writes), (Regs::core(3), Regs::core(0)));
        assert_eq!((smlad.issue, smlad.latency), (1, 3));
        assert_eq!(decode(0xe700_f211).late, Regs::NONE);
        let smlald = decode(0xe741_0312);
        assert_eq!((smlald.writes, smlald.issue), (Regs::list(0b11), 2));
        assert_eq!(decode(0xe750_f211).latency, 4);
    }

    #[test]
    fn packing_and_saturation() {
        // sxtb16 r0, r1; uxtab r0, r1, r2; pkhbt r0, r1, r2; ssat r0, #8, r1; rev r0, r1
        let sxtb16 = decode(0xe68f_0071);
        assert_eq!((sxtb16.reads, sxtb16.early), (Regs::NONE, Regs::core(1)));
        assert_eq!(sxtb16.latency, 1);
        assert_eq!(decode(0xe6e1_0072).reads, Regs::core(1));
        assert_eq!(decode(0xe681_0012).early, Regs::core(2));
        assert_eq!(decode(0xe6a7_0011).latency, 2);
        assert_eq!(decode(0xe6bf_0f31).latency, 1);
        // uadd8 r0, r1, r2; uqadd8 r0, r1, r2; sel r0, r1, r2; usad8 r0, r1, r2
        assert_eq!(decode(0xe651_0f92).also_writes, Regs::GREATER);
        assert_eq!(decode(0xe661_0f92).latency, 2);
        assert_eq!(
            decode(0xe681_0fb2).reads,
            Regs::list(0b110).and(Regs::GREATER)
        );
        assert_eq!(decode(0xe780_f211).latency, 3);
    }
}
