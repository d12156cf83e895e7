//! Where the guest speaks to the harness: the serial line that [`init`](crate::init) opened, or
//! standard output where this runs as an ordinary program.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::protocol::Line;

static SERIAL: OnceLock<Mutex<File>> = OnceLock::new();

/// Lines go to this device from now on. The first call counts.
///
/// # Errors
/// The device cannot be opened.
pub fn open(device: &Path) -> io::Result<()> {
    let file = File::options().write(true).open(device)?;
    SERIAL.get_or_init(|| Mutex::new(file));
    Ok(())
}

/// Tells the harness something.
pub fn tell(line: &Line) {
    let text = format!("{line}\n");
    // The harness notices that we fell silent; there is nobody else to tell.
    let _ = match SERIAL.get() {
        Some(serial) => {
            let mut serial = serial.lock().unwrap_or_else(PoisonError::into_inner);
            serial.write_all(text.as_bytes())
        }
        None => io::stdout().write_all(text.as_bytes()),
    };
}

/// Tells what was done or seen.
pub fn step(text: impl Into<String>) {
    tell(&Line::Step(text.into()));
}

/// Tells how long something took.
pub fn measured(name: &str, time: std::time::Duration) {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    tell(&Line::Measured {
        name: name.to_owned(),
        ms,
    });
}

/// Tells how much memory something took or left.
pub fn memory(name: &str, kib: u64) {
    tell(&Line::Memory {
        name: name.to_owned(),
        kib,
    });
}

/// Tells that the file is safe on the stick.
pub fn flushed(path: &str, content: &[u8]) {
    tell(&Line::Flushed {
        sha256: crate::files::sha256(content),
        path: path.to_owned(),
    });
}

/// Tells that the host no longer relies on the file.
pub fn gone(path: &str) {
    tell(&Line::Gone {
        path: path.to_owned(),
    });
}

/// Tells that the prompt must have exactly one answer when the scenario has ended.
pub fn asked(path: &str) {
    tell(&Line::Asked {
        path: path.to_owned(),
    });
}
