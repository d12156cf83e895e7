//! Branch prediction: the target cache, the static rule and the return stack of the ARM1176
//! (DDI 0301H, 5.2), and what a branch costs beyond its issue. Used by the edge to QEMU, which says
//! where each block of instructions was followed by which.

use crate::insn::Branch;

/// Entries of the branch target address cache, directly mapped.
const TARGETS: usize = 128;
/// Entries of the return stack.
const RETURNS: usize = 3;
/// A wrong prediction empties the pipeline.
const WRONG_CYCLES: u32 = 6;
/// A branch taken by the static rule is found later than one in the target cache. A guess.
const STATIC_CYCLES: u32 = 3;
/// Beyond the cycle of its issue: a return that the stack predicts, and one that it does not.
const RETURN_CYCLES: u32 = 3;
const WRONG_RETURN_CYCLES: u32 = 8;
/// A jump to a register or a loaded address is never predicted.
const INDIRECT_CYCLES: u32 = 6;
const LOADED_CYCLES: u32 = 8;
/// Two bits: taken from here on …
const TAKEN: u8 = 2;
/// … up to here.
const STRONGLY_TAKEN: u8 = 3;

#[derive(Debug, Clone, Copy, Default)]
struct Target {
    /// The branch's address; 0 for none.
    at: u32,
    counter: u8,
}

/// A branch that was executed.
#[derive(Debug, Clone, Copy)]
pub struct Executed {
    /// Its address.
    pub at: u32,
    /// Its kind.
    pub branch: Branch,
    /// Where the program went on.
    pub next: u32,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Predictor {
    targets: [Target; TARGETS],
    returns: [u32; RETURNS],
    top: usize,
}

impl Default for Predictor {
    fn default() -> Self {
        Self {
            targets: [Target::default(); TARGETS],
            returns: [0; RETURNS],
            top: 0,
        }
    }
}

impl Predictor {
    /// What it costs in cycles, beyond its issue; and learns from it.
    pub fn execute(&mut self, executed: Executed) -> u32 {
        const WORD_BYTES: u32 = 4;
        let after = executed.at.wrapping_add(WORD_BYTES);
        let is_taken = executed.next != after;
        match executed.branch {
            Branch::Direct {
                offset_bytes,
                is_call,
            } => {
                if is_call && is_taken {
                    self.push(after);
                }
                self.direct(executed.at, offset_bytes < 0, is_taken)
            }
            _ if !is_taken => 0,
            Branch::Return { is_load: _ } => match self.pop() == executed.next {
                true => RETURN_CYCLES,
                false => WRONG_RETURN_CYCLES,
            },
            Branch::Indirect { is_call, is_load } => {
                if is_call {
                    self.push(after);
                }
                if is_load {
                    LOADED_CYCLES
                } else {
                    INDIRECT_CYCLES
                }
            }
        }
    }

    fn direct(&mut self, at: u32, is_backward: bool, is_taken: bool) -> u32 {
        let target = &mut self.targets[(at >> 2) as usize % TARGETS];
        if target.at != at {
            // Only what is taken gets an entry.
            if is_taken {
                let counter = STRONGLY_TAKEN;
                *target = Target { at, counter };
            }
            return match (is_backward, is_taken) {
                (true, true) => STATIC_CYCLES,
                (false, false) => 0,
                _ => WRONG_CYCLES,
            };
        }
        let is_expected = target.counter >= TAKEN;
        target.counter = match is_taken {
            true => (target.counter + 1).min(STRONGLY_TAKEN),
            false => target.counter.saturating_sub(1),
        };
        if is_expected == is_taken {
            0
        } else {
            WRONG_CYCLES
        }
    }

    fn push(&mut self, address: u32) {
        self.top = (self.top + 1) % RETURNS;
        self.returns[self.top] = address;
    }

    fn pop(&mut self) -> u32 {
        let address = self.returns[self.top];
        self.top = (self.top + RETURNS - 1) % RETURNS;
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(at: u32, offset_bytes: i32, is_taken: bool) -> Executed {
        let target = at.wrapping_add_signed(offset_bytes);
        Executed {
            at,
            branch: Branch::Direct {
                offset_bytes,
                is_call: false,
            },
            next: if is_taken { target } else { at + 4 },
        }
    }

    #[test]
    fn a_loop_is_learnt_and_its_end_is_not() {
        let mut predictor = Predictor::default();
        assert_eq!(predictor.execute(direct(64, -32, true)), STATIC_CYCLES);
        for _ in 0..10 {
            assert_eq!(predictor.execute(direct(64, -32, true)), 0);
        }
        assert_eq!(predictor.execute(direct(64, -32, false)), WRONG_CYCLES);
        assert_eq!(predictor.execute(direct(64, -32, true)), 0);
        // Forward and never taken: right from the start.
        assert_eq!(predictor.execute(direct(68, 32, false)), 0);
    }

    #[test]
    fn three_returns_are_known() {
        let mut predictor = Predictor::default();
        let call = |at| Executed {
            at,
            branch: Branch::Direct {
                offset_bytes: 4_096,
                is_call: true,
            },
            next: at + 4_096,
        };
        let back = |next| Executed {
            at: 8,
            branch: Branch::Return { is_load: true },
            next,
        };
        for at in [100, 200, 300, 400] {
            predictor.execute(call(at));
        }
        for at in [404, 304, 204] {
            assert_eq!(predictor.execute(back(at)), RETURN_CYCLES, "{at}");
        }
        assert_eq!(predictor.execute(back(104)), WRONG_RETURN_CYCLES);
    }
}
