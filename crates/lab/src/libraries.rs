//! The shared libraries that a program needs, so that it runs in a guest that has nothing else.
//! Used by [`initramfs`](crate::initramfs).

use std::path::{Path, PathBuf};

use crate::{LabError, Result, tool};

/// What the loader says of a library that it does not find.
const NOT_FOUND: &str = "not found";

/// The libraries of `program` and its loader, as paths of this machine that are those of the guest
/// too. Asks the loader by `ldd`.
///
/// # Errors
/// A library is missing on this machine.
pub fn needed_by(program: &Path) -> Result<Vec<PathBuf>> {
    let said = tool::text(tool::command("ldd").arg(program))?;
    if let Some(line) = said.lines().find(|line| line.contains(NOT_FOUND)) {
        let program = program.display();
        return Err(LabError::Unexpected(format!("{program}: {}", line.trim())));
    }
    Ok(paths(&said))
}

/// Lines are `libc.so.6 => /lib/…/libc.so.6 (0x…)` or `/lib64/ld-linux-x86-64.so.2 (0x…)`; the
/// kernel's own (`linux-vdso.so.1`) has no path.
fn paths(said: &str) -> Vec<PathBuf> {
    let words = said.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.find(|word| word.starts_with('/'))
    });
    words.map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_a_path_is_a_file() {
        let said = "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x2)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x3)\n";
        let expected = ["/lib/x/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(paths(said), expected.map(PathBuf::from));
    }
}
