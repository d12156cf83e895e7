//! The modules that a guest may load (`labhost::modules` names them), with those that they need,
//! and their files as the guest's kernel takes them. Used by [`initramfs`](crate::initramfs).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::error::At;
use crate::kernel::Kernel;
use crate::{Result, tool};

/// Where modules lie in the guest.
const GUEST_FOLDER: &str = "/lab/ko";

/// A module's file in the guest, and its content.
pub type ModuleFile = (String, Vec<u8>);

/// The files of all modules that a guest may load, and the list that tells the guest about them
/// (`labhost::modules`). A wanted module that the kernel does not have is built in.
///
/// # Errors
/// The index or a file cannot be read.
pub fn collect(kernel: &Kernel) -> Result<(String, Vec<ModuleFile>)> {
    let path = kernel.modules.join("modules.dep");
    let index = Index::parse(&fs::read_to_string(&path).at(&path)?);
    let mut list = String::new();
    let mut files = Vec::new();
    for name in index.closure(&labhost::modules::all()) {
        let Some(module) = index.modules.get(&name) else {
            continue;
        };
        let file = format!("{GUEST_FOLDER}/{name}.ko");
        list.push_str(&format!("{name} {file} {}\n", module.needs.join(" ")));
        files.push((file, content(&kernel.modules.join(&module.path))?));
    }
    Ok((list, files))
}

/// `modules.dep` (man modules.dep): for each module's file those that it needs, directly or not.
struct Index {
    modules: BTreeMap<String, Module>,
}

struct Module {
    path: String,
    needs: Vec<String>,
}

impl Index {
    fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let modules = lines.map(|(path, needs)| {
            let module = Module {
                path: path.to_owned(),
                needs: needs.split_whitespace().map(name_of).collect(),
            };
            (name_of(path), module)
        });
        Self {
            modules: modules.collect(),
        }
    }

    /// The modules and all that they need.
    fn closure(&self, wanted: &[&str]) -> BTreeSet<String> {
        let mut all: BTreeSet<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        for name in wanted {
            let module = self.modules.get(*name);
            all.extend(
                module
                    .map_or(&[][..], |module| &module.needs)
                    .iter()
                    .cloned(),
            );
        }
        all
    }
}

/// `kernel/fs/fat/nls-utf8.ko.xz` is the module `nls_utf8`.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split('.').next().unwrap_or(file);
    stem.replace('-', "_")
}

/// The module as `finit_module` takes it without further ado: not compressed.
fn content(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_some_and(|end| end == "xz") {
        return tool::run(tool::command("xz").args(["-dc"]).arg(path));
    }
    fs::read(path).at(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/a/usb-storage.ko.xz: kernel/b/scsi_mod.ko.xz kernel/c/usbcore.ko.xz\n\
        kernel/b/scsi_mod.ko.xz:\nkernel/c/usbcore.ko.xz:\nkernel/d/other.ko:\n";

    #[test]
    fn a_module_comes_with_those_that_it_needs() {
        let index = Index::parse(DEP);
        let all: Vec<String> = index
            .closure(&["usb_storage", "built_in"])
            .into_iter()
            .collect();
        assert_eq!(all, ["built_in", "scsi_mod", "usb_storage", "usbcore"]);
        assert_eq!(
            index.modules["usb_storage"].path,
            "kernel/a/usb-storage.ko.xz"
        );
    }
}
