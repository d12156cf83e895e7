//! The instructions of `ARMv6K` with `VFPv2`, by name: ARM Architecture Reference Manual, DDI
//! 0100I, chapters A4 (ARM) and C4 (VFP), in the spelling of the unified assembler (DDI 0406C,
//! where each instruction lists the architectures that have it). Instructions that only a kernel
//! may use are left out. LLVM's disassembler knows which core has what, but not to the letter: it
//! takes `ldrht` and the fixed-point conversions of `VFPv3` for instructions of this core. This
//! table does not.

/// Names to which an `s` may be added: these then set the flags.
const WITH_FLAGS: &str = "\
    adc add and asr bic eor lsl lsr mla mov mul mvn orr ror rrx rsb rsc sbc smlal smull sub \
    umlal umull";

/// Integer instructions, without the condition.
const PLAIN: &str = "\
    b bkpt bl blx bx clrex clz cmn cmp ldm ldmda ldmdb ldmib ldr ldrb ldrbt ldrd ldrex ldrexb \
    ldrexd ldrexh ldrh ldrsb ldrsh ldrt mcr mrc mrs msr nop pkhbt pkhtb pld pop push qadd \
    qdadd qdsub qsub rev rev16 revsh sel sev smlabb smlabt smlad smladx smlalbb smlalbt smlald \
    smlaldx smlaltb smlaltt smlatb smlatt smlawb smlawt smlsd smlsdx smlsld smlsldx smmla \
    smmlar smmls smmlsr smmul smmulr smuad smuadx smulbb smulbt smultb smultt smulwb smulwt \
    smusd smusdx ssat ssat16 stm stmda stmdb stmib str strb strbt strd strex strexb strexd \
    strexh strh strt svc swp swpb sxtab sxtab16 sxtah sxtb sxtb16 sxth teq trap tst udf umaal \
    usad8 usada8 usat usat16 uxtab uxtab16 uxtah uxtb uxtb16 uxth wfe wfi yield";

/// Lane by lane on a register: these prefixes and these names.
const PARALLEL_PREFIXES: &str = "q s sh u uh uq";
const PARALLEL: &str = "add16 add8 asx sax sub16 sub8";

/// `VFPv2`, without the types of its operands.
const VFP: &str = "\
    vabs vadd vcmp vcmpe vcvt vcvtr vdiv vldmdb vldmia vldr vmla vmls vmov vmrs vmsr vmul vneg \
    vnmla vnmls vnmul vpop vpush vsqrt vstmdb vstmia vstr vsub";

const CONDITIONS: &str = "eq ne hs lo mi pl vs vc hi ls ge lt gt le";

/// The only coprocessor besides VFP that a program may talk to: barriers, and its thread's pointer.
const SYSTEM_CONTROL: &str = "p15";

/// Whether the board's core has it, as the disassembler printed it.
pub fn is_known(mnemonic: &str, operands: &str) -> bool {
    let (name, types) = mnemonic.split_once('.').unwrap_or((mnemonic, ""));
    // Thumb-2's names for the length of an encoding.
    if matches!(types, "w" | "n") {
        return false;
    }
    let known = named(name) || without_condition(name).is_some_and(named);
    known && fits(name, types, operands)
}

fn named(name: &str) -> bool {
    let in_list = |list: &str, name: &str| list.split_ascii_whitespace().any(|word| word == name);
    let parallel = || {
        let mut prefixes = PARALLEL_PREFIXES.split_ascii_whitespace();
        prefixes.any(|prefix| {
            name.strip_prefix(prefix)
                .is_some_and(|rest| in_list(PARALLEL, rest))
        })
    };
    let flags = name.strip_suffix('s');
    in_list(WITH_FLAGS, name)
        || in_list(PLAIN, name)
        || in_list(VFP, name)
        || flags.is_some_and(|name| in_list(WITH_FLAGS, name))
        || parallel()
}

fn without_condition(name: &str) -> Option<&str> {
    let mut conditions = CONDITIONS.split_ascii_whitespace();
    conditions.find_map(|condition| name.strip_suffix(condition))
}

/// What the name alone does not tell.
fn fits(name: &str, types: &str, operands: &str) -> bool {
    match name.get(..3) {
        Some("mcr" | "mrc") => operands.starts_with(SYSTEM_CONTROL),
        // To and from fixed point is VFPv3, as is a constant in a move.
        Some("vcv" | "vmo") => !operands.contains('#') && !types.contains("16"),
        // Registers of 128 bits are NEON's.
        Some(start) if start.starts_with('v') => !operands.starts_with('q'),
        _ => true,
    }
}

#[test]
fn what_the_core_has() {
    for (mnemonic, operands) in [
        ("add", "r0, r1, r2"),
        ("addseq", "r0, r1, r2"),
        ("mulsne", "r0, r1, r2"),
        ("bls", "0x1234"),
        ("uqadd8", "r0, r1, r2"),
        ("shasxeq", "r0, r1, r2"),
        ("smlawt", "r0, r1, r2, r3"),
        ("strexd", "r0, r2, r3, [r1]"),
        ("mcr", "p15, #0, r0, c7, c10, #5"),
        ("vmovne.f64", "d0, d1"),
        ("vcvt.s32.f64", "s0, d0"),
        ("vldmia", "r0!, {d0, d1}"),
    ] {
        assert!(is_known(mnemonic, operands), "{mnemonic} {operands}");
    }
}

#[test]
fn what_it_does_not_have() {
    for (mnemonic, operands) in [
        ("movw", "r0, #1"),
        ("movteq", "r0, #1"),
        ("mls", "r0, r1, r2, r3"),
        ("ldrht", "r0, [r1], #0"),
        ("udiv", "r0, r1, r2"),
        ("add.w", "r0, r1, r2"),
        ("b.n", "0x1234"),
        ("ubfx", "r0, r1, #1, #3"),
        ("dmb", "ish"),
        ("hint", "#5"),
        ("cdp", "p1, #0, c0, c0, c0, #0"),
        ("mcr", "p10, #0, r0, c7, c10, #5"),
        ("vmov.f32", "s0, #1.0"),
        ("vmov.u16", "r0, d0[1]"),
        ("vcvt.f32.s32", "s0, s0, #4"),
        ("vmla.f32", "q0, q1, q2"),
        ("vfma.f32", "s0, s1, s2"),
        ("<unknown>", ""),
        ("", ""),
    ] {
        assert!(!is_known(mnemonic, operands), "{mnemonic} {operands}");
    }
}
