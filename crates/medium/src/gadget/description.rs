//! What the drive looks like to a computer: ids, strings, power, and its logical units.
//!
//! Read strictly from TOML; `configfs/promptstick.toml` is built in. A [`Description`] that exists
//! has been validated: LUN 0 is writable, every other one is read-only, all are removable. Pure.

use serde::Deserialize;

const BUILT_IN: &str = include_str!("../../../../configfs/promptstick.toml");

/// INQUIRY's vendor, product and revision fields: what the kernel keeps (`INQUIRY_STRING_LEN` in
/// its `storage_common.h`).
pub const INQUIRY_CHARS: usize = 8 + 16 + 4;
/// Bytes of a string descriptor's text that the kernel takes (`USB_MAX_STRING_LEN`).
pub const STRING_BYTES: usize = 126;
/// A mass-storage device has at least this many digits of serial number (USB Mass Storage Class,
/// Bulk-Only Transport 1.0, section 4.1.1), each of 0-9 or A-F.
pub const SERIAL_DIGITS: usize = 12;
/// What a device may draw from a USB 2.0 port (USB 2.0, section 7.2.1).
pub const MAX_POWER_MA: u16 = 500;
/// The kernel's limit of LUNs in one function (`FSG_MAX_LUNS`).
pub const MAX_LUNS: usize = 16;

/// A validated description of the drive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// `idVendor`.
    pub vendor_id: u16,
    /// `idProduct`.
    pub product_id: u16,
    /// The manufacturer's string.
    pub manufacturer: String,
    /// The product's string.
    pub product: String,
    /// The serial number; the board's where it is `None`.
    pub serial: Option<String>,
    /// `bMaxPower`, in mA (even).
    pub max_power_ma: u16,
    /// Whether the function may answer by halting an endpoint.
    pub stall: bool,
    /// The logical units, by number. At least two.
    pub luns: Vec<LunDescription>,
}

/// A logical unit: one removable drive of the stick.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LunDescription {
    /// The label of the volume that it will hold. For people who read the file and the log.
    pub label: Option<String>,
    /// The host cannot write. `false` for LUN 0 only.
    pub read_only: bool,
    /// The medium can be taken out. Always `true`.
    pub removable: bool,
    /// Writes with FUA set are answered before they are on the medium.
    pub nofua: bool,
    /// Reported as a CD-ROM drive; only a read-only LUN can be one.
    pub cdrom: bool,
    /// INQUIRY's vendor (8), product (16) and revision (4), padded with spaces.
    pub inquiry_string: String,
}

