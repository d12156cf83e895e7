//! The kernel modules of a guest: which there are, and loading them with those that they need. The
//! harness puts what is named here into the guest (`lab::modules`) and writes the list; this end
//! follows it. Used by [`init`](crate::init) and by scenarios.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs::{self, File};
use std::path::Path;

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};

use crate::error::Doing;
use crate::{Failure, Result};

/// What every guest has: the export disk, the daemon's log.
pub const BASIC: [&str; 3] = ["virtio_pci", "virtio_blk", "virtio_console"];

/// The gadget's side.
pub const GADGET: [&str; 4] = [
    "configfs",
    "libcomposite",
    "usb_f_mass_storage",
    "dummy_hcd",
];

/// The host's USB side.
pub const HOST: [&str; 2] = ["usb_storage", "sg"];

/// FAT volumes, with what their names may be written in.
pub const FAT: [&str; 5] = [
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_iso8859_1",
    "nls_utf8",
];

/// The disk driver: a host that is not Linux does without.
pub const DISK: &str = "sd_mod";

/// Both ends of a cable that can be pulled ([`usbip`](crate::usbip)).
pub const USBIP: [&str; 2] = ["usbip_vudc", "vhci_hcd"];

/// What the file system of a board's card needs.
pub const EXT4: [&str; 2] = ["crc32c_generic", "ext4"];

/// A network interface: a PC's, and one on a board's USB.
pub const NETWORK: [&str; 2] = ["virtio_net", "cdc_ether"];

/// What the kernel blinks with.
pub const LED_TRIGGERS: [&str; 2] = ["ledtrig_timer", "ledtrig_pattern"];

/// The driver of a board's LEDs.
pub const LEDS: &str = "leds_gpio";

/// All modules that a guest may load.
pub fn all() -> Vec<&'static str> {
    let groups: [&[&str]; 10] = [
        &BASIC,
        &GADGET,
        &HOST,
        &FAT,
        &[DISK],
        &USBIP,
        &EXT4,
        &NETWORK,
        &LED_TRIGGERS,
        &[LEDS],
    ];
    groups.concat()
}

/// Where the harness puts the list: lines of a module's name, its file, and the names of the
/// modules that it needs, directly or not.
pub const LIST: &str = "/lab/modules";

/// Parameters for modules that we want different from their defaults.
const PARAMETERS: [(&str, &str); 1] = [
    // The default of 1 s is for drives that spin up; facts were measured without.
    ("usb_storage", "delay_use=0"),
];

/// The modules of this guest.
#[derive(Debug, Default)]
pub struct Modules {
    known: BTreeMap<String, Module>,
    loaded: BTreeSet<String>,
}

#[derive(Debug)]
struct Module {
    file: String,
    needs: Vec<String>,
}

impl Modules {
    /// Reads the harness's list.
    ///
    /// # Errors
    /// There is none.
    pub fn from_list() -> Result<Self> {
        let text = fs::read_to_string(LIST).doing(format!("reading {LIST}"))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut known = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace().map(str::to_owned);
            let (Some(name), Some(file)) = (words.next(), words.next()) else {
                continue;
            };
            let needs = words.collect();
            known.insert(name, Module { file, needs });
        }
        Self {
            known,
            loaded: BTreeSet::new(),
        }
    }

    /// Loads `name` (with underscores) and what it needs. A module that is not in the list is
    /// taken for one that is built in: what depends on it fails and says so.
    ///
    /// # Errors
    /// The kernel refuses one.
    pub fn load(&mut self, name: &str) -> Result<()> {
        let needs = self.known.get(name).map(|module| module.needs.clone());
        // depmod lists all that a module needs, the one to load first at the end.
        for need in needs.unwrap_or_default().iter().rev() {
            self.load_one(need)?;
        }
        self.load_one(name)
    }

    /// Links all their files into a folder of the same file system.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn link_into(&self, folder: &Path) -> Result<()> {
        for module in self.known.values() {
            let file = Path::new(&module.file);
            let link = folder.join(file.file_name().unwrap_or_default());
            fs::hard_link(file, &link).doing(format!("linking {}", link.display()))?;
        }
        Ok(())
    }

    /// As [`Modules::load`], for several.
    ///
    /// # Errors
    /// As [`Modules::load`].
    pub fn load_all(&mut self, names: &[&str]) -> Result<()> {
        names.iter().try_for_each(|name| self.load(name))
    }

    fn load_one(&mut self, name: &str) -> Result<()> {
        let Some(module) = self.known.get(name) else {
            return Ok(());
        };
        if !self.loaded.insert(name.to_owned()) {
            return Ok(());
        }
        let what = format!("loading {}", module.file);
        let file = File::open(Path::new(&module.file)).doing(&what)?;
        let parameters = PARAMETERS.iter().find(|(of, _)| *of == name);
        let parameters = parameters.map_or("", |(_, value)| value);
        let parameters = CString::new(parameters)
            .map_err(|_| Failure::Wrong("a module parameter holds a NUL".into()))?;
        match finit_module(&file, &parameters, ModuleInitFlags::empty()) {
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(error) => Err(error).doing(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_tells_what_each_module_needs() {
        let modules = Modules::parse("a /a.ko b c\nc /c.ko\n\n");
        assert_eq!(modules.known["a"].needs, ["b", "c"]);
        assert_eq!(modules.known["c"].file, "/c.ko");
    }

    #[test]
    fn what_is_built_in_needs_no_file() {
        assert!(Modules::parse("").load("usbcore").is_ok());
    }
}
