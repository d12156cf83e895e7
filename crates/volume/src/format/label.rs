//! Labels that every host shows as they were given. Pure.

use crate::error::FormatError;

const LABEL_BYTES: usize = 11;

/// The eleven bytes of a label.
pub(super) fn encode(label: &str) -> Result<[u8; LABEL_BYTES], FormatError> {
    let allowed = |byte: u8| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" -_!#$%&'()@^`{}~".contains(&byte)
    };
    let fits = (1..=LABEL_BYTES).contains(&label.len());
    let ends_well = !label.starts_with(' ') && !label.ends_with(' ');
    // "NO NAME" is what the boot sector says for none.
    if !fits || !ends_well || label == "NO NAME" || !label.bytes().all(allowed) {
        return Err(FormatError::BadLabel {
            label: label.to_owned(),
        });
    }
    let mut bytes = [b' '; LABEL_BYTES];
    bytes[..label.len()].copy_from_slice(label.as_bytes());
    Ok(bytes)
}
