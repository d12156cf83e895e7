//! A program on the host that writes one file all the while, piece after piece, each of them
//! synced.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::SWAP_LIMIT;
use crate::error::Doing;
use crate::{Failure, Result, files, report, wait};

/// The file does not grow beyond this; the volume has 64 MiB.
const MOST_BYTES: usize = 48 << 20;

/// What is written at a time.
const PIECE_BYTES: usize = 64 << 10;

/// The program, until it is told to end.
pub struct Writer {
    written: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Vec<u8>>>,
}

impl Writer {
    /// Begins to write random bytes to a new file, with a pause after each piece.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn start(path: &Path, seed: u64, pause: Duration) -> Result<Self> {
        let mut file = File::create(path).doing("creating a file on the volume")?;
        let mut content = files::random(seed, MOST_BYTES);
        let (written, over) = <(Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
        let thread = thread::spawn({
            let (written, over) = (Arc::clone(&written), Arc::clone(&over));
            move || {
                for piece in content.chunks(PIECE_BYTES) {
                    if over.load(Ordering::Acquire) {
                        break;
                    }
                    file.write_all(piece)?;
                    file.sync_all()?;
                    written.fetch_add(piece.len(), Ordering::AcqRel);
                    thread::sleep(pause);
                }
                content.truncate(written.load(Ordering::Acquire));
                Ok(content)
            }
        });
        report::step("a large file is being written");
        Ok(Self {
            written,
            over,
            thread,
        })
    }

    /// Waits until it has written some more.
    ///
    /// # Errors
    /// It does not.
    pub fn wait_for_more(&self) -> Result<()> {
        const MORE_BYTES: usize = 4 * PIECE_BYTES;
        let aim = self.written.load(Ordering::Acquire) + MORE_BYTES;
        let is_there = || self.written.load(Ordering::Acquire) >= aim;
        wait::until_true("the host to write on", SWAP_LIMIT, is_there)?;
        report::step(format!("the host has written {aim} bytes and goes on"));
        Ok(())
    }

    /// Ends it; what it has written.
    ///
    /// # Errors
    /// A write failed.
    pub fn finish(self) -> Result<Vec<u8>> {
        self.over.store(true, Ordering::Release);
        let panicked = |_| Failure::Wrong("the writer panicked".into());
        let content = self.thread.join().map_err(panicked)?;
        let content = content.doing("writing to the volume all the while")?;
        report::step(format!("the large file has {} bytes", content.len()));
        Ok(content)
    }
}
