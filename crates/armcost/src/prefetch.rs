//! Where a `PLD` points to. The emulator does nothing at a `PLD`, and tells a plugin of its version
//! neither of it nor of the registers. But kernels prefetch at a distance from what they load: in a
//! block of instructions, a prefetch and a load or store from the same register are a known number
//! of bytes apart, and the address of the latter is told. Used by the edge to QEMU.

use std::collections::HashMap;

use crate::insn::{Access, Address, Insn};
use crate::regs::Regs;

/// The prefetches of a block, as seen from its loads and stores.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Anchors {
    /// Instructions, by their place in the block, and how far from the address of each a line is
    /// prefetched, in bytes.
    pub found: Vec<(usize, i32)>,
    /// Prefetches without such an instruction: they are not modelled.
    pub unknown: u32,
}

/// A register's value when the block began, or when something unknown was written to it; and what
/// has been added since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Value {
    register: u32,
    version: usize,
}

/// Finds them in the instructions of a block.
#[must_use]
pub fn anchors(insns: &[Insn]) -> Anchors {
    let mut states: HashMap<u32, (Value, i32)> = HashMap::new();
    let mut loads: HashMap<Value, (usize, i32)> = HashMap::new();
    let mut prefetches = Vec::new();
    for (place, insn) in insns.iter().enumerate() {
        let of = |base: u32, offset: i32| {
            let version = usize::MAX;
            let start = Value {
                register: base,
                version,
            };
            let (value, moved) = states.get(&base).copied().unwrap_or((start, 0));
            (value, moved.wrapping_add(offset))
        };
        match insn.access {
            Access::Data(Address::Offset { base, offset_bytes }) => {
                let (value, at) = of(base, offset_bytes);
                loads.entry(value).or_insert((place, at));
            }
            Access::Prefetch(Address::Offset { base, offset_bytes }) => {
                prefetches.push(Some(of(base, offset_bytes)));
            }
            Access::Prefetch(Address::Other) => prefetches.push(None),
            _ => {}
        }
        let stepped = insn.step.map(|(base, bytes)| (base, of(base, bytes)));
        for register in core_registers(insn.writes.and(insn.also_writes)) {
            let version = place;
            let value = Value { register, version };
            states.insert(register, (value, 0));
        }
        if let Some((base, state)) = stepped {
            // A load into its own base register is no step.
            if insn.access == Access::None || !core_registers(insn.writes).any(|r| r == base) {
                states.insert(base, state);
            }
        }
    }
    let mut anchors = Anchors::default();
    for prefetch in prefetches {
        let known = prefetch.and_then(|(value, at)| Some((loads.get(&value)?, at)));
        match known {
            Some((&(place, from), at)) => anchors.found.push((place, at.wrapping_sub(from))),
            None => anchors.unknown += 1,
        }
    }
    anchors
}

fn core_registers(all: Regs) -> impl Iterator<Item = u32> {
    const CORE: u32 = 16;
    (0..CORE).filter(move |&number| Regs::core(number).0 & all.0 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;

    fn of(words: &[u32]) -> Anchors {
        let insns: Vec<_> = words.iter().map(|&word| decode(word)).collect();
        anchors(&insns)
    }

    fn found(found: &[(usize, i32)]) -> Anchors {
        Anchors {
            found: found.to_vec(),
            unknown: 0,
        }
    }

    #[test]
    fn a_prefetch_is_a_distance_from_a_load() {
        // pld [r0, #64]; ldmia r0!, {r1-r4}
        assert_eq!(of(&[0xf5d0_f040, 0xe8b0_001e]), found(&[(1, 64)]));
        // ldmia r0!, {r1-r4}; pld [r0, #64]: 16 bytes further.
        assert_eq!(of(&[0xe8b0_001e, 0xf5d0_f040]), found(&[(0, 80)]));
        // ldr r1, [r0, #4]; add r0, r0, #32; pld [r0, #64]
        assert_eq!(
            of(&[0xe590_1004, 0xe280_0020, 0xf5d0_f040]),
            found(&[(0, 92)])
        );
    }

    #[test]
    fn another_value_of_the_register_is_none() {
        let unknown = Anchors {
            found: Vec::new(),
            unknown: 1,
        };
        // ldr r1, [r0]; mov r0, r2; pld [r0, #64]
        assert_eq!(of(&[0xe590_1000, 0xe1a0_0002, 0xf5d0_f040]), unknown);
        // ldr r0, [r0]; pld [r0]
        assert_eq!(of(&[0xe590_0000, 0xf5d0_f000]), unknown);
        // pld [r0, r1]
        assert_eq!(of(&[0xf7d0_f001]), unknown);
    }
}
