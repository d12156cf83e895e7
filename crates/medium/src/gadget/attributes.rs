//! The gadget's attributes as configfs shows them, and whether a gadget has those it should.
//!
//! One list serves twice: a new gadget is read back against it, and a gadget that was found is
//! adopted only if it agrees. Pure but for [`read_mismatch`].

use std::path::Path;

use super::description::{Description, LunDescription};
use super::error::GadgetError;
use super::paths::GADGET_NAME;

/// US English: hosts ask for it, and fall back to it.
const LANGUAGE: &str = "strings/0x409";
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
