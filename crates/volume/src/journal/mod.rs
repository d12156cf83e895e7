//! The journal beside an image: what makes a change set one transaction.
//!
//! Publish: verify, write the journal, sync it and its folder, apply, sync the image, remove the
//! journal, sync the folder. At start, recover: a whole journal is applied again, anything else is
//! put aside. `docs/SPEC.md` section 2 has the rules and the format; `format` is the only place
//! that knows the latter, `store` the only one that touches files.

mod format;
mod publish;
mod recover;
mod store;

pub use publish::{publish, publish_with};
pub use recover::{DiscardReason, Recovery, recover, recover_with};
pub use store::{FileJournal, JournalStore};
