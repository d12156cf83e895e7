//! No instruction outside `ARMv6K` with `VFPv2`: the board's kernel ends a program at the first
//! one. And the proof that this check, and the emulated core, would find one.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use super::board::{Build, compiler};
use super::disassembly::{self, Listing};
use crate::support::tool;

/// Functions that have foreign instructions and are not reached on the board, and why.
const GUARDED: [(&str, &str); 4] = [
    ("__a_barrier_v7", "musl: where the kernel says ARMv7"),
    ("__a_cas_v7", "musl: where the kernel says ARMv7"),
    (
        "_ZN9libunwind13Registers_arm9saveVFPv3EPv",
        "libunwind: for functions that saved d16 to d31, which VFPv2 does not have",
    ),
    (
        "_ZN9libunwind13Registers_arm12restoreVFPv3EPv",
        "libunwind: the same",
    ),
];

/// The program has several hundred thousand; far fewer would mean that code was read as data.
const FEWEST_INSTRUCTIONS: u64 = 200_000;

/// A name, and the instruction in the ARM encoding (ARM Architecture Reference Manual, DDI 0406C).
const FOREIGN: [(&str, u32); 24] = [
    ("movw r1, #0x1234", 0xe301_1234),
    ("movt r1, #0x1234", 0xe341_1234),
    ("udiv r0, r0, r1", 0xe730_f110),
    ("sdiv r0, r0, r1", 0xe710_f110),
    ("mls r0, r1, r2, r3", 0xe060_3291),
    ("ubfx r0, r0, #1, #3", 0xe7e2_00d0),
    ("sbfx r0, r0, #1, #3", 0xe7a2_00d0),
    ("bfc r0, #1, #3", 0xe7c3_009f),
    ("bfi r0, r1, #1, #3", 0xe7c3_0091),
    ("rbit r0, r1", 0xe6ff_0f31),
    ("ldrht r0, [r1], #0", 0xe0f1_00b0),
    ("dmb ish", 0xf57f_f05b),
    ("dsb sy", 0xf57f_f04f),
    ("isb sy", 0xf57f_f06f),
    ("pldw [r0]", 0xf590_f000),
    ("vmla.f32 q0, q1, q2", 0xf202_0d54),
    ("vadd.i32 d0, d1, d2", 0xf221_0802),
    ("vld1.8 {d0}, [r0]", 0xf420_070f),
    ("vadd.f64 d16, d0, d1", 0xee70_0b01),
    ("vldmia r0, {d16-d31}", 0xecd0_0b20),
    ("vmov.f32 s0, #1.0", 0xeeb7_0a00),
    ("vcvt.f32.s32 s0, s0, #4", 0xeeba_0ace),
    ("vcvtb.f32.f16 s0, s1", 0xeeb2_0a60),
    ("vfma.f32 s0, s1, s2", 0xeea0_0a81),
];

/// QEMU 7.2 runs it on this core all the same: one more reason to have two judges.
const EMULATED: &str = "ldrht r0, [r1], #0";

#[test]
fn the_board_has_every_instruction() {
    for build in Build::ALL {
        let listing = disassembly::read(&build.with_symbols());
        let guarded = |symbol: &str| GUARDED.iter().any(|(name, _)| *name == symbol);
        let foreign = listing.foreign.iter();
        let unguarded: Vec<_> = foreign.filter(|found| !guarded(&found.symbol)).collect();
        assert!(unguarded.is_empty(), "{build:?}: {unguarded:#?}");
        let count = listing.instructions;
        assert!(count > FEWEST_INSTRUCTIONS, "{build:?}: only {count}");
        println!("{build:?}: {count} instructions");
    }
}

/// What was checked has symbols, what is shipped has none: the code must be the same.
#[test]
fn the_code_is_that_of_the_file_with_symbols() {
    for build in Build::ALL {
        let shipped = executable_segments(&build.shipped());
        assert!(!shipped.is_empty());
        assert!(
            shipped == executable_segments(&build.with_symbols()),
            "{build:?}"
        );
    }
}

/// Whatever the file says about itself, and however the assembler was told.
#[test]
fn a_foreign_instruction_is_found() {
    for claim in [".cpu arm1176jzf-s", ".cpu cortex-a15\n.fpu neon-vfpv4"] {
        let listing = assembled(claim);
        for (number, (name, _)) in FOREIGN.iter().enumerate() {
            let symbol = format!("foreign{number}");
            let found = listing.foreign.iter().filter(|f| f.symbol == symbol);
            assert_eq!(found.count(), 1, "{claim}: {name}");
        }
        assert_eq!(listing.foreign.len(), FOREIGN.len(), "{listing:#?}");
        // Each function returns, and `bx lr` is one of the core's own.
        assert_eq!(listing.instructions, 2 * FOREIGN.len() as u64);
    }
}