/// Why a description was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DescriptionError {
    /// It is not TOML, or a key is unknown, missing or of the wrong type.
    #[error("cannot read the description of the USB drive: {0}")]
    Syntax(String),
    /// A value is out of range.
    #[error("{key} in the description of the USB drive {problem}")]
    Value {
        /// The key, as it is written in the file.
        key: String,
        /// What is wrong with it and what it has to be.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    device: RawDevice,
    mass_storage: RawFunction,
    lun: Vec<LunDescription>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDevice {
    vendor_id: u16,
    product_id: u16,
    manufacturer: String,
    product: String,
    serial: Option<String>,
    max_power_ma: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFunction {
    stall: bool,
}

impl Description {
    /// `configfs/promptstick.toml`, as it was when the program was built.
    ///
    /// # Panics
    /// Never in a program that passed its tests: they parse the same text.
    #[must_use]
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("the built-in description is valid: a test parses it")
    }

    /// Reads a description.
    ///
    /// # Errors
    /// The text is not a description, or a value is out of range.
    pub fn parse(text: &str) -> Result<Self, DescriptionError> {
        let raw: Raw =
            toml::from_str(text).map_err(|error| DescriptionError::Syntax(error.to_string()))?;
        let description = Self {
            vendor_id: raw.device.vendor_id,
            product_id: raw.device.product_id,
            manufacturer: raw.device.manufacturer,
            product: raw.device.product,
            serial: raw.device.serial,
            max_power_ma: raw.device.max_power_ma,
            stall: raw.mass_storage.stall,
            luns: raw.lun,
        };
        description.check()?;
        Ok(description)
    }

    fn check(&self) -> Result<(), DescriptionError> {
        let refuse = |key: &str, problem: String| {
            let key = key.to_owned();
            Err(DescriptionError::Value { key, problem })
        };
        if self.vendor_id == 0 {
            return refuse("device.vendor_id", "is 0, which no vendor has".to_owned());
        }
        check_string("device.manufacturer", &self.manufacturer)?;
        check_string("device.product", &self.product)?;
        if let Some(serial) = &self.serial {
            let valid = (SERIAL_DIGITS..=STRING_BYTES).contains(&serial.len());
            if !valid || !serial.bytes().all(is_serial_digit) {
                let digits = format!("{SERIAL_DIGITS} to {STRING_BYTES} characters 0-9 and A-F");
                return refuse("device.serial", format!("must have {digits}"));
            }
        }
        let power = self.max_power_ma;
        if !(2..=MAX_POWER_MA).contains(&power) || !power.is_multiple_of(2) {
            let problem = format!("is {power}; it must be even, from 2 to {MAX_POWER_MA}");
            return refuse("device.max_power_ma", problem);
        }
        if !(2..=MAX_LUNS).contains(&self.luns.len()) {
            let problem = format!(
                "appears {} times; there must be 2 to {MAX_LUNS}: the drive for prompts, then at \
                 least one for answers",
                self.luns.len()
            );
            return refuse("[[lun]]", problem);
        }
        let mut luns = self.luns.iter().enumerate();
        luns.try_for_each(|(index, lun)| lun.check(index))
    }
}

impl LunDescription {
    fn check(&self, index: usize) -> Result<(), DescriptionError> {
        let refuse = |key: &str, problem: &str| {
            Err(DescriptionError::Value {
                key: format!("{key} of [[lun]] {index}"),
                problem: problem.to_owned(),
            })
        };
        if !self.removable {
            return refuse("removable", "must be true: media are put in and taken out");
        }
        if index == 0 && self.read_only {
            return refuse(
                "read_only",
                "must be false: the first LUN takes the prompts",
            );
        }
        if index != 0 && !self.read_only {
            return refuse(
                "read_only",
                "must be true: only the first LUN may be written",
            );
        }
        if self.cdrom && !self.read_only {
            return refuse("cdrom", "must be false: a CD-ROM cannot be written");
        }
        let inquiry = &self.inquiry_string;
        let printable = inquiry.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if inquiry.trim().is_empty() || inquiry.len() > INQUIRY_CHARS || !printable {
            return refuse(
                "inquiry_string",
                "must have 1 to 28 printable ASCII characters: vendor (8), product (16), \
                 revision (4)",
            );
        }
        Ok(())
    }
}

fn check_string(key: &str, text: &str) -> Result<(), DescriptionError> {
    let trimmed = text.trim() == text && !text.is_empty();
    if trimmed && text.len() <= STRING_BYTES && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(DescriptionError::Value {
        key: key.to_owned(),
        problem: format!(
            "must have 1 to {STRING_BYTES} bytes of text on one line, without spaces at its ends"
        ),
    })
}

/// Whether a serial number may have this character.
pub(super) fn is_serial_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'F')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_drive_is_this_one() {
        let built_in = Description::built_in();
        assert_eq!((built_in.vendor_id, built_in.product_id), (0x1d6b, 0x0104));
        assert_eq!(built_in.manufacturer, "promptstick");
        assert_eq!(built_in.product, "promptstick");
        assert_eq!(built_in.serial, None);
        assert_eq!(built_in.max_power_ma, 500);
        assert!(!built_in.stall);
        let luns: Vec<_> = built_in.luns.iter().map(summary).collect();
        assert_eq!(
            luns,
            [
                ("PROMPTSTICK", false, "PROMPT  STICK           0001"),
                ("ANSWERS", true, "PROMPT  ANSWERS         0001"),
                ("ANSWERS", true, "PROMPT  ANSWERS 2       0001"),
            ]
        );
        for lun in &built_in.luns {
            assert!(lun.removable && !lun.nofua && !lun.cdrom);
            assert_eq!(lun.inquiry_string.len(), INQUIRY_CHARS);
        }
    }

    fn summary(lun: &LunDescription) -> (&str, bool, &str) {
        let label = lun.label.as_deref().unwrap_or_default();
        (label, lun.read_only, &lun.inquiry_string)
    }

    /// The built-in text with its first `from` replaced.
    fn changed(from: &str, to: &str) -> Result<Description, DescriptionError> {
        assert!(
            BUILT_IN.contains(from),
            "{from} is in the built-in description"
        );
        Description::parse(&BUILT_IN.replacen(from, to, 1))
    }

    /// A line of the built-in text, what stands in its place, and the key that is then refused.
    const REFUSED: &[[&str; 3]] = &[
        ["vendor_id = 0x1d6b", "vendor_id = 0", "device.vendor_id"],
        [
            "product = \"promptstick\"",
            "product = \"\"",
            "device.product",
        ],
        [
            "product = \"promptstick\"",
            "product = \"a\\nb\"",
            "device.product",
        ],
        [
            "max_power_ma = 500",
            "max_power_ma = 502",
            "device.max_power_ma",
        ],
        [
            "max_power_ma = 500",
            "max_power_ma = 0",
            "device.max_power_ma",
        ],
        [
            "max_power_ma = 500",
            "max_power_ma = 99",
            "device.max_power_ma",
        ],
        [
            "# serial = \"0123456789AB\"",
            "serial = \"01234\"",
            "device.serial",
        ],
        [
            "# serial = \"0123456789AB\"",
            "serial = \"0123456789ab\"",
            "device.serial",
        ],
        [
            "read_only = false",
            "read_only = true",
            "read_only of [[lun]] 0",
        ],
        [
            "read_only = true",
            "read_only = false",
            "read_only of [[lun]] 1",
        ],
        [
            "removable = true",
            "removable = false",
            "removable of [[lun]] 0",
        ],
        ["cdrom = false", "cdrom = true", "cdrom of [[lun]] 0"],
        [
            "           0001",
            "           00011",
            "inquiry_string of [[lun]] 0",
        ],
        [
            "PROMPT  STICK",
            "PROMPT  STÜCK",
            "inquiry_string of [[lun]] 0",
        ],
    ];

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        for [from, to, expected] in REFUSED {
            match changed(from, to) {
                Err(DescriptionError::Value { key, .. }) => assert_eq!(&key, expected, "{to}"),
                other => panic!("{to}: {other:?}"),
            }
        }
        let long = format!("product = \"{}\"", "x".repeat(STRING_BYTES + 1));
        changed("product = \"promptstick\"", &long).unwrap_err();
    }

    #[test]
    fn unknown_and_missing_keys_are_refused() {
        let cases = [
            ("stall = false", "stall = false\nstalls = true"),
            ("max_power_ma = 500", ""),
            ("[device]", "[device]\nspeed = 1"),
            ("read_only = false", "read_only = false\nfile = \"/x\""),
            ("vendor_id = 0x1d6b", "vendor_id = 0x11d6b"),
        ];
        for (from, to) in cases {
            let error = changed(from, to).unwrap_err();
            assert!(
                matches!(error, DescriptionError::Syntax(_)),
                "{to}: {error}"
            );
        }
    }

    #[test]
    fn there_are_two_to_sixteen_luns() {
        let second = BUILT_IN.match_indices("[[lun]]").nth(1).unwrap().0;
        let third = BUILT_IN.match_indices("[[lun]]").nth(2).unwrap().0;
        Description::parse(&BUILT_IN[..third]).unwrap();
        Description::parse(&BUILT_IN[..second]).unwrap_err();
        let more = |count| format!("{BUILT_IN}{}", BUILT_IN[third..].repeat(count));
        Description::parse(&more(MAX_LUNS - 3)).unwrap();
        Description::parse(&more(MAX_LUNS - 2)).unwrap_err();
    }

    #[test]
    fn another_serial_number_is_taken() {
        let serial = "serial = \"00000000ABCDEF01\"";
        let description = changed("# serial = \"0123456789AB\"", serial).unwrap();
        assert_eq!(description.serial.as_deref(), Some("00000000ABCDEF01"));
    }
}
