//! What the pipeline must know of an instruction: made by [`crate::decode`], used by
//! [`crate::pipeline`], [`crate::prefetch`] and the edge to QEMU. Times are cycles of the core.

use crate::regs::Regs;

/// A part of the core that is busy with an instruction for some cycles after its issue, while
/// others go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// None that anything else waits for.
    None,
    /// Loads and stores.
    Memory,
    /// Additions and multiplications of the floating-point unit.
    FloatMac,
    /// Divisions and square roots of the floating-point unit.
    FloatDivide,
}

/// Where the program goes after an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// To a place that the instruction names, `offset_bytes` from itself.
    Direct {
        /// From the instruction's own address.
        offset_bytes: i32,
        /// Whether it is a call.
        is_call: bool,
    },
    /// Back to the caller: `BX LR`, `MOV PC, LR`, or a load that includes the program counter
    /// from the stack.
    Return {
        /// Whether the address comes from memory.
        is_load: bool,
    },
    /// To a place in a register or a table.
    Indirect {
        /// Whether it is a call.
        is_call: bool,
        /// Whether the address comes from memory.
        is_load: bool,
    },
}

/// What an instruction has to do with memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    None,
    /// Reads or writes, beginning at an address that is known but for a register.
    Data(Address),
    /// `PLD`.
    Prefetch(Address),
}

/// An address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// A core register and a constant.
    Offset {
        /// The register's number.
        base: u32,
        /// What is added, in bytes.
        offset_bytes: i32,
    },
    /// Anything else.
    Other,
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insn {
    /// Needed when it issues.
    pub reads: Regs,
    /// Needed a cycle earlier: what goes through the shifter, the address unit or the multiplier.
    pub early: Regs,
    /// Needed a cycle later: stored data, accumulators.
    pub late: Regs,
    /// What it computes or loads.
    pub writes: Regs,
    /// Cycles from its issue to that of an instruction that reads them.
    pub latency: u32,
    /// Whether two registers at a time arrive, each pair a cycle after the one before.
    pub is_staggered: bool,
    /// What else it changes, with the latency of one cycle: the flags, an updated base register.
    pub also_writes: Regs,
    /// Cycles until the next instruction can issue.
    pub issue: u32,
    /// What it keeps busy …
    pub unit: Unit,
    /// … for how many cycles.
    pub unit_cycles: u32,
    /// Whether and how it branches.
    pub branch: Option<Branch>,
    /// Whether it may do nothing, by the flags.
    pub is_conditional: bool,
    /// What it has to do with memory.
    pub access: Access,
    /// A core register that it changes by a known number of bytes.
    pub step: Option<(u32, i32)>,
}

impl Insn {
    /// One cycle, nothing read or written.
    pub const NOTHING: Self = Self {
        reads: Regs::NONE,
        early: Regs::NONE,
        late: Regs::NONE,
        writes: Regs::NONE,
        latency: 1,
        is_staggered: false,
        also_writes: Regs::NONE,
        issue: 1,
        unit: Unit::None,
        unit_cycles: 0,
        branch: None,
        is_conditional: false,
        access: Access::None,
        step: None,
    };
}
