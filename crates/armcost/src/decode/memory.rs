//! Loads, stores and prefetches of the core; the floating-point unit's are in `vfp`.

use super::{bit, core, field, is_pc};
use crate::insn::{Access, Address, Branch, Insn, Unit};
use crate::regs::Regs;

/// From the issue of a load that hits the first-level cache to that of what reads the result.
const LOAD_LATENCY: u32 = 3;
/// An index that is shifted by other than two to the left passes the shifter first.
const SHIFTED_INDEX: (u32, u32) = (2, 4);
/// `SWP`: a load and a store. A guess; rare.
const SWAP: (u32, u32) = (2, 4);
const STACK: u32 = 13;
const WORD_BYTES: i32 = 4;

/// `LDR`, `STR`, and their bytes.
pub(super) fn single(word: u32) -> Insn {
    let is_register = bit(word, 25) == 1;
    let mut insn = transfer(word, 12, Regs::NONE);
    if is_register {
        indexed(word, core(word, 0), &mut insn);
        let (kind, amount) = (field(word, 5, 2), field(word, 7, 5));
        if !(kind == 0 && (amount == 0 || amount == 2)) {
            (insn.issue, insn.latency) = SHIFTED_INDEX;
        }
    } else {
        offset(word, field(word, 0, 12), &mut insn);
    }
    insn
}

/// Halfwords, signed bytes, doublewords.
pub(super) fn extra(word: u32) -> Insn {
    let is_load_bit = bit(word, 20) == 1;
    let is_double = !is_load_bit && bit(word, 6) == 1;
    let second = Regs::core(field(word, 12, 4) + 1);
    let mut insn = transfer(word, 12, if is_double { second } else { Regs::NONE });
    if is_double && bit(word, 5) == 0 {
        // LDRD has the bit of a store.
        let both = core(word, 12).and(second);
        insn.late = Regs::NONE;
        insn.writes = both;
        insn.latency = LOAD_LATENCY;
    }
    if bit(word, 22) == 1 {
        offset(word, field(word, 8, 4) << 4 | field(word, 0, 4), &mut insn);
    } else {
        indexed(word, core(word, 0), &mut insn);
    }
    insn
}

/// `LDREX`, `STREX` and their sizes; `SWP`.
pub(super) fn exclusive(word: u32) -> Insn {
    let base = field(word, 16, 4);
    let access = Access::Data(Address::Offset {
        base,
        offset_bytes: 0,
    });
    let insn = Insn {
        early: Regs::core(base),
        writes: core(word, 12),
        latency: LOAD_LATENCY,
        unit: Unit::Memory,
        unit_cycles: 1,
        access,
        ..Insn::NOTHING
    };
    let is_double = field(word, 21, 2) == 1;
    match (bit(word, 23), bit(word, 20)) {
        (0, _) => Insn {
            late: core(word, 0),
            issue: SWAP.0,
            latency: SWAP.1,
            ..insn
        },
        (_, 1) if is_double => Insn {
            writes: insn.writes.and(Regs::core(field(word, 12, 4) + 1)),
            ..insn
        },
        (_, 1) => insn,
        _ => Insn {
            late: core(word, 0),
            ..insn
        },
    }
}

/// `PLD`: one cycle, and the address early.
pub(super) fn prefetch(word: u32) -> Insn {
    let is_register = bit(word, 25) == 1;
    let bytes = signed(word, field(word, 0, 12));
    let address = match is_register {
        true => Address::Other,
        false => Address::Offset {
            base: field(word, 16, 4),
            offset_bytes: bytes,
        },
    };
    let index = if is_register {
        core(word, 0)
    } else {
        Regs::NONE
    };
    Insn {
        early: core(word, 16).and(index),
        unit: Unit::Memory,
        unit_cycles: 1,
        access: Access::Prefetch(address),
        ..Insn::NOTHING
    }
}

/// `LDM` and `STM`: two words a cycle while others issue.
pub(super) fn block(word: u32) -> Insn {
    let base = field(word, 16, 4);
    let list = field(word, 0, 16);
    let words = list.count_ones();
    let bytes = WORD_BYTES * words.cast_signed();
    let (is_before, is_up) = (bit(word, 24) == 1, bit(word, 23) == 1);
    let (is_update, is_load) = (bit(word, 21) == 1, bit(word, 20) == 1);
    let first = match (is_up, is_before) {
        (true, false) => 0,
        (true, true) => WORD_BYTES,
        (false, false) => WORD_BYTES - bytes,
        (false, true) => -bytes,
    };
    let mut insn = Insn {
        early: Regs::core(base),
        unit: Unit::Memory,
        unit_cycles: words.div_ceil(2),
        access: Access::Data(Address::Offset {
            base,
            offset_bytes: first,
        }),
        ..Insn::NOTHING
    };
    if is_update {
        insn.also_writes = Regs::core(base);
        insn.step = Some((base, if is_up { bytes } else { -bytes }));
    }
    if is_load {
        insn.writes = Regs::list(list);
        insn.latency = LOAD_LATENCY;
        insn.is_staggered = true;
        insn.branch = (bit(word, 15) == 1).then_some(to_loaded(base));
    } else {
        insn.late = Regs::list(list);
    }
    insn
}

