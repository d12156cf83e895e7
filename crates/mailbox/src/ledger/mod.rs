//! What has been asked and answered on this volume: an append-only file, and the state that its
//! records add up to.
//!
//! Invariants: a state changes only by a record that is durable first; what a cut or damaged file
//! gives is a prefix of its history; a name once used stays used. The format is in docs/SPEC.md
//! section 4. Used by [`Mailbox`](crate::Mailbox) alone.

mod codec;
mod file;
mod record;
mod state;

#[cfg(test)]
mod tests;

#[cfg(not(feature = "testing"))]
pub(crate) use file::Ledger;
#[cfg(feature = "testing")]
pub use file::Ledger;
pub use file::{History, LEDGER_NAME};
pub use record::{Answer, Record, Source};
pub use state::{Entry, Phase, State};
