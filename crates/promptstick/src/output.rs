//! What the program prints. A reader who has gone (`promptstick bench | head -1`) has seen what
//! they wanted: that is a quiet end and no error, and nothing here panics over it.

use std::io::{self, Write};

/// Whether anybody still reads stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// It was written.
    There,
    /// The other end is closed; there is no point in going on.
    Gone,
}

/// Writes to stdout at once.
///
/// # Errors
/// Any but a closed pipe, such as a full disk.
pub fn print(text: &str) -> io::Result<Reader> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error),
    }
}

/// Writes a line to stderr. That nobody reads it is no reason to fail.
pub fn remark(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A name or text from a volume, safe for a terminal.
pub fn printable(text: &str) -> String {
    text.replace(steers, "\u{FFFD}")
}

/// Whether a character moves the cursor, sends a command to a terminal, or turns the direction in
/// which the rest is shown (Unicode Standard Annex 9), so that a name looks like another one.
pub fn steers(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || turns
}
