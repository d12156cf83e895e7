//! Models of hosts other than Linux, on raw SCSI commands: what the stick sees of them, as far as
//! sources tell (docs/LAB.md). They are models of those hosts, not those hosts: no Windows and no
//! macOS has run here. File-system logic is the `fatfs` crate's; when, and in which order, its
//! writes reach the stick is the model's.
//!
//! [`Volume`] and the cache under it work on any [`Blocks`]; the simulation in `tests/sim` builds
//! its hosts on them.

mod cache;
mod careless;
mod layout;
mod macos;
mod unit;
mod volume;
mod windows;

pub use cache::{Block, Blocks, Cache};
pub use careless::Careless;
pub use layout::{Layout, Region};
pub use macos::MacOs;
pub use volume::{Entry, Marks, Part, Volume};
pub use windows::Windows;

use std::thread;
use std::time::{Duration, Instant};

use crate::{Failure, Result};

/// How often a model looks at its clocks.
const TICK_MS: u64 = 20;

/// A host that does something by itself as time passes.
pub trait Host {
    /// Does what is due now: polls, clears marks.
    ///
    /// # Errors
    /// The stick answers as no stick should.
    fn tick(&mut self) -> Result<()>;

    /// Lets time pass until `condition` yields something; gives that and the time that it took.
    ///
    /// # Errors
    /// It does not within `limit`, or [`Host::tick`] failed.
    fn until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<(T, Duration)>
    where
        Self: Sized,
    {
        let start = Instant::now();
        while start.elapsed() < limit {
            self.tick()?;
            if let Some(value) = condition(self)? {
                return Ok((value, start.elapsed()));
            }
            thread::sleep(Duration::from_millis(TICK_MS));
        }
        Err(Failure::Timeout {
            what: what.to_owned(),
            waited_ms: start.elapsed().as_millis(),
        })
    }
}
