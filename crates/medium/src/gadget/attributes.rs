//! The gadget's attributes as configfs shows them, and whether a gadget has those it should.
//!
//! One list serves twice: a new gadget is read back against it, and a gadget that was found is
//! adopted only if it agrees. Pure but for [`read_mismatch`].

use std::path::Path;

use super::description::{Description, LunDescription};
use super::error::GadgetError;
use super::paths::GADGET_NAME;

/// US English: hosts ask for it, and fall back to it.
const LANGUAGE: &str = "strings/0x0409";
/// The only configuration, numbered as the library does.
const CONFIGURATION: &str = "configs/c.1";
/// Bus powered, no remote wake-up (USB 2.0, table 9-10: bit 7 is always set).
const BUS_POWERED: &str = "0x80";

/// An attribute of the gadget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    /// Its path within the gadget's folder.
    pub path: String,
    /// What it has to say, without line end.
    pub value: String,
}

impl Attribute {
    fn new(path: impl Into<String>, value: impl ToString) -> Self {
        let (path, value) = (path.into(), value.to_string());
        Self { path, value }
    }
}

/// The function's folder within the gadget's, named as the library names it.
pub(super) fn function() -> String {
    format!("functions/mass_storage.{GADGET_NAME}-0")
}

/// The folder of a LUN within the gadget's.
pub(super) fn lun(index: usize) -> String {
    format!("{}/lun.{index}", function())
}

/// Every attribute that a gadget of this description has, but its release number: an update of
/// the program alone is no reason to take the drive away from a computer.
pub(super) fn of(description: &Description, serial: &str) -> Vec<Attribute> {
    let hex = |number: u16| format!("0x{number:04x}");
    let mut all = vec![
        Attribute::new("bDeviceClass", "0x00"),
        Attribute::new("idVendor", hex(description.vendor_id)),
        Attribute::new("idProduct", hex(description.product_id)),
        Attribute::new(
            format!("{LANGUAGE}/manufacturer"),
            &description.manufacturer,
        ),
        Attribute::new(format!("{LANGUAGE}/product"), &description.product),
        Attribute::new(format!("{LANGUAGE}/serialnumber"), serial),
        Attribute::new(format!("{CONFIGURATION}/bmAttributes"), BUS_POWERED),
        Attribute::new(
            format!("{CONFIGURATION}/MaxPower"),
            description.max_power_ma,
        ),
        Attribute::new(format!("{}/stall", function()), u8::from(description.stall)),
    ];
    let luns = description.luns.iter().enumerate();
    all.extend(luns.flat_map(|(index, lun)| of_lun(index, lun)));
    all
}

/// In the order in which the library writes them: `ro` before anything is in the LUN.
fn of_lun(index: usize, description: &LunDescription) -> Vec<Attribute> {
    let folder = lun(index);
    let flag = |name: &str, on: bool| Attribute::new(format!("{folder}/{name}"), u8::from(on));
    let inquiry = description.inquiry_string.trim_end();
    vec![
        flag("ro", description.read_only),
        flag("cdrom", description.cdrom),
        flag("nofua", description.nofua),
        flag("removable", description.removable),
        Attribute::new(format!("{folder}/inquiry_string"), inquiry),
    ]
}

/// The first attribute in the gadget's folder that does not say what it should, with what it says.
///
/// # Errors
/// One of them cannot be read; if it does not exist, it says nothing.
pub(super) fn read_mismatch(
    gadget: &Path,
    wanted: &[Attribute],
) -> Result<Option<(Attribute, String)>, GadgetError> {
    for attribute in wanted {
        let path = gadget.join(&attribute.path);
        let found = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            found => found.map_err(|error| GadgetError::access(&path, error))?,
        };
        if !agrees(&attribute.value, &found) {
            return Ok(Some((attribute.clone(), found.trim_end().to_owned())));
        }
    }
    Ok(None)
}

/// The kernel pads the inquiry string with spaces and writes some numbers without leading zeros.
fn agrees(wanted: &str, found: &str) -> bool {
    let found = found.trim_end();
    wanted == found || number(wanted).is_some_and(|wanted| number(found) == Some(wanted))
}