/// What all single transfers have in common: the register's field, the base, the direction.
fn transfer(word: u32, register: u32, second: Regs) -> Insn {
    let moved = core(word, register).and(second);
    let insn = Insn {
        early: core(word, 16),
        unit: Unit::Memory,
        unit_cycles: 1,
        ..Insn::NOTHING
    };
    match bit(word, 20) {
        0 => Insn {
            late: moved,
            ..insn
        },
        _ => Insn {
            writes: moved,
            latency: LOAD_LATENCY,
            branch: is_pc(word, register).then_some(to_loaded(field(word, 16, 4))),
            ..insn
        },
    }
}

/// Where a load of the program counter goes.
fn to_loaded(base: u32) -> Branch {
    match base == STACK {
        true => Branch::Return { is_load: true },
        false => Branch::Indirect {
            is_call: false,
            is_load: true,
        },
    }
}

/// An address with a constant.
fn offset(word: u32, magnitude: u32, insn: &mut Insn) {
    let base = field(word, 16, 4);
    let bytes = signed(word, magnitude);
    let (is_before, is_update) = (bit(word, 24) == 1, bit(word, 21) == 1);
    insn.access = Access::Data(Address::Offset {
        base,
        offset_bytes: if is_before { bytes } else { 0 },
    });
    if is_update || !is_before {
        insn.also_writes = Regs::core(base);
        insn.step = Some((base, bytes));
    }
}

/// An address with a second register.
fn indexed(word: u32, index: Regs, insn: &mut Insn) {
    insn.early = insn.early.and(index);
    insn.access = Access::Data(Address::Other);
    if bit(word, 21) == 1 || bit(word, 24) == 0 {
        insn.also_writes = core(word, 16);
    }
}

fn signed(word: u32, magnitude: u32) -> i32 {
    match bit(word, 23) {
        0 => -magnitude.cast_signed(),
        _ => magnitude.cast_signed(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode;
    use super::*;

    fn at(base: u32, offset_bytes: i32) -> Access {
        Access::Data(Address::Offset { base, offset_bytes })
    }

    #[test]
    fn words() {
        // ldr r0, [r1, #-8]; ldr r0, [r1], #4; str r0, [r1, #4]!; ldr r0, [r1, r2, lsl #3]
        let load = decode(0xe511_0008);
        assert_eq!((load.early, load.writes), (Regs::core(1), Regs::core(0)));
        assert_eq!((load.access, load.latency, load.step), (at(1, -8), 3, None));
        let after = decode(0xe491_0004);
        assert_eq!((after.access, after.step), (at(1, 0), Some((1, 4))));
        let store = decode(0xe5a1_0004);
        assert_eq!(
            (store.late, store.also_writes),
            (Regs::core(0), Regs::core(1))
        );
        assert_eq!((store.access, store.step), (at(1, 4), Some((1, 4))));
        let indexed = decode(0xe791_0182);
        assert_eq!((indexed.issue, indexed.latency), (2, 4));
        assert_eq!(decode(0xe791_0102).issue, 1);
    }

    #[test]
    fn other_sizes() {
        // ldrd r0, [r2, #8]; strd r0, [r2]; ldrh r0, [r1], #2; ldrsb r0, [r1, r2]
        let double = decode(0xe1c2_00d8);
        assert_eq!((double.writes, double.access), (Regs::list(0b11), at(2, 8)));
        assert_eq!(double.late, Regs::NONE);
        let store = decode(0xe1c2_00f0);
        assert_eq!((store.late, store.writes), (Regs::list(0b11), Regs::NONE));
        assert_eq!(decode(0xe0d1_00b2).step, Some((1, 2)));
        assert_eq!(decode(0xe191_00d2).early, Regs::list(0b110));
        // ldrex r0, [r1]; strex r0, r2, [r1]; ldrexd r0, [r2]
        assert_eq!(decode(0xe191_0f9f).writes, Regs::core(0));
        assert_eq!(decode(0xe181_0f92).late, Regs::core(2));
        assert_eq!(decode(0xe1b2_0f9f).writes, Regs::list(0b11));
    }

    #[test]
    fn blocks() {
        // ldmia r0!, {r1-r5}; push {r4, lr}; pop {r4, pc}; pld [r0, #64]
        let load = decode(0xe8b0_003e);
        assert_eq!((load.unit_cycles, load.step), (3, Some((0, 20))));
        assert!(load.is_staggered);
        let push = decode(0xe92d_4010);
        assert_eq!((push.access, push.step), (at(13, -8), Some((13, -8))));
        let pop = decode(0xe8bd_8010);
        assert_eq!(pop.branch, Some(Branch::Return { is_load: true }));
        let pld = Access::Prefetch(Address::Offset {
            base: 0,
            offset_bytes: 64,
        });
        assert_eq!(decode(0xf5d0_f040).access, pld);
    }
}
