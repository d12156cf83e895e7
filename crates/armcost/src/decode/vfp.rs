//! The floating-point unit, VFP11: scalar operations and what short vectors make of them, moves
//! and transfers. And the system coprocessor, in short.

use super::{bit, core, field, is_pc};
use crate::insn::{Access, Address, Insn, Unit};
use crate::regs::Regs;

/// The unit's coprocessors, for single and double precision.
const COPROCESSORS: [u32; 2] = [10, 11];
/// Additions, multiplications, conversions from and to whole numbers.
const ARITHMETIC_LATENCY: u32 = 8;
/// Of a double-precision multiplication: the multiplier is passed twice.
const DOUBLE_MULTIPLY: (u32, u32) = (2, 9);
/// Copies, comparisons, conversions between the precisions.
const SHORT_LATENCY: u32 = 4;
/// Divisions and square roots: cycles of the unit, and latency.
const DIVIDE: (u32, u32) = (15, 19);
const DOUBLE_DIVIDE: (u32, u32) = (29, 33);
/// From a load, or from a core register.
const LOAD_LATENCY: u32 = 4;
/// To a core register, or to its flags.
const TO_CORE_LATENCY: u32 = 2;
/// A read of the system coprocessor (the thread's own pointer).
const SYSTEM_LATENCY: u32 = 3;
const WORD_BYTES: i32 = 4;

/// Loads, stores, and moves of two registers.
pub(super) fn transfer(word: u32) -> Insn {
    if !COPROCESSORS.contains(&field(word, 8, 4)) {
        return Insn::NOTHING;
    }
    if field(word, 21, 4) == 2 {
        return pair(word);
    }
    let base = field(word, 16, 4);
    let words = field(word, 0, 8);
    let (is_before, is_up) = (bit(word, 24) == 1, bit(word, 23) == 1);
    let (is_update, is_load) = (bit(word, 21) == 1, bit(word, 20) == 1);
    let is_one = is_before && !is_update;
    let bytes = WORD_BYTES * words.cast_signed();
    let signed = if is_up { bytes } else { -bytes };
    // Two singles a cycle, one double.
    let count = match (is_one, is_double(word)) {
        (true, false) => 1,
        (true, true) => 2,
        (false, _) => words,
    };
    let registers = run(word, count);
    let is_below = !is_one && !is_up;
    let mut insn = Insn {
        early: Regs::core(base),
        unit: Unit::Memory,
        unit_cycles: count.div_ceil(2).max(1),
        access: Access::Data(Address::Offset {
            base,
            offset_bytes: if is_one || is_below { signed } else { 0 },
        }),
        ..Insn::NOTHING
    };
    if is_update {
        insn.also_writes = Regs::core(base);
        insn.step = Some((base, signed));
    }
    if is_load {
        insn.writes = registers;
        insn.latency = LOAD_LATENCY;
        insn.is_staggered = true;
    } else {
        insn.late = registers;
    }
    insn
}

/// `FMDRR`, `FMRRD`, `FMSRR`, `FMRRS`.
fn pair(word: u32) -> Insn {
    let cores = core(word, 12).and(core(word, 16));
    let floats = match is_double(word) {
        true => operand(word, 0, 5, true),
        false => {
            let first = single(word, 0, 5);
            Regs::single(first).and(Regs::single(first + 1))
        }
    };
    match bit(word, 20) {
        0 => Insn {
            reads: cores,
            writes: floats,
            latency: LOAD_LATENCY,
            ..Insn::NOTHING
        },
        _ => Insn {
            reads: floats,
            writes: cores,
            latency: TO_CORE_LATENCY,
            ..Insn::NOTHING
        },
    }
}

/// Arithmetic, and moves of one register.
pub(super) fn operation(word: u32) -> Insn {
    let is_move = bit(word, 4) == 1;
    match (COPROCESSORS.contains(&field(word, 8, 4)), is_move) {
        (true, true) => move_one(word),
        (true, false) => arithmetic(word),
        (false, _) if is_move && bit(word, 20) == 1 => Insn {
            writes: core(word, 12),
            latency: SYSTEM_LATENCY,
            ..Insn::NOTHING
        },
        (false, _) => Insn {
            reads: core(word, 12),
            ..Insn::NOTHING
        },
    }
}

/// `FMSR`, `FMRS`, halves of doubles, and the unit's status.
fn move_one(word: u32) -> Insn {
    let is_status = field(word, 21, 3) == 7;
    let is_to_core = bit(word, 20) == 1;
    let floats = match (is_status, is_double(word)) {
        (true, _) => Regs::FLOAT_FLAGS,
        (false, false) => operand(word, 16, 7, false),
        (false, true) => Regs::single(2 * field(word, 16, 4) + field(word, 21, 1)),
    };
    let cores = match is_pc(word, 12) {
        true => Regs::FLAGS,
        false => core(word, 12),
    };
    match is_to_core {
        true => Insn {
            reads: floats,
            writes: cores,
            latency: TO_CORE_LATENCY,
            ..Insn::NOTHING
        },
        false => Insn {
            reads: cores,
            writes: floats,
            latency: LOAD_LATENCY,
            ..Insn::NOTHING
        },
    }
}