fn number(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// The release number of the device descriptor, `bcdDevice`, from the program's version:
/// two digits of major, one of minor, one of patch; what does not fit is the largest digit.
pub(super) fn release(major: u16, minor: u16, patch: u16) -> u16 {
    let major = major.min(99);
    (major / 10) << 12 | (major % 10) << 8 | minor.min(9) << 4 | patch.min(9)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[path, value]` of every attribute of the built-in drive, in order.
    const BUILT_IN: &[[&str; 2]] = &[
        ["bDeviceClass", "0x00"],
        ["idVendor", "0x1d6b"],
        ["idProduct", "0x0104"],
        ["strings/0x0409/manufacturer", "promptstick"],
        ["strings/0x0409/product", "promptstick"],
        ["strings/0x0409/serialnumber", "00000000DEADBEEF"],
        ["configs/c.1/bmAttributes", "0x80"],
        ["configs/c.1/MaxPower", "500"],
        ["functions/mass_storage.promptstick-0/stall", "0"],
        ["functions/mass_storage.promptstick-0/lun.0/ro", "0"],
        ["functions/mass_storage.promptstick-0/lun.0/cdrom", "0"],
        ["functions/mass_storage.promptstick-0/lun.0/nofua", "0"],
        ["functions/mass_storage.promptstick-0/lun.0/removable", "1"],
        [
            "functions/mass_storage.promptstick-0/lun.0/inquiry_string",
            "PROMPT  STICK           0001",
        ],
        ["functions/mass_storage.promptstick-0/lun.1/ro", "1"],
        ["functions/mass_storage.promptstick-0/lun.1/cdrom", "0"],
        ["functions/mass_storage.promptstick-0/lun.1/nofua", "0"],
        ["functions/mass_storage.promptstick-0/lun.1/removable", "1"],
        [
            "functions/mass_storage.promptstick-0/lun.1/inquiry_string",
            "PROMPT  ANSWERS         0001",
        ],
        ["functions/mass_storage.promptstick-0/lun.2/ro", "1"],
        ["functions/mass_storage.promptstick-0/lun.2/cdrom", "0"],
        ["functions/mass_storage.promptstick-0/lun.2/nofua", "0"],
        ["functions/mass_storage.promptstick-0/lun.2/removable", "1"],
        [
            "functions/mass_storage.promptstick-0/lun.2/inquiry_string",
            "PROMPT  ANSWERS 2       0001",
        ],
    ];

    #[test]
    fn luns_and_attributes_of_the_built_in_drive() {
        let all = of(&Description::built_in(), "00000000DEADBEEF");
        let all: Vec<_> = all
            .iter()
            .map(|a| [a.path.as_str(), a.value.as_str()])
            .collect();
        assert_eq!(all, BUILT_IN);
    }

    #[test]
    fn what_the_kernel_shows_agrees() {
        assert!(agrees("0x80", "0x80\n"));
        assert!(agrees("0x00", "0x0\n"));
        assert!(agrees("500", "500\n"));
        assert!(agrees("PROMPT  X", "PROMPT  X                   \n"));
        assert!(!agrees("1", "0\n"));
        assert!(!agrees("0x0104", "0x0105\n"));
        assert!(!agrees("promptstick", ""));
        assert!(!agrees("500", "0x500\n"));
    }

    #[test]
    fn a_mismatch_is_named() {
        let gadget = tempfile::tempdir().unwrap();
        let wanted = [Attribute::new("ro", 0), Attribute::new("nofua", 1)];
        let name = || {
            let found = read_mismatch(gadget.path(), &wanted).unwrap();
            found.map(|(attribute, found)| (attribute.path, found))
        };
        std::fs::write(gadget.path().join("ro"), "0\n").unwrap();
        assert_eq!(name(), Some(("nofua".to_owned(), String::new())), "missing");
        std::fs::write(gadget.path().join("nofua"), "0\n").unwrap();
        assert_eq!(name(), Some(("nofua".to_owned(), "0".to_owned())));
        std::fs::write(gadget.path().join("nofua"), "1\n").unwrap();
        assert_eq!(name(), None);
    }

    #[test]
    fn release_numbers_are_binary_coded_decimal() {
        assert_eq!(release(0, 1, 0), 0x0010);
        assert_eq!(release(1, 2, 3), 0x0123);
        assert_eq!(release(12, 10, 34), 0x1299);
        assert_eq!(release(100, 0, 0), 0x9900);
    }
}
