//! What this machine has: programs, libclang, a package manager, its name. Used by `setup`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::packages::{Manager, Probe, Tool};
use crate::process;

/// Where systems keep libclang, besides the folders of their LLVM versions under [`LLVM_PARENT`]
/// (the same places in which clang-sys, and so bindgen, looks).
const LIBRARY_FOLDERS: [&str; 8] = [
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/arm-linux-gnueabihf",
    "/home/linuxbrew/.linuxbrew/opt/llvm/lib",
];

/// Debian has each LLVM version in `/usr/lib/llvm-N/lib`.
const LLVM_PARENT: &str = "/usr/lib";

/// Whether the machine has `tool`.
pub fn is_present(tool: &Tool) -> bool {
    match tool.probe {
        Probe::AnyProgram(names) => names
            .iter()
            .any(|name| process::find_program(name).is_some()),
        Probe::Libclang => has_libclang(),
    }
}

/// The first package manager that is there.
pub fn package_manager() -> Option<Manager> {
    Manager::ALL
        .into_iter()
        .find(|manager| process::find_program(manager.program()).is_some())
}

/// What the system calls itself, for messages.
pub fn system_name() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    pretty_name(&text).unwrap_or_else(|| "This system".to_owned())
}

/// `PRETTY_NAME` of an os-release file (format: man os-release).
fn pretty_name(os_release: &str) -> Option<String> {
    let value = os_release
        .lines()
        .find_map(|line| line.trim().strip_prefix("PRETTY_NAME="))?;
    let name = value.trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// Looks where bindgen will look: `LIBCLANG_PATH`, the `llvm-config` that it would ask, the
/// loader's cache, the usual folders.
fn has_libclang() -> bool {
    if let Some(given) = env::var_os("LIBCLANG_PATH") {
        let given = PathBuf::from(given);
        return given.is_file() || holds_libclang(&given);
    }
    let told = llvm_config_folder().into_iter();
    let usual = LIBRARY_FOLDERS.iter().map(PathBuf::from);
    told.chain(usual)
        .chain(llvm_folders())
        .any(|folder| holds_libclang(&folder))
        || loader_knows_libclang()
}

fn llvm_config_folder() -> Option<PathBuf> {
    let program = env::var_os("LLVM_CONFIG_PATH").unwrap_or_else(|| "llvm-config".into());
    let folder = process::output(process::command(program).arg("--libdir")).ok()?;
    Some(PathBuf::from(folder.trim()))
}

fn llvm_folders() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(LLVM_PARENT) else {
        return Vec::new();
    };
    let names = entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"llvm"));
    names.map(|entry| entry.path().join("lib")).collect()
}

fn loader_knows_libclang() -> bool {
    process::output(process::command("ldconfig").arg("-p"))
        .is_ok_and(|list| list.lines().any(|line| is_libclang(line.trim())))
}

fn holds_libclang(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| is_libclang(&entry.file_name().to_string_lossy()))
}

/// `libclang.so`, `libclang.so.1`, `libclang-14.so.1`, but not `libclang-cpp.so.14` (the C++
/// interface) and not `libclangAST.a` (Clang's parts).
fn is_libclang(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("libclang") else {
        return false;
    };
    let version = rest.strip_prefix('-').map_or(rest, |version| {
        version.trim_start_matches(|digit: char| digit.is_ascii_digit() || digit == '.')
    });
    version.starts_with(".so") || version.starts_with("so")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_interface_and_nothing_else() {
        for name in [
            "libclang.so",
            "libclang.so.1",
            "libclang-14.so.1",
            "libclang-14.0.6.so",
        ] {
            assert!(is_libclang(name), "{name}");
        }
        for name in [
            "libclang-cpp.so.14",
            "libclangAST.a",
            "libclang.a",
            "libc.so",
            "clang.so",
        ] {
            assert!(!is_libclang(name), "{name}");
        }
    }

    #[test]
    fn the_name_of_a_system() {
        let debian = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=Debian\n";
        assert_eq!(
            pretty_name(debian).as_deref(),
            Some("Debian GNU/Linux 12 (bookworm)")
        );
        assert_eq!(pretty_name("PRETTY_NAME=Arch\n").as_deref(), Some("Arch"));
        assert_eq!(pretty_name("ID=unknown\n"), None);
        assert_eq!(pretty_name("PRETTY_NAME=\"\"\n"), None);
    }
}