fn arithmetic(word: u32) -> Insn {
    let is_double = is_double(word);
    let (to, first) = (
        operand(word, 12, 22, is_double),
        operand(word, 16, 7, is_double),
    );
    let second = operand(word, 0, 5, is_double);
    let (multiply_cycles, multiply_latency) = match is_double {
        true => DOUBLE_MULTIPLY,
        false => (1, ARITHMETIC_LATENCY),
    };
    let insn = Insn {
        reads: first.and(second),
        writes: to,
        latency: ARITHMETIC_LATENCY,
        unit: Unit::FloatMac,
        unit_cycles: 1,
        ..Insn::NOTHING
    };
    match (bit(word, 23), field(word, 20, 2)) {
        // FMAC, FNMAC, FMSC, FNMSC.
        (0, 0 | 1) => Insn {
            reads: insn.reads.and(to),
            latency: multiply_latency,
            unit_cycles: multiply_cycles,
            ..insn
        },
        (0, 2) => Insn {
            latency: multiply_latency,
            unit_cycles: multiply_cycles,
            ..insn
        },
        (0, _) => insn,
        (_, 0) => divide(first.and(second), to, is_double),
        _ => extension(word, second, to),
    }
}

/// The instruction with a length of `length` in FPSCR, as [`super::decode`] has it with 1: an
/// operation whose result is not in the first bank of registers is done so many times, one after
/// the other in its unit, while the core goes on. Results are taken to be there after the latency
/// of the first: what reads them in a vector does so one after the other too.
pub(super) fn lengthened(word: u32, insn: Insn, length: u32) -> Insn {
    let is_double = is_double(word);
    let bank = if is_double { 4 } else { 8 };
    let number = |at: u32, low: u32| match is_double {
        true => field(word, at, 4),
        false => single(word, at, low),
    };
    let is_arithmetic =
        field(word, 24, 4) == 0xe && bit(word, 4) == 0 && COPROCESSORS.contains(&field(word, 8, 4));
    // Of the operations with one operand, copies and roots; not comparisons and conversions.
    let is_extension = bit(word, 23) == 1 && field(word, 20, 2) == 3;
    let to = number(12, 22);
    if length < 2 || !is_arithmetic || to < bank || (is_extension && field(word, 16, 4) > 1) {
        return insn;
    }
    // Registers follow each other around their bank; the first bank has scalars.
    let vector = |first: u32| {
        let each = (0..length).map(|at| first / bank * bank + (first + at) % bank);
        each.fold(Regs::NONE, |all, number| {
            all.and(match is_double {
                true => Regs::double(number),
                false => Regs::single(number),
            })
        })
    };
    let second = number(0, 5);
    let mut reads = insn.reads;
    if second >= bank {
        reads = reads.and(vector(second));
    }
    if !is_extension {
        reads = reads.and(vector(number(16, 7)));
    }
    // FMAC and its like read what they add to.
    if bit(word, 23) == 0 && field(word, 20, 2) < 2 {
        reads = reads.and(vector(to));
    }
    Insn {
        reads,
        writes: vector(to),
        unit_cycles: insn.unit_cycles * length,
        ..insn
    }
}

fn divide(reads: Regs, writes: Regs, is_double: bool) -> Insn {
    let (unit_cycles, latency) = if is_double { DOUBLE_DIVIDE } else { DIVIDE };
    Insn {
        reads,
        writes,
        latency,
        unit: Unit::FloatDivide,
        unit_cycles,
        ..Insn::NOTHING
    }
}

/// Operations of one operand: bits 19 to 16, and 7.
fn extension(word: u32, from: Regs, to: Regs) -> Insn {
    const ROOT: (u32, u32) = (1, 1);
    let is_double = is_double(word);
    let insn = Insn {
        reads: from,
        writes: to,
        latency: SHORT_LATENCY,
        unit: Unit::FloatMac,
        unit_cycles: 1,
        ..Insn::NOTHING
    };
    match (field(word, 16, 4), bit(word, 7)) {
        ROOT => divide(from, to, is_double),
        (0 | 1, _) => insn,
        // FCMP and FCMPE, with another and with zero.
        (4, _) => Insn {
            reads: from.and(to),
            writes: Regs::FLOAT_FLAGS,
            ..insn
        },
        (5, _) => Insn {
            reads: to,
            writes: Regs::FLOAT_FLAGS,
            ..insn
        },
        // Between the precisions: the result has the other one.
        (7, _) => Insn {
            writes: operand(word, 12, 22, !is_double),
            ..insn
        },
        // From whole numbers, which are in single registers, and to them.
        (8, _) => Insn {
            reads: operand(word, 0, 5, false),
            latency: ARITHMETIC_LATENCY,
            ..insn
        },
        _ => Insn {
            writes: operand(word, 12, 22, false),
            latency: ARITHMETIC_LATENCY,
            ..insn
        },
    }
}

fn is_double(word: u32) -> bool {
    bit(word, 8) == 1
}