/// Thumb is an encoding of the core's; of Thumb-2's, which are longer, it has those of branches
/// only.
#[test]
fn a_thumb_2_instruction_is_found() {
    for (name, halves) in [
        ("add.w r0, r0, r1", [0xeb00_u16, 0x0001]),
        ("movw r0, #0x1234", [0xf241, 0x2034]),
    ] {
        let [first, second] = halves;
        let code = format!(
            ".thumb\nknown:\nadds r0, r0, r1\nbx lr\n\
             foreign:\n.inst.n {first:#x}\n.inst.n {second:#x}\nbx lr\n"
        );
        let listing = assembled_text(&code);
        assert!(!listing.foreign.is_empty(), "{name}: {listing:#?}");
        let mut symbols = listing.foreign.iter().map(|found| &found.symbol);
        assert!(symbols.all(|symbol| symbol == "foreign"), "{listing:#?}");
    }
}

/// One function for each of [`FOREIGN`].
fn assembled(claim: &str) -> Listing {
    let functions = FOREIGN.iter().enumerate().map(|(number, (_, word))| {
        format!("foreign{number}:\n.inst {word:#x}\nbx lr\n.word {word:#x}\n")
    });
    assembled_text(&format!("{claim}\n.arm\n{}", functions.collect::<String>()))
}

fn assembled_text(text: &str) -> Listing {
    let folder = tempfile::tempdir().unwrap();
    let (source, object) = (folder.path().join("a.s"), folder.path().join("a.o"));
    std::fs::write(&source, text).unwrap();
    tool::expect(compiler().arg("-c").arg(&source).arg("-o").arg(&object));
    disassembly::read(&object)
}

/// The other judge: a core that stops.
#[test]
fn the_emulated_core_stops_at_them() {
    let folder = tempfile::tempdir().unwrap();
    let program = program_with_foreign_instructions(folder.path());
    let run = |number: usize| {
        let mut command = tool::command("qemu-arm");
        command.args(["-cpu", "arm1176"]).arg(&program);
        tool::output(command.arg(number.to_string()), b"").status
    };
    assert!(run(FOREIGN.len()).success(), "none of them");
    for (number, (name, _)) in FOREIGN.iter().enumerate() {
        let status = run(number);
        match *name {
            EMULATED => assert!(status.success(), "{name}: {status}"),
            _ => assert_eq!(status.signal(), Some(Signal::SIGILL as i32), "{name}"),
        }
    }
}

/// Executes the instruction whose number it is given.
fn program_with_foreign_instructions(folder: &Path) -> PathBuf {
    let (source, program) = (folder.join("a.c"), folder.join("a"));
    let cases = FOREIGN.iter().enumerate().map(|(number, (_, word))| {
        // Where one reads from memory, there is some.
        format!(
            "case {number}: __asm__ volatile(\"mov r1, sp\\n.inst {word:#x}\" \
             : : : \"r0\", \"r1\"); break;\n"
        )
    });
    let text = format!(
        "#include <stdlib.h>\n\
         int main(int count, char **words) {{\n\
         switch (atoi(words[1])) {{\n{}}}\nreturn 0;\n}}\n",
        cases.collect::<String>()
    );
    std::fs::write(&source, text).unwrap();
    tool::expect(compiler().arg("-O1").arg(&source).arg("-o").arg(&program));
    program
}

/// The bytes that the kernel maps as executable: program headers of type `LOAD` with the flag `X`
/// (ELF-32 Object File Format, Tool Interface Standards 1.2, part 2).
fn executable_segments(file: &Path) -> Vec<Vec<u8>> {
    const LOAD: usize = 1;
    const EXECUTABLE: usize = 1;
    let bytes = std::fs::read(file).unwrap();
    let half = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let word = |at: usize| half(at) | half(at + 2) << 16;
    let (table, size, count) = (word(0x1c), half(0x2a), half(0x2c));
    let headers = (0..count).map(|number| table + number * size);
    let wanted = headers.filter(|&at| word(at) == LOAD && word(at + 24) & EXECUTABLE != 0);
    wanted
        .map(|at| bytes[word(at + 4)..][..word(at + 16)].to_vec())
        .collect()
}
