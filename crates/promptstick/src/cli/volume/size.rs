//! Sizes on the command line: `64M`, `4K`, `1048576`; units of 1024.

/// Parses a size in bytes.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: write a number and K, M or G, such as 64M");
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        Some((at, 'g' | 'G')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// Parses the size of a cluster in bytes.
pub fn parse_cluster(text: &str) -> Result<u32, String> {
    let bytes = parse(text)?;
    u32::try_from(bytes).map_err(|_| format!("{text:?} is too large for a cluster"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes() {
        assert_eq!(parse("64M"), Ok(64 << 20));
        assert_eq!(parse("4k"), Ok(4096));
        assert_eq!(parse("32G"), Ok(32 << 30));
        assert_eq!(parse("512"), Ok(512));
        for wrong in ["", "M", "64MB", "-1", "1.5G", "99999999999G"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
