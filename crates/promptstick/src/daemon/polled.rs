//! A file that the runtime waits on. Used by `drive` and `looks`.

use std::fs::File;
use std::io;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers the file; the caller reads it when it is ready.
///
/// # Errors
/// The file is of a kind that cannot be waited on, or no more can be.
pub fn polled(file: File, interest: Interest) -> io::Result<AsyncFd<File>> {
    // SAFETY: a `File` owns its descriptor, which is therefore open and the same until it is
    // dropped, and it is moved into the registration, which ends before that.
    Ok(unsafe { AsyncFd::register_with_interest(file, interest)? })
}
