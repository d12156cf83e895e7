//! The length of short vectors, which is in FPSCR and not in the instructions. The emulator does
//! not say what is in a register, so it is read from the code: a function that sets bits of the
//! length in a register and writes that to FPSCR has it from there on, in all of its blocks that
//! are translated later; a write of anything else ends it for the rest of the block, which is how a
//! function gives back what it found. Used by the edge to QEMU.

use std::collections::HashMap;

use crate::decode::decode_with_length;
use crate::insn::Insn;

/// Where the length less 1 is in FPSCR.
const LENGTH_AT: u32 = 16;
const LENGTH_MASK: u32 = 7;

/// Lengths by function.
#[derive(Debug, Default)]
pub struct Lengths {
    of_functions: HashMap<String, u32>,
}

impl Lengths {
    /// Decodes the instructions of a block of a function.
    pub fn decode(&mut self, function: &str, words: &[u32]) -> Vec<Insn> {
        let mut length = self.of_functions.get(function).copied().unwrap_or(1);
        // What has been set in each core register, in this block.
        let mut set = [0; 16];
        let mut insns = Vec::with_capacity(words.len());
        for &word in words {
            let insn = decode_with_length(word, length);
            if let Some(register) = written_to_fpscr(word) {
                let bits = set[register] >> LENGTH_AT & LENGTH_MASK;
                length = bits + 1;
                if bits > 0 {
                    self.of_functions.insert(function.to_owned(), length);
                }
            }
            match or_immediate(word) {
                Some((to, from, bits)) => set[to] = set[from] | bits,
                None => forget(insn, &mut set),
            }
            insns.push(insn);
        }
        insns
    }
}

fn forget(insn: Insn, set: &mut [u32; 16]) {
    for register in insn.writes.and(insn.also_writes).iter() {
        if let Some(known) = set.get_mut(register) {
            *known = 0;
        }
    }
}

/// The core register that goes to FPSCR: `VMSR FPSCR, Rt`.
fn written_to_fpscr(word: u32) -> Option<usize> {
    (word & 0x0fff_0fff == 0x0ee1_0a10).then_some((word >> 12 & 15) as usize)
}

/// `ORR Rd, Rn, #bits`: both registers, and the bits.
fn or_immediate(word: u32) -> Option<(usize, usize, u32)> {
    let turn = 2 * (word >> 8 & 15);
    let register = |at: u32| (word >> at & 15) as usize;
    let is_or = word >> 28 != 15 && word & 0x0fe0_0000 == 0x0380_0000;
    is_or.then(|| (register(12), register(16), (word & 0xff).rotate_right(turn)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;

    /// vmla.f32 s8, s24, s0
    const FMAC: u32 = 0xee0c_4a00;

    #[test]
    fn a_function_has_its_length_until_it_gives_back_what_it_found() {
        let mut lengths = Lengths::default();
        // vmrs r1, fpscr; orr r2, r1, #0x30000; orr r2, r2, #0x3000000; vmsr fpscr, r2
        let enter = [0xeef1_1a10, 0xe381_2803, 0xe382_2403, 0xeee1_2a10, FMAC];
        // pop {r0, r1}; vmsr fpscr, r1
        let leave = [FMAC, 0xe8bd_0003, 0xeee1_1a10, FMAC];
        let cycles = |insns: &[Insn]| insns.iter().map(|one| one.unit_cycles).collect::<Vec<_>>();
        assert_eq!(lengths.decode("before", &[FMAC])[0], decode(FMAC));
        assert_eq!(cycles(&lengths.decode("f", &enter))[4], 4);
        let left = lengths.decode("f", &leave);
        assert_eq!((left[0].unit_cycles, left[3].unit_cycles), (4, 1));
        // Another block of it may be translated after that; another function has none.
        assert_eq!(lengths.decode("f", &[FMAC])[0].unit_cycles, 4);
        assert_eq!(lengths.decode("g", &[FMAC])[0].unit_cycles, 1);
        // mov r2, #0 between: nothing is known of what is written.
        let other = [0xe381_2803, 0xe3a0_2000, 0xeee1_2a10, FMAC];
        assert_eq!(lengths.decode("h", &other)[3].unit_cycles, 1);
    }
}
