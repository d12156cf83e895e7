//! Decodes the A32 instruction set of `ARMv6K` and VFPv2 into what they cost on an ARM1176.
//!
//! Times are from the ARM1176JZF-S Technical Reference Manual (DDI 0301H, chapter 16) and that of
//! the VFP11 (DDI 0274H); where these are silent or were not at hand, a value is a guess of the
//! same kind and marked so. Not verified: shifts by a register, early operands of packing, the
//! latencies of saturation and of absolute differences, loads with a shifted index. What the core
//! does not have is decoded as one cycle: QEMU stops at it. Thumb is not decoded.

mod integer;
mod media;
mod memory;
mod vfp;

use crate::insn::{Branch, Insn};
use crate::regs::Regs;

/// The condition "always".
const ALWAYS: u32 = 0xe;
/// In the place of a condition: instructions without one.
const UNCONDITIONAL: u32 = 0xf;
/// The pipeline reads the program counter two instructions ahead.
const AHEAD_BYTES: i32 = 8;
/// Cycles of a supervisor call, apart from what the kernel does. A guess.
const SUPERVISOR_CYCLES: u32 = 8;

/// Decodes one instruction.
#[must_use]
pub fn decode(word: u32) -> Insn {
    let condition = word >> 28;
    if condition == UNCONDITIONAL {
        return unconditional(word);
    }
    let is_register_form = bit(word, 4) == 1;
    let mut insn = match field(word, 25, 3) {
        0 => integer::register(word),
        1 => integer::immediate(word),
        3 if is_register_form => media::decode(word),
        2 | 3 => memory::single(word),
        4 => memory::block(word),
        5 => branch(word, bit(word, 24) == 1),
        6 => vfp::transfer(word),
        _ if bit(word, 24) == 1 => Insn {
            issue: SUPERVISOR_CYCLES,
            ..Insn::NOTHING
        },
        _ => vfp::operation(word),
    };
    if condition != ALWAYS {
        insn.is_conditional = true;
        insn.reads = insn.reads.and(Regs::FLAGS);
    }
    insn
}

/// Decodes one instruction that is executed with a length of short vectors in FPSCR.
#[must_use]
pub fn decode_with_length(word: u32, length: u32) -> Insn {
    let insn = decode(word);
    match word >> 28 {
        UNCONDITIONAL => insn,
        _ => vfp::lengthened(word, insn, length),
    }
}

fn unconditional(word: u32) -> Insn {
    match field(word, 25, 3) {
        2 | 3 if word & 0x0d70_f000 == 0x0550_f000 => memory::prefetch(word),
        5 => branch(word, true),
        _ => Insn::NOTHING,
    }
}

fn branch(word: u32, is_call: bool) -> Insn {
    // 24 bits, sign-extended, in words.
    let offset = (word << 8).cast_signed() >> 6;
    Insn {
        branch: Some(Branch::Direct {
            offset_bytes: offset + AHEAD_BYTES,
            is_call,
        }),
        writes: if is_call { Regs::core(14) } else { Regs::NONE },
        ..Insn::NOTHING
    }
}

/// `bits` bits from `at` on.
const fn field(word: u32, at: u32, bits: u32) -> u32 {
    (word >> at) & ((1 << bits) - 1)
}

/// One bit.
const fn bit(word: u32, at: u32) -> u32 {
    field(word, at, 1)
}

/// The core register that four bits name.
const fn core(word: u32, at: u32) -> Regs {
    Regs::core(field(word, at, 4))
}

/// Whether four bits name the program counter.
const fn is_pc(word: u32, at: u32) -> bool {
    field(word, at, 4) == 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_know_their_target() {
        // `b .` at any address, and `bl` to the next instruction but one.
        let loops = decode(0xeaff_fffe);
        assert_eq!(
            loops.branch,
            Some(Branch::Direct {
                offset_bytes: 0,
                is_call: false
            })
        );
        let call = decode(0xeb00_0000);
        assert_eq!(
            call.branch,
            Some(Branch::Direct {
                offset_bytes: 8,
                is_call: true
            })
        );
        assert_eq!(call.writes, Regs::core(14));
        assert!(decode(0x1aff_fffe).is_conditional);
    }
}
