//! Every instruction of a file for ARM, as LLVM's disassembler reads it for the board's core.
//!
//! What the file says about itself (`.ARM.attributes`) is taken out first: the disassembler would
//! believe it. Where code ends and data begins it takes from the mapping symbols `$a`, `$t` and
//! `$d` (ELF for the Arm Architecture, 2024Q3, 5.5.5), so the file must have its symbols.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use super::mnemonics;
use crate::support::tool;

/// `ARMv6K`, and all that the core has beside it: `VFPv2`, no NEON.
const OPTIONS: [&str; 4] = [
    "--disassemble",
    "--no-show-raw-insn",
    "--triple=armv6k-unknown-linux-gnueabihf",
    "--mcpu=arm1176jzf-s",
];

/// How data in the middle of code is printed.
const DATA: [&str; 5] = [".word", ".short", ".byte", ".ascii", ".asciz"];

/// An instruction that the core does not have.
#[derive(Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The function that it is in.
    pub symbol: String,
    /// Address and text, as printed.
    pub line: String,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Listing {
    pub instructions: u64,
    pub foreign: Vec<Foreign>,
}

/// Reads a file with its symbols.
pub fn read(file: &Path) -> Listing {
    let bare = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut copy = tool::command("llvm-objcopy");
    copy.arg("--remove-section=.ARM.attributes");
    tool::expect(copy.arg(file).arg(bare.path()));
    let mut child = tool::command("llvm-objdump")
        .args(OPTIONS)
        .arg(bare.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`cargo xtask setup` installs llvm-objdump");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut listing = Listing::default();
    let mut symbol = String::new();
    for line in lines {
        let line = line.expect("what llvm-objdump prints");
        match label(&line) {
            Some(name) => name.clone_into(&mut symbol),
            None => listing.take(&symbol, &line),
        }
    }
    assert!(child.wait().expect("it ends").success());
    listing
}

/// The function of a line such as `00012345 <main>:`. Mapping symbols are printed in the same way,
/// and are none.
fn label(line: &str) -> Option<&str> {
    let (address, rest) = line.split_once(" <")?;
    let name = is_hexadecimal(address)
        .then_some(rest)?
        .strip_suffix(">:")?;
    (!name.starts_with('$')).then_some(name)
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

impl Listing {
    /// A line such as `   12345:\tmov\tr0, r1\t@ comment`; other lines are headings. Data comes
    /// with its bytes: `   12345:\t00 00 00 00\t.word\t0x00000000`.
    fn take(&mut self, symbol: &str, line: &str) {
        let Some((address, text)) = line.split_once(':') else {
            return;
        };
        let mut parts = text.trim_start().split('\t');
        let (mnemonic, operands) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let is_data = DATA.contains(&mnemonic) || DATA.contains(&operands);
        if !is_hexadecimal(address.trim_start()) || is_data {
            return;
        }
        self.instructions += 1;
        if !mnemonics::is_known(mnemonic, operands.trim_start()) {
            self.foreign.push(Foreign {
                symbol: symbol.to_owned(),
                line: line.trim().to_owned(),
            });
        }
    }
}