/// The number of a single: four bits, and the lowest elsewhere.
fn single(word: u32, at: u32, low: u32) -> u32 {
    field(word, at, 4) << 1 | bit(word, low)
}

fn operand(word: u32, at: u32, low: u32, is_double: bool) -> Regs {
    match is_double {
        true => Regs::double(field(word, at, 4)),
        false => Regs::single(single(word, at, low)),
    }
}

/// `count` singles from the one that is named on.
fn run(word: u32, count: u32) -> Regs {
    let first = match is_double(word) {
        true => 2 * field(word, 12, 4),
        false => single(word, 12, 22),
    };
    let end = (first + count).min(32);
    (first..end).fold(Regs::NONE, |all, number| all.and(Regs::single(number)))
}

#[cfg(test)]
mod tests {
    use super::super::decode;
    use super::*;

    #[test]
    fn arithmetic_by_precision() {
        // vmla.f32 s0, s1, s2; vmul.f64 d0, d1, d2; vadd.f32 s0, s1, s2; vdiv.f32 s0, s1, s2
        let fmac = decode(0xee00_0a81);
        let singles = |numbers: &[u32]| {
            let each = numbers.iter().map(|&n| Regs::single(n));
            each.fold(Regs::NONE, Regs::and)
        };
        assert_eq!(fmac.reads, singles(&[0, 1, 2]));
        assert_eq!((fmac.writes, fmac.latency), (Regs::single(0), 8));
        let fmuld = decode(0xee21_0b02);
        assert_eq!(fmuld.reads, Regs::double(1).and(Regs::double(2)));
        assert_eq!((fmuld.unit_cycles, fmuld.latency), (2, 9));
        assert_eq!(decode(0xee30_0a81).reads, singles(&[1, 2]));
        let fdivs = decode(0xee80_0a81);
        assert_eq!((fdivs.unit, fdivs.latency), (Unit::FloatDivide, 19));
    }

    #[test]
    fn short_vectors() {
        let with_4 = |word: u32| lengthened(word, decode(word), 4);
        let quad = |first: u32| {
            let each = (first..first + 4).map(Regs::single);
            each.fold(Regs::NONE, Regs::and)
        };
        // vmla.f32 s8, s24, s0: four times, with one scalar.
        let fmac = with_4(0xee0c_4a00);
        assert_eq!((fmac.writes, fmac.unit_cycles), (quad(8), 4));
        assert_eq!(fmac.reads, quad(8).and(quad(24)).and(Regs::single(0)));
        // vadd.f32 s14, s8, s16: around the bank.
        let fadd = with_4(0xee34_7a08);
        let ends = [14, 15, 8, 9].map(Regs::single);
        let ends = ends.into_iter().fold(Regs::NONE, Regs::and);
        assert_eq!((fadd.writes, fadd.reads), (ends, quad(8).and(quad(16))));
        // vmla.f32 s0, s1, s2 is scalar, and so are vcmp.f32 s8, s9 and vmrs.
        for word in [0xee00_0a81, 0xeeb4_4a64, 0xeef1_fa10] {
            assert_eq!(with_4(word), decode(word), "{word:#x}");
        }
    }

    #[test]
    fn comparisons_reach_the_core_by_way_of_its_flags() {
        // vcmp.f32 s0, s1; vmrs APSR_nzcv, fpscr; vcvt.f64.f32 d0, s2; vcvt.s32.f32 s0, s1
        assert_eq!(decode(0xeeb4_0a60).writes, Regs::FLOAT_FLAGS);
        let fmstat = decode(0xeef1_fa10);
        assert_eq!(
            (fmstat.reads, fmstat.writes),
            (Regs::FLOAT_FLAGS, Regs::FLAGS)
        );
        let widen = decode(0xeeb7_0ac1);
        assert_eq!(
            (widen.reads, widen.writes),
            (Regs::single(2), Regs::double(0))
        );
        assert_eq!(decode(0xeebd_0ae0).latency, 8);
    }

    #[test]
    fn transfers() {
        // vldr s0, [r1, #-8]; vldmia r0!, {s0-s3}; vpush {d8, d9}; vmov s0, r1; vmov r0, r1, d2
        let load = decode(0xed11_0a02);
        let there = Access::Data(Address::Offset {
            base: 1,
            offset_bytes: -8,
        });
        assert_eq!((load.access, load.writes), (there, Regs::single(0)));
        let many = decode(0xecb0_0a04);
        assert_eq!((many.unit_cycles, many.step), (2, Some((0, 16))));
        assert_eq!(many.writes, Regs::double(0).and(Regs::double(1)));
        let push = decode(0xed2d_8b04);
        assert_eq!(push.late, Regs::double(8).and(Regs::double(9)));
        assert_eq!(push.step, Some((13, -16)));
        let to = decode(0xee00_1a10);
        assert_eq!((to.reads, to.writes), (Regs::core(1), Regs::single(0)));
        let from = decode(0xec51_0b12);
        assert_eq!(
            (from.reads, from.writes),
            (Regs::double(2), Regs::list(0b11))
        );
    }
}
